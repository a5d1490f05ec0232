"""What an export writes is scored anew, and read by pandas and DuckDB, with the lines that the document shows."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from typer.testing import CliRunner

from bench.site import insert_sensors
from engine.commands.cli.app import app

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]
FIRST = datetime(2026, 11, 20, tzinfo=UTC)
SENSORS = {"PT-1": ("ridge-1", "Pressure", 3600), "ß-2": ("ridge-1", "ValveStatus", 3600), "a": ("007", "Flow", 3600)}


async def test_the_lines_of_the_document_run(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await asyncpg.connect(database_url)
    numbers = await insert_sensors(database, SENSORS)
    rows = [
        (
            numbers[name],
            FIRST + timedelta(hours=hour, microseconds=7),
            None if name == "ß-2" else hour / 8,
            "Öffnet",
            None,
            2,
        )
        for name in SENSORS
        for hour in range(36)
    ]
    await database.copy_records_to_table("sensor_records", records=rows)
    await database.close()
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/data-science.md").read_text()
    for command in re.findall(r"`gasinsight ((?:export|score) [^`]*(?:PT-1.parquet|ridge-1.parquet|plant))`", text):
        environment = {"DATABASE_URL": database_url}
        done = await asyncio.to_thread(CliRunner().invoke, app, command.split(), env=environment)
        assert done.exit_code == 0, done.output

    (program,) = (each for each in re.findall(r"```py\n(.*?)```", text, re.DOTALL) if "duckdb" in each)
    names: dict[str, Any] = {}
    exec(compile(program, "docs/data-science.md", "exec"), names)
    assert names["anew"].height == 72 and "decades" in names["anew"].columns
    assert pl.from_pandas(names["readings"]).equals(pl.read_parquet("ridge-1.parquet"))
    assert Path("PT-1.scores.parquet").exists()
    assert names["per_day"].fetchall() == [
        ("007", date(2026, 11, 20), 24),
        ("007", date(2026, 11, 21), 12),
        ("ridge-1", date(2026, 11, 20), 48),
        ("ridge-1", date(2026, 11, 21), 24),
    ]
