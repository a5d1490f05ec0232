"""One partition of `sensor_records` a UTC day: made, filled from the default partition, thinned out, dropped.

Each step is one transaction that waits for no lock longer than a moment, for the commits queue behind it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from engine.clock import US_PER_S
from engine.faultpoints import reached
from engine.historian.queries import SQL

LOCK_WAIT_MS_MAX: Final = 200
TRIES_MAX: Final = 5
TRY_AGAIN_S: Final = 0.5
ROWS_AT_ONCE: Final = 10_000
EMPTY_SHARE_MIN: Final = 0.2
"""Of a day, from which on its place is given back."""
GIVEN_BACK_BYTES_MIN: Final = 1024**2
# Which readings there are, not only how many: while some come others may go. A reading never changes.
_CONTENT: Final = """
SELECT count(*), coalesce(sum((hashint4(sensor_no) # hashfloat8(date_part('epoch', tracked_at)))::int8), 0) FROM {}
"""
_PAGE_FILLED: Final = 0.97  # what rows can take of their pages, heads and gaps left out
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)

_IS_THERE = (asyncpg.DuplicateTableError, asyncpg.UniqueViolationError)  # the latter while the other one is at it


class PutOff(Exception):
    """A step could not be done now and has changed nothing; it is for the next time."""


@dataclass(frozen=True, slots=True)
class Day:
    """A partition. `readings`: as PostgreSQL estimates them, None before it has counted."""

    name: str
    day: dt.date
    bytes: int
    readings: int | None


def partition_name(day: dt.date) -> str:
    return f"sensor_records_{day:%Y%m%d}"


def day_of(time_us: int) -> dt.date:
    """The UTC day a moment lies in."""
    return dt.datetime.fromtimestamp(time_us // US_PER_S, dt.UTC).date()


def start_us(day: dt.date) -> int:
    return round(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp()) * US_PER_S


async def days(connection: Any) -> list[Day]:
    """Every day that has a partition, oldest first."""
    return [
        Day(row["name"], row["day"], row["bytes"], row["readings"]) for row in await connection.fetch(SQL["partitions"])
    ]


async def make_days(connection: Any, wanted: Collection[dt.date]) -> dict[dt.date, str]:
    """Those of these days that have no partition; which are put off, and why."""
    present = {day.day for day in await days(connection)}
    put_off = {}
    for day in sorted(set(wanted) - present):
        try:
            await make_day(connection, day)
        except PutOff as error:
            put_off[day] = str(error)
    return put_off


async def make_day(connection: Any, day: dt.date) -> int | None:
    """Beside the parent, filled with what the default partition has of it, then attached; how many were moved.

    None: somebody else, who looked as we did, has made it first.
    Attaching locks out neither readers nor writers of the other partitions, unlike CREATE TABLE … PARTITION OF.
    """
    name = partition_name(day)
    moved = 0

    async def make() -> None:
        nonlocal moved
        await connection.execute(f"CREATE TABLE {name} (LIKE sensor_records INCLUDING ALL)")
        filled = await connection.execute(
            f"WITH moved AS (DELETE FROM sensor_records_default WHERE {_within(day)} RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved"
        )
        moved = int(filled.rpartition(" ")[2])
        await reached("day_filled")
        await connection.execute(_attaching(name, day))

    try:
        await _in_passing(connection, make)
    except _IS_THERE:
        return None
    return moved


async def drop_day(connection: Any, name: str) -> None:
    """Detached and dropped at once: there is no day that is neither here nor gone."""

    async def drop() -> None:
        await connection.execute(f"ALTER TABLE sensor_records DETACH PARTITION {name}")
        await connection.execute(f"DROP TABLE {name}")
        await reached("day_dropped")

    await _in_passing(connection, drop)


async def expire_rows(connection: Any, name: str, sensor_nos: Sequence[int]) -> AsyncIterator[int]:
    """Remove the readings of these sensors from a day, in pieces; yields how many each piece had."""
    piece = (
        f"DELETE FROM {name} WHERE ctid = ANY (ARRAY("  # noqa: S608
        f"SELECT ctid FROM {name} WHERE sensor_no = $1 LIMIT {ROWS_AT_ONCE}))"
    )
    for sensor_no in sensor_nos:
        removed = ROWS_AT_ONCE
        while removed == ROWS_AT_ONCE:
            removed = int((await connection.execute(piece, sensor_no)).rpartition(" ")[2])
            await reached("rows_expired")
            yield removed


async def give_back(connection: Any, day: Day) -> int:
    """Write a day anew without the room of removed readings, where that is worth it; the bytes that this freed.

    Nothing waits while the readings are copied. Then writers of late readings into this very day wait until they are
    counted, and everybody for the moment in which one table takes the place of the other. VACUUM FULL would lock
    readers out all the time, and who reads every day with them; plain VACUUM gives back nothing amid a table.
    """
    used, size = await connection.fetchrow(
        f"SELECT coalesce(sum(pg_column_size(stored) + 4), 0)::int8, pg_relation_size('{day.name}') "  # noqa: S608
        f"FROM {day.name} stored"
    )
    if size * _PAGE_FILLED - used < max(GIVEN_BACK_BYTES_MIN, EMPTY_SHARE_MIN * size):
        await connection.execute(f"VACUUM {day.name}")
        return 0

    async def write_anew() -> None:
        anew, bounds = f"{day.name}_anew", _within(day.day)
        await connection.execute(f"CREATE TABLE {anew} (LIKE sensor_records INCLUDING ALL)")
        await connection.execute(f"INSERT INTO {anew} SELECT * FROM {day.name}")  # noqa: S608
        copied = await connection.fetchrow(_CONTENT.format(anew))
        # Proven now, beside the parent, so that attaching reads nothing under its lock.
        await connection.execute(f"ALTER TABLE {anew} ADD CONSTRAINT of_its_day CHECK ({bounds})")
        await reached("day_copied")
        await connection.execute(f"LOCK TABLE {day.name} IN SHARE MODE")
        if await connection.fetchrow(_CONTENT.format(day.name)) != copied:
            raise PutOff("readings of that day came or went meanwhile")
        await connection.execute(f"ALTER TABLE sensor_records DETACH PARTITION {day.name}")
        await connection.execute(f"DROP TABLE {day.name}")
        await connection.execute(f"ALTER TABLE {anew} RENAME TO {day.name}")
        await connection.execute(f"ALTER INDEX {anew}_pkey RENAME TO {day.name}_pkey")
        await connection.execute(_attaching(day.name, day.day))
        await connection.execute(f"ALTER TABLE {day.name} DROP CONSTRAINT of_its_day")
        await reached("day_swapped")

    await _in_passing(connection, write_anew)
    await connection.execute(f"VACUUM (ANALYZE) {day.name}")
    return day.bytes - int(await connection.fetchval(f"SELECT pg_total_relation_size('{day.name}')"))


def _bounds(day: dt.date) -> tuple[str, str]:
    first, end = (f"{moment:%Y-%m-%d} 00:00:00+00" for moment in (day, day + dt.timedelta(days=1)))
    return first, end


def _within(day: dt.date) -> str:
    first, end = _bounds(day)
    return f"tracked_at >= '{first}' AND tracked_at < '{end}'"


def _attaching(name: str, day: dt.date) -> str:
    first, end = _bounds(day)
    return f"ALTER TABLE sensor_records ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')"


async def _in_passing(connection: Any, work: Callable[[], Awaitable[None]]) -> None:
    """`work` in one transaction, some times if others are in its way; raises PutOff when they stay there."""
    for pause_s in (TRY_AGAIN_S,) * (TRIES_MAX - 1) + (None,):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS_MAX}ms'")
                await work()
        except (*_BUSY, asyncpg.CheckViolationError) as error:
            # The latter: a commit has just put another reading of that day into the default partition.
            if pause_s is None:
                raise PutOff(str(error)) from error
            await asyncio.sleep(pause_s)
        else:
            return
