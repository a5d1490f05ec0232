"""Exported days come from the folders of the export, all others from the database: no reading twice, none lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import polars as pl
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from bench.site import insert_sensors
from engine.commands.cli.app import app
from engine.exports import reading
from engine.exports.selection import SelectionRefused
from engine.notebook import Archive, Database, scan_records, scan_rollups, sensors
from engine.notebook.sources import NotRead

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - timedelta(days=5)
SENSORS = {
    "b-1": ("south/1", "Pressure", 3600),
    "a-9": ("south/1", "Pressure", 3600),
    "ß-2": ("north", "Temperature", 3600),
    "z-3": ("north", "ValveStatus", 3600),
}
FROM_THE_DATABASE, FROM_THE_ARCHIVE = 1, 0


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    """Six days of an hour's readings; no sensor has any on the third."""
    opened = await asyncpg.connect(database_url)
    numbers = await insert_sensors(opened, SENSORS)
    rows = [
        (number, FIRST + timedelta(hours=hour), None if name == "z-3" else hour / 4, "OPEN", 0.5, FROM_THE_ARCHIVE)
        for name, number in numbers.items()
        for hour in range(6 * 24)
        if hour // 24 != 2
    ]
    await opened.copy_records_to_table("sensor_records", records=rows)
    yield opened
    await opened.close()


async def exported(url: str, out: Path, *options: object) -> None:
    arguments = ["export", "--hive", "-o", str(out), *map(str, options)]
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"DATABASE_URL": url})
    assert done.exit_code == 0, done.output


async def collected(frame: pl.LazyFrame, statements: list[str] | None = None) -> pl.DataFrame:
    as_it_is = reading._copy

    async def told(connection: Any, statement: str, *rest: Any) -> None:
        if statements is not None and "FROM sensor_records" in statement:
            statements.append(statement)
        await as_it_is(connection, statement, *rest)

    with patch("engine.exports.reading._copy", told):
        return await asyncio.to_thread(frame.collect)


def days(frame: pl.DataFrame, flags: int) -> dict[str, list[int]]:
    """Of each facility, the days that came from there."""
    day = (pl.col("tracked_at") - FIRST).dt.total_days().alias("day")
    found = frame.filter(flags=flags).group_by("facility_id").agg(day.unique().sort())
    return dict(found.rows())


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (FIRST + timedelta(hours=7), FIRST + timedelta(days=3, hours=5)),
        (FIRST, FIRST + timedelta(days=1)),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"facility": "north"}, {"sensor": ["b-1", "ß-2"]}])
async def test_days_of_the_archive_come_from_there_and_the_rest_from_the_database(
    database_url: str, database: Any, tmp_path: Path, asked: dict[str, Any], start: Any, end: Any
) -> None:
    whole = scan_records(**asked, start=start, end=end, source=Database(database_url))
    before = await collected(whole)
    archive = tmp_path / "archive [1]"
    await exported(database_url, archive / "south", "--facility", "south/1", "--end", f"{FIRST + timedelta(days=3):%F}")
    await exported(database_url, archive / "all", "--start", f"{TODAY - timedelta(days=1):%F}", "--end", f"{TODAY:%F}")
    shutil.copytree(archive / "south", archive / ".draft")  # of an export that is under way
    await database.execute(f"UPDATE sensor_records SET flags = {FROM_THE_DATABASE}")
    query = scan_records(**asked, start=start, end=end, source=Archive(archive, Database(database_url)))
    found = await collected(query)
    assert found.drop("flags").equals(before.drop("flags"))
    if not asked and start is None:
        assert days(found, FROM_THE_ARCHIVE) == {"south/1": [0, 1, 3, 4, 5], "north": [4, 5]}
        assert days(found, FROM_THE_DATABASE) == {"north": [0, 1, 3]}
    conditions = pl.col("tracked_at") >= FIRST + timedelta(hours=3), pl.col("value") > 2
    few = await collected(query.filter(conditions).select("value", "score"))
    assert few.equals(before.filter(conditions).select("value", "score"))


async def test_of_the_database_only_what_the_archive_lacks_is_read(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await exported(database_url, tmp_path / "archive", "--end", f"{FIRST + timedelta(days=1):%F}")
    source = Archive(tmp_path / "archive", Database(database_url))
    statements: list[str] = []
    query = scan_records("north", source=source).filter(pl.col("sensor_id") == "ß-2").select("value")
    assert (await collected(query, statements)).height == 5 * 24
    number = await database.fetchval("SELECT sensor_no FROM sensors WHERE id = 'ß-2'")
    begin = f"SELECT sensor_no, tracked_at, value FROM sensor_records WHERE sensor_no = ANY('{{{number}}}'::int[])"
    assert statements and all(statement.startswith(begin) for statement in statements)
    assert min(each.split("tracked_at >= '")[1][:10] for each in statements) >= f"{FIRST + timedelta(days=2):%F}"
    statements.clear()
    old = scan_records(source=source, end=FIRST + timedelta(days=2)).select("tracked_at")
    assert (await collected(old, statements)).height == 4 * 48
    assert statements == []
    assert (await collected(scan_records(source=source).head(3), statements)).height == 3
    assert statements == []


async def test_what_has_left_the_database_is_still_there(database_url: str, database: Any, tmp_path: Path) -> None:
    await exported(database_url, tmp_path / "archive", "--end", f"{FIRST:%F}")
    await database.execute("DELETE FROM sensor_records WHERE tracked_at < $1", FIRST + timedelta(days=1))
    plain = await collected(scan_records("north", source=Database(database_url)))
    found = await collected(scan_records("north", source=Archive(tmp_path / "archive", Database(database_url))))
    assert found.height == plain.height + 48


async def test_other_data_sets_are_those_behind(database_url: str, database: Any, tmp_path: Path) -> None:
    source = Archive(tmp_path, Database(database_url))
    assert (await asyncio.to_thread(lambda: sensors(source=source))).height == len(SENSORS)
    assert (await collected(scan_rollups(source=source))).is_empty()
    with pytest.raises(SelectionRefused, match="there is no facility 'east'"):
        await collected(scan_records("east", source=source))


async def test_an_archive_that_is_not_whole_or_not_clear_is_told(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    def read() -> Any:
        return collected(scan_records(source=Archive(tmp_path / "archive", Database(database_url))))

    with pytest.raises(NotRead, match="archive is no folder"):
        await read()
    await exported(database_url, tmp_path / "archive" / "one", "--columns", "facility_id,sensor_id,tracked_at,value")
    with pytest.raises(NotRead, match="has no column text"):
        await read()
    shutil.rmtree(tmp_path / "archive")
    for name in ("one", "two"):
        await exported(database_url, tmp_path / "archive" / name, "--facility", "north")
    with pytest.raises(NotRead, match="a day of north is there twice: "):
        await read()
    shutil.rmtree(tmp_path / "archive")
    (tmp_path / "archive/facility_id=north/day=soon").mkdir(parents=True)
    (tmp_path / "archive/facility_id=north/day=soon/readings.parquet").touch()
    with pytest.raises(NotRead, match="'soon' is no time"):
        await read()
