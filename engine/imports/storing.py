"""Rows into the database, in transactions of bounded size, each with its marks; or only compared with what is there.

A reading is stored under its sensor and time, so that whoever is interrupted begins again and ends the same. What a
live commit and an import both bring is stored once, whoever was first.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import polars as pl

from engine.clock import US_PER_S
from engine.faultpoints import reached
from engine.historian.connecting import connect
from engine.historian.connection import connection_options, prepare_connection
from engine.historian.partitions import day_of, make_days
from engine.historian.queries import SQL
from engine.historian.rollups import rollup_pass
from engine.settings import Settings

APPLICATION_NAME: Final = "gasinsight import"
BATCH_ROWS: Final = 20_000
"""Of one transaction, a fraction of a second."""
ATTEMPTS: Final = 5
PAUSE_S: Final = 0.5
_DAY_US: Final = 86_400 * US_PER_S
COLUMNS: Final = ("sensor_no", "at_us", "value", "text", "score", "flags")
PRESENT: Final = pl.Schema({"sensor_no": pl.Int32, "at_us": pl.Int64, "value": pl.Float64, "text": pl.String})
AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.CheckViolationError)
"""Somebody else was in the way, or has made a day's partition meanwhile: the same again works."""

_OF_THESE: Final = """
stored.sensor_no = staging.sensor_no AND stored.tracked_at = staging.tracked_at
AND stored.tracked_at BETWEEN (SELECT min(tracked_at) FROM staging) AND (SELECT max(tracked_at) FROM staging)
"""
_PRESENT: Final = f"""
SELECT stored.sensor_no, stored.tracked_at, stored.value, stored.text_value
FROM staging JOIN sensor_records stored ON {_OF_THESE}
"""  # noqa: S608
_LEAVE_OUT: Final = """
WITH held AS (
    SELECT sensor_no, coalesce(kept_from, '-infinity') AS kept_from
    FROM sensors LEFT JOIN retention_floors ON sensor_type = type
    WHERE sensor_no = ANY (ARRAY(SELECT DISTINCT sensor_no FROM staging))
    ORDER BY sensor_no FOR KEY SHARE OF sensors
), left_out AS (
    DELETE FROM staging WHERE NOT EXISTS (
        SELECT FROM held WHERE held.sensor_no = staging.sensor_no AND staging.tracked_at >= kept_from)
    RETURNING sensor_no, sensor_no IN (SELECT sensor_no FROM held) AS is_there
)
SELECT sensor_no, is_there, count(*) AS rows FROM left_out GROUP BY sensor_no, is_there ORDER BY sensor_no
"""
"""Whoever removes a sensor waits for those who store its readings, or they find it gone: none is left behind."""
_STORE: Final = """
WITH stored AS (
    INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, score, flags)
    SELECT sensor_no, tracked_at, value, text_value, score, flags FROM staging
    ON CONFLICT (sensor_no, tracked_at) DO NOTHING
    RETURNING sensor_no, tracked_at
), marked AS (
    INSERT INTO rollup_dirty (facility_id, minute)
    SELECT DISTINCT facility_id, date_trunc('minute', tracked_at, 'UTC') FROM stored JOIN sensors USING (sensor_no)
)
SELECT count(*) FROM stored
"""
_TAKE_SAME_OUT: Final = f"""
DELETE FROM staging USING sensor_records stored
WHERE {_OF_THESE} AND staging.value IS NOT DISTINCT FROM stored.value
    AND (staging.value IS NOT NULL OR staging.text_value IS NOT DISTINCT FROM stored.text_value)
"""  # noqa: S608
"""The spelling of a number is no difference, unlike live; what is left is one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of some rows: new ones, those that are there, and those that are there with another value.

    gone, old  by number of the sensor: not stored, for it was removed, or the retention went on, since they were judged
    """

    stored: int = 0
    already_there: int = 0
    conflicts: int = 0
    gone: Mapping[int, int] = field(default_factory=dict)
    old: Mapping[int, int] = field(default_factory=dict)


@asynccontextmanager
async def open_store(database_url: str, settings: Settings) -> AsyncIterator[Store]:
    """A connection of its own, which no historian takes for one of theirs."""
    options = connection_options(settings)
    options["server_settings"]["application_name"] = APPLICATION_NAME
    async with AsyncExitStack() as stack:
        connection = await connect(database_url, **options)
        stack.callback(connection.terminate)
        await prepare_connection(connection)
        await connection.execute(SQL["staging_create"])
        yield Store(connection)


class Store:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def present(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What is stored for their sensors and times; writes nothing."""
        async with self.connection.transaction():
            await self._stage(rows)
            found = await self.connection.fetch(_PRESENT)
        return pl.DataFrame([tuple(row) for row in found], PRESENT, orient="row")

    async def make_days(self, rows: pl.DataFrame) -> set[dt.date]:
        """Their days have partitions, but for those that are put off, which are told: their rows go to the default one
        meanwhile."""
        days = {day_of(at_us) for at_us in (rows["at_us"] // _DAY_US * _DAY_US).unique()}
        return set(await make_days(self.connection, days))

    async def write(self, rows: pl.DataFrame, now_us: int) -> Counts:
        """In one transaction; then rollups are made, so that those of live readings never wait behind an import."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.connection.transaction():
                    counts = await self._write(rows, now_us)
                    await reached("piece_stored")
                await reached("piece_committed")
                break
            except AGAIN:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(PAUSE_S)
        while await rollup_pass(self.connection):
            pass  # until there are no marks, or somebody else is at it
        return counts

    async def _write(self, rows: pl.DataFrame, now_us: int) -> Counts:
        await self._stage(rows)
        left_out = await self.connection.fetch(_LEAVE_OUT)
        gone = {row["sensor_no"]: row["rows"] for row in left_out if not row["is_there"]}
        old = {row["sensor_no"]: row["rows"] for row in left_out if row["is_there"]}
        staged = rows.height - sum(gone.values()) - sum(old.values())
        stored = await self.connection.fetchval(_STORE)
        if stored == staged:
            return Counts(stored, gone=gone, old=old)
        same = int((await self.connection.execute(_TAKE_SAME_OUT)).rpartition(" ")[2])
        if same < staged:
            await self.connection.execute(SQL["conflicts_record"], now_us)
        return Counts(stored, same - stored, staged - same, gone, old)

    async def _stage(self, rows: pl.DataFrame) -> None:
        await self.connection.copy_records_to_table("staging", records=rows.select(COLUMNS).iter_rows())


def batches(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """In the order of time, so that each minute is marked about once; of rows of one time the first stays first."""
    return rows.sort("at_us", "sensor_no", maintain_order=True).iter_slices(BATCH_ROWS)
