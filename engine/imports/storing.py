"""Rows into the database, in transactions of bounded size, each with its marks; or only compared with what is there.

A reading is stored under its sensor and time, so that whoever is interrupted begins again and ends the same. What a
live commit and an import both bring is stored once, whoever was first.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import polars as pl

from engine.clock import US_PER_S
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
AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.CheckViolationError)
"""Somebody else was in the way, or has made a day's partition meanwhile: the same again works."""

_DIFFERS: Final = """
(staging.value IS DISTINCT FROM stored.value
 OR (staging.value IS NULL AND staging.text_value IS DISTINCT FROM stored.text_value))
"""
_OF_THESE: Final = """
staging JOIN sensor_records stored USING (sensor_no, tracked_at)
 WHERE stored.tracked_at BETWEEN (SELECT min(tracked_at) FROM staging) AND (SELECT max(tracked_at) FROM staging)
"""
_COMPARE: Final = f"""
SELECT count(*) AS there, count(*) FILTER (WHERE {_DIFFERS}) AS conflicts FROM {_OF_THESE}
"""  # noqa: S608
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
_KEEP_CONFLICTS: Final = f"""
INSERT INTO reading_conflicts (sensor_no, tracked_at, value, text_value, digest, recorded_at)
SELECT staging.sensor_no, staging.tracked_at, staging.value, staging.text_value,
    sha256(coalesce(float8send(staging.value), '') || '|' || coalesce(convert_to(staging.text_value, 'UTF8'), '')),
    clock_timestamp()
FROM {_OF_THESE} AND {_DIFFERS}
ON CONFLICT (sensor_no, tracked_at, digest) DO NOTHING
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Counts:
    """Of some rows: new ones, those that are there, and those that are there with another value."""

    stored: int = 0
    already_there: int = 0
    conflicts: int = 0


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

    async def compare(self, rows: pl.DataFrame) -> Counts:
        """What `write` would do; writes nothing."""
        async with self.connection.transaction():
            await self._stage(rows)
            found = await self.connection.fetchrow(_COMPARE)
        there, conflicts = found["there"], found["conflicts"]
        return Counts(rows.height - there, there - conflicts, conflicts)

    async def make_days(self, rows: pl.DataFrame) -> set[dt.date]:
        """Their days have partitions, but for those that are put off, which are told: their rows go to the default one
        meanwhile."""
        days = {day_of(at_us) for at_us in (rows["at_us"] // _DAY_US * _DAY_US).unique()}
        return set(await make_days(self.connection, days))

    async def write(self, rows: pl.DataFrame) -> Counts:
        """All of them or none; then rollups are made, so that those of live readings never wait behind an import."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.connection.transaction():
                    counts = await self._write(rows)
                break
            except AGAIN:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(PAUSE_S)
        while await rollup_pass(self.connection):
            pass  # until there are no marks, or somebody else is at it
        return counts

    async def _write(self, rows: pl.DataFrame) -> Counts:
        await self._stage(rows)
        stored = await self.connection.fetchval(_STORE)
        if stored == rows.height:
            return Counts(stored)
        found = await self.connection.fetchrow(_COMPARE)
        if found["conflicts"]:
            await self.connection.execute(_KEEP_CONFLICTS)
        return Counts(stored, rows.height - stored - found["conflicts"], found["conflicts"])

    async def _stage(self, rows: pl.DataFrame) -> None:
        await self.connection.copy_records_to_table("staging", records=rows.select(COLUMNS).iter_rows())


def batches(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """In the order of time, so that each minute is marked about once; of rows of one time the first stays first."""
    return rows.sort("at_us", "sensor_no", maintain_order=True).iter_slices(BATCH_ROWS)
