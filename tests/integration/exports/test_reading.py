"""Exports from a real database: what is stored is what is read, in order, under one snapshot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import asyncpg
import polars as pl
import pytest
import pytest_asyncio

from bench.site import insert_sensors
from engine.exports.datasets import DATASETS, RECORDS, schema_of
from engine.exports.reading import read
from engine.exports.selection import Asked, SelectionRefused, find
from engine.exports.snapshot import open_snapshot
from engine.historian.web_role import WEB_ROLE

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SENSORS = {
    "b-1": ("south", "Pressure", 60),
    "a-9": ("south", "Pressure", 60),
    "ß-2": ("north", "Temperature", 3600),
    "z-3": ("north", "ValveStatus", 900),
}


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def stored(database: Any) -> list[tuple[str, str, datetime, float | None, str | None, float | None, int]]:
    """Readings of today and yesterday and, without a partition, of a year ago; in the order of an export."""
    numbers = await insert_sensors(database, SENSORS)
    chance = random.Random(5)
    rows = []
    for sensor_id, (facility_id, _, _) in SENSORS.items():
        for day in (TODAY - timedelta(days=400), TODAY - timedelta(days=1), TODAY):
            for number in range(40):
                moment = day + timedelta(seconds=chance.randrange(86_400), microseconds=number)
                text = "Öffnet" if sensor_id == "z-3" else None if number % 7 else "21.50"
                value = None if sensor_id == "z-3" else round(chance.gauss(20, 3), 2)
                rows.append((facility_id, sensor_id, moment, value, text, None if number % 5 else 0.5, number))
    records = [(numbers[row[1]], *row[2:]) for row in rows]
    chance.shuffle(records)
    await database.copy_records_to_table("sensor_records", records=records)
    return sorted(rows, key=lambda row: (row[2].date(), row[0].encode(), row[1].encode(), row[2]))


async def exported(
    url: str, dataset: str, asked: Asked | None = None, words: str = "", columns: tuple[str, ...] = ()
) -> pl.DataFrame:
    async with open_snapshot(url, words) as snapshot:
        selection = await find(snapshot.readers[0], asked or Asked())
        chosen = DATASETS[dataset].chosen(columns)
        async with aclosing(read(snapshot, DATASETS[dataset], selection, chosen)) as frames:
            return pl.concat([pl.DataFrame(schema=schema_of(chosen)), *[frame async for frame in frames]])


@pytest.mark.parametrize("piece_rows", [10, 100, 150_000])
@pytest.mark.parametrize("slice_rows", [7, 50_000])
async def test_every_reading_comes_once_and_in_order(
    database_url: str, database: Any, piece_rows: int, slice_rows: int
) -> None:
    rows = await stored(database)
    with (
        patch("engine.exports.pieces.PIECE_ROWS", piece_rows),
        patch("engine.exports.reading.SLICE_ROWS", slice_rows),
    ):
        frame = await exported(database_url, "records")
    assert frame.schema == schema_of(RECORDS.columns)
    assert frame.rows() == rows


async def test_a_range_begins_with_its_start_and_ends_before_its_end(database_url: str, database: Any) -> None:
    rows = await stored(database)
    start, end = rows[200][2], rows[300][2]
    asked = Asked(("south",), start_us=us(start), end_us=us(end))
    frame = await exported(database_url, "records", asked, columns=("tracked_at", "value"))
    assert frame.rows() == [(row[2], row[3]) for row in rows if row[0] == "south" and start <= row[2] < end]
    assert frame.height > 10


async def test_one_sensor_is_read_alone(database_url: str, database: Any) -> None:
    rows = await stored(database)
    frame = await exported(database_url, "records", Asked(sensor_ids=("ß-2",)))
    assert frame.rows() == [row for row in rows if row[1] == "ß-2"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Asked(("east",)), "there is no facility 'east'"),
        (Asked(sensor_ids=("b-2",)), "there is no sensor 'b-2'"),
        (Asked(("north",), ("b-1",)), "there is no sensor 'b-1' in north"),
    ],
)
async def test_what_is_not_there_is_told(database_url: str, database: Any, asked: Asked, why: str) -> None:
    await stored(database)
    with pytest.raises(SelectionRefused, match=why):
        await exported(database_url, "records", asked)


async def test_what_is_stored_meanwhile_is_not_in_it(database_url: str, database: Any) -> None:
    rows = await stored(database)
    async with open_snapshot(database_url) as snapshot:
        number = await database.fetchval("SELECT sensor_no FROM sensors WHERE id = 'b-1'")
        await database.execute("INSERT INTO sensor_records VALUES ($1, now(), 1, NULL, NULL, 0)", number)
        selection = await find(snapshot.readers[0], Asked())
        async with aclosing(read(snapshot, RECORDS, selection, RECORDS.columns)) as frames:
            assert sum([frame.height async for frame in frames]) == len(rows)


async def test_a_day_stays_while_it_may_be_read(database_url: str, database: Any) -> None:
    """Dropped or written anew it would be empty for the snapshot, and the export would lack it without a word."""
    await stored(database)
    detach = f"ALTER TABLE sensor_records DETACH PARTITION sensor_records_{TODAY:%Y%m%d}"
    await database.execute("SET lock_timeout = '200ms'")
    async with open_snapshot(database_url):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await database.execute(detach)
        await database.execute("INSERT INTO sensor_records SELECT sensor_no, now(), 1, NULL, NULL, 0 FROM sensors")
    await until_none(
        lambda: database.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%export'")
    )
    await database.execute(detach)


async def test_who_may_see_one_facility_reads_that_one(database_url: str, database: Any) -> None:
    rows = await stored(database)
    user = await database.fetchval(
        "INSERT INTO users (username, email, hashed_password, role) VALUES ('a', 'a@gas.test', '', 'User') RETURNING id"
    )
    await database.execute(
        "INSERT INTO permissions (user_id, facility_id, permission_type) VALUES ($1, 'north', 'View')", user
    )
    words = f"SET LOCAL ROLE {WEB_ROLE}; SET LOCAL gasinsight.principal = 'user:{user}'"
    frame = await exported(database_url, "records", words=words)
    assert frame.rows() == [row for row in rows if row[0] == "north"]
    assert (await exported(database_url, "facilities", words=words))["facility_id"].to_list() == ["north"]
    assert set((await exported(database_url, "sensors", words=words))["sensor_id"]) == {"ß-2", "z-3"}
    with pytest.raises(SelectionRefused, match="there is no facility 'south'"):
        await exported(database_url, "records", Asked(("south",)), words=words)


@pytest.mark.parametrize("dataset", DATASETS)
async def test_every_data_set_has_the_columns_it_says(database_url: str, database: Any, dataset: str) -> None:
    await stored(database)
    frame = await exported(database_url, dataset)
    assert frame.schema == schema_of(DATASETS[dataset].columns)


async def test_the_journal_comes_whole_and_in_order_in_slices(database_url: str, database: Any) -> None:
    numbers = await insert_sensors(database, SENSORS)
    await database.execute(
        """INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
               recorded_at, priority, alert_type, message, explanation, late, actor, reason)
           SELECT n, 'south', n::text, CASE WHEN n % 3 > 0 THEN $1::int END, 'high', 1,
                  CASE WHEN n % 2 > 0 THEN 'activated' ELSE 'returned' END, now() - n * interval '1 s', now(), 'high',
                  'Anomaly', 'Problem', '{"a": 1}', false, '', ''
             FROM generate_series(1, 100) n""",
        numbers["b-1"],
    )
    with patch("engine.exports.reading.SLICE_ROWS", 7):
        frame = await exported(database_url, "alarms")
        alerts = await exported(database_url, "alerts")
        of_sensor = await exported(database_url, "alarms", Asked(sensor_ids=("b-1",)))
        of_north = await exported(database_url, "alarms", Asked(("north",)))
    assert frame["id"].to_list() == list(range(1, 101))
    assert frame["sensor_id"].null_count() == 33
    assert alerts["id"].to_list() == list(range(1, 101, 2))
    assert of_sensor["sensor_id"].to_list() == ["b-1"] * 67
    assert of_north.height == 0


@pytest.mark.parametrize("dataset", ["records", "alarms"])
async def test_who_stops_in_the_middle_leaves_no_transaction(database_url: str, database: Any, dataset: str) -> None:
    await stored(database)
    with patch("engine.exports.pieces.PIECE_ROWS", 10), patch("engine.exports.reading.SLICE_ROWS", 5):
        async with open_snapshot(database_url) as snapshot:
            selection = await find(snapshot.readers[0], Asked())
            async with aclosing(read(snapshot, DATASETS[dataset], selection, DATASETS[dataset].columns)) as frames:
                async for _ in frames:
                    break
    await until_none(
        lambda: database.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gasinsight-export'")
    )


async def until_none(count: Callable[[], Any]) -> None:
    for _ in range(200):
        if await count() == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("sessions of the export are still there")


async def test_about_how_many_readings_there_are(database_url: str, database: Any) -> None:
    rows = await stored(database)
    numbers = {row["id"]: row["sensor_no"] for row in await database.fetch("SELECT id, sensor_no FROM sensors")}
    yesterday = TODAY - timedelta(days=1)
    await database.executemany(
        "INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, readings, good) VALUES ($1, 86400, $2, 9, 40, 9)",
        [(number, yesterday) for number in numbers.values()],
    )
    told: list[int] = []
    async with open_snapshot(database_url) as snapshot:
        selection = await find(snapshot.planner, Asked(start_us=us(yesterday), end_us=us(TODAY)))
        async with aclosing(read(snapshot, RECORDS, selection, RECORDS.columns, told.append)) as frames:
            found = sum([frame.height async for frame in frames])
    assert told == [found] == [160] == [sum(row[2].date() == yesterday.date() for row in rows)]
