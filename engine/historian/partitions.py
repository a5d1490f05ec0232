"""One partition of `sensor_records` a UTC day: made ahead, filled up from the default partition, dropped by age."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import asyncpg
import structlog

from engine.clock import US_PER_S
from engine.historian.queries import SQL

DAYS_BACK = 1
DAYS_AHEAD = 7
_DAY_US = 86_400 * US_PER_S
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"  # others queue behind a waiting lock: give up early, come again
MOVE_S_MAX = 600.0
_PUT_OFF = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.CheckViolationError,
    asyncpg.DuplicateTableError,
    asyncpg.UniqueViolationError,
)
"""Busy, or a commit has just put another reading of that day into the default partition, or somebody else makes it."""
_log = structlog.get_logger(__name__)


def partition_name(day: dt.date) -> str:
    return f"sensor_records_{day:%Y%m%d}"


def day_of(time_us: int) -> dt.date:
    """The UTC day a moment lies in."""
    return dt.datetime.fromtimestamp(time_us // US_PER_S, dt.UTC).date()


def start_us(day: dt.date) -> int:
    return round(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp()) * US_PER_S


async def make_partitions(connection: Any, now_us: int, retention_days: int) -> list[str]:
    """Yesterday to a week ahead, and every day within the retention whose readings lie in the default partition."""
    today = day_of(now_us)
    present = {row["day"] for row in await connection.fetch(SQL["partitions"])}
    wanted = {today + dt.timedelta(days=days) for days in range(-DAYS_BACK, DAYS_AHEAD + 1)}
    oldest_us = now_us - retention_days * _DAY_US
    stray = await connection.fetch(SQL["partition_days_missing"], oldest_us, now_us + DAYS_AHEAD * _DAY_US)
    wanted |= {row["day"] for row in stray if row["day"] > day_of(oldest_us)}
    put_off = await make_days(connection, wanted - present)
    for day, reason in put_off.items():
        _log.info("partition_put_off", partition=partition_name(day), reason=reason)
    return [partition_name(day) for day in sorted(wanted - present - put_off.keys())]


async def make_days(connection: Any, days: Collection[dt.date]) -> dict[dt.date, str]:
    """Those of these days that have no partition; which are put off, and why."""
    present = {row["day"] for row in await connection.fetch(SQL["partitions"])}
    put_off = {}
    for day in sorted(set(days) - present):
        try:
            await _make_partition(connection, day)
        except _PUT_OFF as error:
            put_off[day] = str(error)
    return put_off


async def _make_partition(connection: Any, day: dt.date) -> None:
    """Beside the parent, filled with what the default partition has of it, then attached.

    Attaching locks out neither readers nor writers of the other partitions, unlike CREATE TABLE … PARTITION OF.
    """
    name = partition_name(day)
    first, end = (f"{moment:%Y-%m-%d} 00:00:00+00" for moment in (day, day + dt.timedelta(days=1)))
    async with connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute(f"SET LOCAL statement_timeout = '{MOVE_S_MAX:.0f}s'")
        await connection.execute(f"CREATE TABLE {name} (LIKE sensor_records INCLUDING ALL)")
        await connection.execute(
            f"WITH moved AS (DELETE FROM sensor_records_default WHERE tracked_at >= '{first}' AND tracked_at < '{end}' "  # noqa: S608
            f"RETURNING *) INSERT INTO {name} SELECT * FROM moved",
            timeout=MOVE_S_MAX,
        )
        await connection.execute(
            f"ALTER TABLE sensor_records ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')",
            timeout=MOVE_S_MAX,
        )


async def drop_old_partitions(connection: Any, now_us: int, retention_days: int) -> list[str]:
    """Days that lie wholly before the retention, and readings that old in the default partition."""
    oldest_us = now_us - retention_days * _DAY_US
    dropped = []
    for row in await connection.fetch(SQL["partitions"]):
        if row["day"] >= day_of(oldest_us):
            continue
        try:
            async with connection.transaction():
                await connection.execute(_LOCK_TIMEOUT)
                await connection.execute(f"ALTER TABLE sensor_records DETACH PARTITION {row['name']}")
                await connection.execute(f"DROP TABLE {row['name']}")
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            _log.info("partition_drop_put_off", partition=row["name"], reason=str(error))
        else:
            dropped.append(row["name"])
    while await connection.execute(SQL["default_readings_expire"], start_us(day_of(oldest_us))) != "DELETE 0":
        pass
    return dropped
