"""What a replay reads: kept checkpoints, the log, the journal, and what is set today. One connection, one snapshot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from engine.historian.connecting import connect
from engine.historian.connection import prepare_connection
from engine.historian.group import unpacked_readings
from engine.historian.queries import SQL
from engine.model import EntryKind, LogEntry
from engine.replay.course import Step
from engine.replay.proposing import SetNow
from engine.replay.rows import Key, Told, of_row

ENTRIES_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 1_000
IDLE_S_MAX: Final = 600
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0;"
    f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S_MAX}s'"
)


@dataclass(frozen=True, slots=True)
class Point:
    """A kept checkpoint. `commit_no` 0: the facility's beginning, without a state."""

    commit_no: int
    recorded_at_us: int
    is_break: bool = False


class Reader:
    """What is asked of a connection, one after the other: the log is read ahead while the journal is asked for."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        async with self._turn:
            return list(await self._connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: object) -> Any | None:
        async with self._turn:
            return await self._connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        async with self._turn:
            return await self._connection.fetchval(sql, *arguments)


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Reader]:
    """A connection that sees the database at one moment and reads only."""
    settings = {"jit": "off", "application_name": "gasinsight replay", "timezone": "UTC"}
    connection = await connect(database_url, server_settings=settings)
    try:
        await prepare_connection(connection)
        await connection.execute(_BEGIN)
        yield Reader(connection)
    finally:
        connection.terminate()


async def set_now(connection: Any, facility_id: str) -> SetNow | None:
    """None: no such facility."""
    if await connection.fetchrow(SQL["facility_get"], facility_id) is None:
        return None
    sensors = await connection.fetch(SQL["sensors_of"], facility_id)
    rules = await connection.fetch(SQL["rules_of"], facility_id)
    detection = await connection.fetch(SQL["replay_detection"], facility_id)
    numbered = await connection.fetch(SQL["replay_group_numbers"], facility_id)
    groups = await connection.fetchval(SQL["groups_of"], facility_id)
    return SetNow(
        facility_id,
        {row["id"]: row["type"] for row in sensors},
        frozenset(row["sensor_no"] for row in sensors) | {row["no"] for row in numbered},
        {row["sensor_id"] or row["sensor_type"]: json.loads(row["settings"]) for row in rules},
        {row["sensor_id"] or row["sensor_type"]: _said(row) for row in detection},
        json.loads(groups) if groups else {},
        {row["name"]: row["no"] for row in numbered},
    )


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name[:7] != "sensor_" and row[name] is not None}  # noqa: SIM118


async def start(connection: Any, facility_id: str, before_us: int) -> Point | None:
    """Where a replay that judges from `before_us` on begins; None: there is nothing to begin with."""
    first = await connection.fetchrow(SQL["replay_first_entry"], facility_id)
    held = await connection.fetchrow(SQL["replay_start"], facility_id, before_us)
    is_from_the_beginning = first is not None and first["commit_no"] == 1
    if is_from_the_beginning and (held is None or held["recorded_at"] >= before_us):
        return Point(0, first["recorded_at"])
    return None if held is None else Point(held["commit_no"], held["recorded_at"])


async def points_after(connection: Any, facility_id: str, commit_no: int) -> list[Point]:
    rows = await connection.fetch(SQL["replay_points"], facility_id, commit_no)
    return [Point(row["commit_no"], row["recorded_at"], row["is_break"]) for row in rows]


async def state_at(connection: Any, facility_id: str, commit_no: int) -> tuple[int, bytes]:
    """The version of the core that wrote it, and the state."""
    row = await connection.fetchrow(SQL["replay_state"], facility_id, commit_no)
    return row["core_version"], row["state"]


async def steps(connection: Any, facility_id: str, after_no: int, until_us: int) -> AsyncGenerator[list[Step], None]:
    """Whole steps in their order, in pieces; the next piece is read while the caller works at one."""
    piece = await _piece(connection, facility_id, [], after_no, until_us)
    while True:
        ahead = None
        if not piece.is_end:
            following = _piece(connection, facility_id, piece.held, piece.last_no, until_us)
            ahead = asyncio.create_task(following, name=f"log of {facility_id}")
        try:
            if piece.steps:
                yield piece.steps
            if ahead is None:
                return
            piece = await ahead
        finally:
            if ahead is not None:
                ahead.cancel()


@dataclass(frozen=True, slots=True)
class _Piece:
    """`held`: rows of a step that may go on in the next piece."""

    steps: list[Step]
    held: list[Any]
    last_no: int
    is_end: bool


async def _piece(connection: Any, facility_id: str, held: list[Any], after_no: int, until_us: int) -> _Piece:
    rows = await connection.fetch(SQL["replay_log"], facility_id, after_no, until_us, ENTRIES_AT_ONCE)
    is_end = len(rows) < ENTRIES_AT_ONCE
    known = [*held, *rows]
    first_no = known[-1]["first_no"] if known and not is_end else None
    ready = [row for row in known if row["first_no"] != first_no]
    grouped = groupby(ready, key=lambda row: row["first_no"])
    return _Piece(
        [_step(list(group)) for _, group in grouped],
        known[len(ready) :],
        rows[-1]["commit_no"] if rows else after_no,
        is_end,
    )


def _step(rows: Sequence[Any]) -> Step:
    entries = tuple(LogEntry(row["commit_no"], EntryKind(row["kind"]), row["payload"]) for row in rows)
    return Step(entries, unpacked_readings(rows[0]["not_stored"]), rows[0]["recorded_at"])


class Journal:
    """The facility's rows of a period, taken as far as the replay has come."""

    def __init__(self, connection: Any, facility_id: str, from_us: int, until_us: int) -> None:
        self._connection = connection
        self._asked = facility_id, from_us, until_us
        self._after_id = 0
        self._rows: list[Any] = []
        self._is_end = False

    async def take(self, up_to_us: int) -> list[tuple[int, Told]]:
        """Rows that were recorded up to then, with their moments."""
        taken: list[tuple[int, Told]] = []
        while True:
            while self._rows and self._rows[0]["recorded_at"] <= up_to_us:
                row = self._rows.pop(0)
                taken.append((row["recorded_at"], of_row(row)))
            if self._rows or self._is_end:
                return taken
            facility_id, from_us, until_us = self._asked
            asked = facility_id, self._after_id, from_us, until_us, ROWS_AT_ONCE
            self._rows = list(await self._connection.fetch(SQL["replay_journal"], *asked))
            self._is_end = len(self._rows) < ROWS_AT_ONCE
            if self._rows:
                self._after_id = self._rows[-1]["id"]


async def told_before(connection: Any, facility_id: str, keys: Sequence[Key], until_us: int) -> list[Key]:
    """Which of these rows the journal has, from before `until_us`."""
    found: list[Key] = []
    for place in range(0, len(keys), ROWS_AT_ONCE):
        columns = [list(column) for column in zip(*keys[place : place + ROWS_AT_ONCE], strict=True)]
        rows = await connection.fetch(SQL["replay_told"], facility_id, *columns, until_us)
        found += [(row["alarm_key"], row["transition"], row["event_time"], row["rule_version"]) for row in rows]
    return found
