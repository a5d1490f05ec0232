"""What went on beside a chaos run is judged: what is missing, there twice or left is told."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import polars as pl
import pytest

from tests.chaos import beside
from tests.chaos.beside import Beside
from tests.integration.gasinsight import gasinsight


@pytest.fixture
def watched(tmp_path: Path) -> Beside:
    house: Any = SimpleNamespace(folder=tmp_path)
    return Beside(house, cast(Any, None), 1)


def parquet(rows: int) -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"sensor_id": ["a"] * rows, "tracked_at": range(rows), "value": [1.0] * rows}).write_parquet(out)
    return out.getvalue()


def test_an_export_that_is_whole_is_not_told_of(watched: Beside) -> None:
    for stored in (9, 10):
        watched._look("x", parquet(10), stored)
    assert watched.problems == []


def test_an_export_that_is_less_or_nothing_or_doubled_is_told_of(watched: Beside) -> None:
    watched._look("less", parquet(10), 11)
    watched._look("nothing", b"", 0)
    watched._look("part", parquet(10)[:-1], 0)
    out = io.BytesIO()
    pl.concat([pl.read_parquet(parquet(3))] * 2).write_parquet(out)
    watched._look("twice", out.getvalue(), 0)
    assert [told.split()[0] for told in watched.problems] == ["less", "nothing", "part", "twice"]
    assert watched.problems[0] == "less has 10 readings, 11 were stored when it began"
    assert watched.problems[3] == "twice has 3 readings twice"


@pytest.mark.postgres
async def test_readings_of_the_recording_that_are_lost_are_told_of(
    watched: Beside, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    beside._write_recording(folder, watched._readings)
    done = gasinsight("import", str(folder), "--yes", database_url=database_url)
    assert done.returncode == 0, done.stderr
    database = await asyncpg.connect(database_url)
    await watched._judge_import(database)
    assert watched.problems == []
    of_one = "sensor_no = (SELECT min(sensor_no) FROM sensors)"
    await database.execute(
        f"DELETE FROM sensor_records WHERE {of_one} AND tracked_at = (SELECT min(tracked_at) FROM sensor_records)"
    )
    await database.execute(f"UPDATE reading_rollups SET readings = readings + 1 WHERE {of_one} AND width_s = 86400")
    await watched._judge_import(database)
    await database.close()
    assert watched.problems[0] == "of the recording 1 readings are lost, 0 are beside it"
    assert watched.problems[1].startswith("rollups of the recording have")
