"""Partitions and retention in one run: the leader does it hourly, `gasinsight db maintain` when somebody asks.

Each step can end anywhere and be begun again: what it has to do is read from the database, not remembered. Runs take
turns, also those of different processes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from engine.faultpoints import reached
from engine.historian import rollups
from engine.historian.connection import open_writer
from engine.historian.partitions import (
    ROWS_AT_ONCE,
    Day,
    PutOff,
    day_of,
    days,
    drop_day,
    expire_rows,
    give_back,
    make_day,
    partition_name,
    start_us,
)
from engine.historian.queries import SQL
from engine.retention import Retention
from engine.settings import Settings

DAYS_BACK: Final = 1
DAYS_AHEAD: Final = 7
STATEMENT_S_MAX: Final = 3_600.0
"""Copying a day of a large site takes minutes; nobody waits for it."""
STRAYS_COUNTED_MAX: Final = 10_000
"""How many readings of the default partition a look every minute counts."""
TURN_S: Final = 0.5
PASSES_MAX: Final = 1_000

Floors = Mapping[str, dt.date]
"""By type of sensor the first day that is kept."""


@dataclass(frozen=True, slots=True)
class Did:
    """One thing that was done, or would be.

    what   waiting, made, set_aside, dropped, expired, given_back, rollups_expired, log_trimmed,
           commands_expired, put_off
    name   of the partition, or the width of the rollups
    """

    what: str
    name: str
    rows: int = 0
    bytes: int = 0
    why: str = ""


Told = Callable[[Did], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done. `thin`: days that stay, with the types of sensors whose readings go."""

    make: tuple[tuple[dt.date, int], ...]
    drop: tuple[Day, ...]
    thin: tuple[tuple[Day, tuple[str, ...]], ...]
    rollups: tuple[tuple[int, dt.date], ...]


def ahead_us(now_us: int) -> int:
    """Readings from here on have no day yet, and get one when it comes nearer."""
    return start_us(day_of(now_us) + dt.timedelta(days=DAYS_AHEAD))


@asynccontextmanager
async def opened(database_url: str, settings: Settings) -> AsyncIterator[Any]:
    """A connection whose statements may take long."""
    connection = await open_writer(database_url, settings.model_copy(update={"commit_timeout_s": STATEMENT_S_MAX}))
    try:
        yield connection
    finally:
        connection.terminate()


async def maintain(connection: Any, retention: Retention, now_us: int, told: Told) -> None:
    """Everything that is due, each step told when it is done. `connection` is this run's alone and closed after it."""
    await _take_turn(connection, told)
    await _raise_floors(connection, retention, now_us)
    await _try(told, "retention", _settle(connection))
    if rows := await _set_old_strays_aside(connection, now_us):
        told(Did("set_aside", "sensor_records_default", rows=rows))
    # Only now: an import may make days too, and what it moves there of old strays would be planned by nobody.
    floors, cleared = await _floors(connection)
    plan = await _plan(connection, retention, now_us, floors, cleared)
    for day, _ in plan.make:
        await _try(told, partition_name(day), _make(connection, day, told))
    put_off = [each.day for each in plan.drop if not await _try(told, each.name, _drop(connection, each, told))]
    for each, types in plan.thin:
        if not await _try(told, each.name, _thin(connection, each, types, told)):
            put_off.append(each.day)
    await connection.execute(SQL["floors_cleared"], start_us(min([max(floors.values()), *put_off])))
    for width_s, first in plan.rollups:
        await _expire_rollups(connection, width_s, first, told)
    await _trim_log(connection, retention, now_us, told)
    await _expire_commands(connection, retention, now_us, told)


async def planned(connection: Any, retention: Retention, now_us: int, told: Told) -> list[Day]:
    """Tell what `maintain` would do, and change nothing; every day there is."""
    floors, cleared = await _floors(connection)
    wanted = _wanted_floors(retention, now_us)
    floors = {each: max(day, floors.get(each, day)) for each, day in wanted.items()}
    plan = await _plan(connection, retention, now_us, floors, cleared)
    starts = [start_us(day) for day in floors.values()]
    if old_strays := await connection.fetchval(SQL["old_strays_count"], list(floors), starts):
        told(Did("set_aside", "sensor_records_default", rows=old_strays))
    for made, rows in plan.make:
        told(Did("made", partition_name(made), rows=rows))
    for day in plan.drop:
        told(Did("dropped", day.name, rows=day.readings or 0, bytes=day.bytes))
    for day, types in plan.thin:
        numbers = await _sensors(connection, types)
        rows = await connection.fetchval(f"SELECT count(*) FROM {day.name} WHERE sensor_no = ANY($1::int4[])", numbers)  # noqa: S608
        if rows:
            told(Did("expired", day.name, rows=rows, why=", ".join(types)))
    for width_s, first in plan.rollups:
        if rows := await connection.fetchval(SQL["rollups_old_count"], width_s, start_us(first)):
            told(Did("rollups_expired", f"{width_s} s", rows=rows))
    ends = await connection.fetch(SQL["log_ends"], _log_from_us(retention, now_us))
    if entries := sum([await connection.fetchval(SQL["log_trim_count"], *end) for end in ends if end["commit_no"]]):
        told(Did("log_trimmed", "commit log", rows=entries))
    if rows := await connection.fetchval(SQL["refused_commands_old"], _commands_from_us(retention, now_us)):
        told(Did("commands_expired", "refused commands", rows=rows))
    return await days(connection)


async def _take_turn(connection: Any, told: Told) -> None:
    is_told = False
    while not await connection.fetchval(SQL["maintenance_turn"]):
        if not is_told:
            told(Did("waiting", "another run is at it"))
            is_told = True
        await asyncio.sleep(TURN_S)


def _wanted_floors(retention: Retention, now_us: int) -> dict[str, dt.date]:
    return {each.value: day for each, day in retention.readings_from(day_of(now_us)).items()}


async def _floors(connection: Any) -> tuple[dict[str, dt.date], dict[str, dt.date]]:
    """From which days on readings are there, and up to which days the rest has gone already."""
    rows = await connection.fetch(SQL["floors_get"])
    settled = {row["sensor_type"]: day_of(row["settled_to"]) for row in rows}
    return settled, {row["sensor_type"]: day_of(row["cleared_to"]) for row in rows}


async def _raise_floors(connection: Any, retention: Retention, now_us: int) -> None:
    """From here on commits set aside what is older, so that nothing comes behind those who clear away."""
    wanted = _wanted_floors(retention, now_us)
    await connection.execute(SQL["floors_raise"], list(wanted), [start_us(day) for day in wanted.values()])
    await reached("floors_raised")


async def _settle(connection: Any) -> None:
    """The rollups of what is stored by now are computed before any of it goes, and not from what is left of it."""
    newest = await connection.fetchval(SQL["rollup_mark_newest"])
    for _ in range(PASSES_MAX):
        if newest is None or not await connection.fetchval(SQL["rollup_marks_left"], newest):
            await connection.execute(SQL["floors_settled"])
            return
        if not await rollups.rollup_pass(connection):
            await asyncio.sleep(TURN_S)  # the engine's own pass is at it
    raise PutOff("rollups of what would go are still to be computed")


async def _plan(connection: Any, retention: Retention, now_us: int, floors: Floors, cleared: Floors) -> Plan:
    today = day_of(now_us)
    present = await days(connection)
    own = {each.day for each in present}
    ahead = {today + dt.timedelta(days=number): 0 for number in range(-DAYS_BACK, DAYS_AHEAD + 1)}
    oldest = min(floors.values(), default=None)
    strays = await connection.fetch(SQL["stray_days"], ahead_us(now_us))
    wanted = ahead | {row["day"]: row["readings"] for row in strays if oldest is None or row["day"] >= oldest}
    gone = [each for each in present if oldest is not None and each.day < oldest]
    thin = []
    for each in present:
        types = [name for name, day in floors.items() if cleared.get(name, each.day) <= each.day < day]
        if types and each not in gone:
            thin.append((each, tuple(types)))
    return Plan(
        make=tuple((day, rows) for day, rows in sorted(wanted.items()) if day not in own),
        drop=tuple(gone),
        thin=tuple(thin),
        # None whose readings are still to be rolled up: what is wider would be made anew of what is left.
        rollups=tuple(
            (width_s, first if oldest is None else min(first, oldest))
            for width_s, first in retention.rollups_from(today).items()
        ),
    )


async def _set_old_strays_aside(connection: Any, now_us: int) -> int:
    rows = 0
    while True:
        async with connection.transaction():
            if await connection.execute(SQL["old_strays_stage"], ROWS_AT_ONCE) == "INSERT 0 0":
                return rows
            rows += len(await connection.fetch(SQL["staged_old_set_aside"], now_us))
            await reached("strays_set_aside")


async def _try(told: Told, name: str, step: Any) -> bool:
    try:
        await step
    except PutOff as error:
        told(Did("put_off", name, why=str(error)))
        return False
    return True


async def _make(connection: Any, day: dt.date, told: Told) -> None:
    rows = await make_day(connection, day)
    if rows is not None:
        told(Did("made", partition_name(day), rows=rows))


async def _drop(connection: Any, day: Day, told: Told) -> None:
    await drop_day(connection, day.name)
    told(Did("dropped", day.name, rows=day.readings or 0, bytes=day.bytes))


async def _thin(connection: Any, day: Day, types: tuple[str, ...], told: Told) -> None:
    removed = sum([rows async for rows in expire_rows(connection, day.name, await _sensors(connection, types))])
    if removed:
        told(Did("expired", day.name, rows=removed, why=", ".join(types)))
    if freed := await give_back(connection, day):
        told(Did("given_back", day.name, bytes=freed))


async def _sensors(connection: Any, types: tuple[str, ...]) -> list[int]:
    return [row["sensor_no"] for row in await connection.fetch(SQL["sensors_of_types"], list(types))]


async def _expire_rollups(connection: Any, width_s: int, first: dt.date, told: Told) -> None:
    rows = 0
    removed = ROWS_AT_ONCE
    while removed == ROWS_AT_ONCE:
        done = await connection.execute(SQL["rollups_expire"], width_s, start_us(first), ROWS_AT_ONCE)
        removed = int(done.rpartition(" ")[2])
        rows += removed
        await reached("rollups_expired")
    if rows:
        told(Did("rollups_expired", f"{width_s} s", rows=rows))


def _commands_from_us(retention: Retention, now_us: int) -> int:
    return start_us(day_of(now_us) - dt.timedelta(days=retention.days))


async def _expire_commands(connection: Any, retention: Retention, now_us: int, told: Told) -> None:
    """Only what was refused: of the others the journal tells, and reads here who asked."""
    before_us = _commands_from_us(retention, now_us)
    if rows := await _in_pieces(connection, SQL["refused_commands_expire"], before_us):
        told(Did("commands_expired", "refused commands", rows=rows))


async def _in_pieces(connection: Any, statement: str, *arguments: object) -> int:
    """How many rows the statement removed, never so many at once that somebody waits long."""
    rows = 0
    removed = ROWS_AT_ONCE
    while removed == ROWS_AT_ONCE:
        done = await connection.execute(statement, *arguments, ROWS_AT_ONCE)
        removed = int(done.rpartition(" ")[2])
        rows += removed
    return rows


def _log_from_us(retention: Retention, now_us: int) -> int | None:
    """From when on replays are possible; None: from now."""
    return None if retention.log_days == 0 else start_us(day_of(now_us) - dt.timedelta(days=retention.log_days))


async def _trim_log(connection: Any, retention: Retention, now_us: int, told: Told) -> None:
    """What no replay may ask for any more, and no load needs."""
    entries = 0
    for facility_id, commit_no in await connection.fetch(SQL["log_ends"], _log_from_us(retention, now_us)):
        if commit_no is None:
            continue
        entries += await _in_pieces(connection, SQL["log_trim"], facility_id, commit_no)
        await connection.execute(SQL["kept_trim"], facility_id, commit_no)
    if entries:
        told(Did("log_trimmed", "commit log", rows=entries))
