"""What survives a kill: the messages of all queues in one SQLite file, written in groups.

Whatever is asked for while one group is being written forms the next: one transaction, one fsync. SQLite runs in one
thread; answers come back on the event loop in the order of the questions, writes of a group before its reads.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from engine.errors import BusError
from engine.local_bus.message import Content


class State(IntEnum):
    """As the wire names them (`x-opt-message-state`)."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class Row(NamedTuple):
    """One message as it is stored; times in microseconds since 1970."""

    sequence_number: int
    queue: int
    state: int
    delivery_count: int
    enqueued_us: int
    due_us: int
    ttl_ms: int | None
    annotation_items: int
    annotations: bytes
    sections: bytes

    @property
    def content(self) -> Content:
        return Content(self.ttl_ms, self.annotation_items, self.annotations, self.sections)


class InactiveMessage(NamedTuple):
    """A message that is not active, without its content."""

    sequence_number: int
    state: int
    delivery_count: int
    due_us: int


class StoredQueue(NamedTuple):
    """What a queue holds at start."""

    active: int
    inactive: list[InactiveMessage]


class BusStoreError(BusError):
    """SQLite refused a group (disk full, read-only, damaged); nothing of the group was written."""

    def __init__(self, problem: str, *, full: bool = False) -> None:
        super().__init__(problem)
        self.full = full


Done = Callable[[BusStoreError | None], None]
Read = Callable[[sqlite3.Connection], object]
RowsRead = Callable[[sqlite3.Connection], list[Row]]
Answer = TypeVar("Answer")


@dataclass
class _Group:
    """What the next transaction does: the lists are applied in the order they stand here."""

    inserts: list[Row] = field(default_factory=list)
    updates: dict[int, tuple[int, int]] = field(default_factory=dict)
    deletes: list[int] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    reads: list[tuple[Read, asyncio.Future[Any]]] = field(default_factory=list)


_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS messages (
    sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    delivery_count INTEGER NOT NULL,
    enqueued_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    ttl_ms INTEGER,
    annotation_items INTEGER NOT NULL,
    annotations BLOB NOT NULL,
    sections BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, sequence_number);
"""
_COLUMNS = len(Row._fields)
_UPDATE = """
UPDATE messages SET state = change.state, delivery_count = change.delivery_count
FROM (SELECT json_extract(value, '$[0]') AS sequence_number, json_extract(value, '$[1]') AS state,
             json_extract(value, '$[2]') AS delivery_count FROM json_each(?)) AS change
WHERE messages.sequence_number = change.sequence_number
"""
_DELETE = "DELETE FROM messages WHERE sequence_number IN (SELECT value FROM json_each(?))"
_SCHEMA_VERSION = 1
LOCKED_S_MAX = 2.0
# Rows of one INSERT: one statement lets go of the GIL once, where executemany would for each row. Few sizes, so that
# SQLite's prepared statements are found again.
_INSERT_ROWS = (512, 64, 8, 1)


class Store:
    """The file; `submit` and `read` are called on the event loop that called `open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-bus-store")
        self._next = _Group()
        self._writing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._scheduled = False

    async def open(self, queues: Sequence[str]) -> dict[str, tuple[int, StoredQueue]]:
        """Make or open the file; per queue its number there and what it holds."""
        self._loop = asyncio.get_running_loop()
        self._connection, stored = await self._loop.run_in_executor(self._thread, _open, self._path, queues)
        return stored

    async def last_sequence_number(self) -> int:
        """The highest ever given, also of messages that are gone."""
        return await self.read(_last_sequence_number)

    def submit(
        self,
        done: Done,
        *,
        insert: Iterable[Row] = (),
        update: Iterable[tuple[int, int, int]] = (),
        delete: Iterable[int] = (),
    ) -> None:
        """Write all of it or nothing; `done` is called on the event loop: it is on disk, or the reason why not.

        `update` is (sequence number, state, delivery count).
        """
        group = self._next
        group.inserts.extend(insert)
        for sequence_number, state, delivery_count in update:
            group.updates[sequence_number] = (state, delivery_count)
        group.deletes.extend(delete)
        group.done.append(done)
        self._wake()

    async def read(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `question` in SQLite's thread, after all that was submitted before."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._next.reads.append((question, answer))
        self._wake()
        return cast("Answer", await answer)

    async def flush(self) -> None:
        """Wait until everything submitted so far is on disk."""
        await self._idle.wait()

    async def close(self) -> None:
        await self.flush()
        await self._loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _wake(self) -> None:
        self._idle.clear()
        if not self._writing and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        self._writing = True
        group, self._next = self._next, _Group()
        writing = self._loop.run_in_executor(self._thread, _write, self._connection, group)
        writing.add_done_callback(lambda future: self._finish(group, future))

    def _finish(self, group: _Group, future: asyncio.Future[tuple[BusStoreError | None, list[object]]]) -> None:
        self._writing = False
        error, answers = future.result()
        for done in group.done:
            done(error)
        for (_, asked), answer in zip(group.reads, answers, strict=True):
            if asked.cancelled():
                continue
            if isinstance(answer, BusStoreError):
                asked.set_exception(answer)
            else:
                asked.set_result(answer)
        if self._next.done or self._next.reads:
            self._wake()
        else:
            self._idle.set()


def _open(path: Path, names: Sequence[str]) -> tuple[sqlite3.Connection, dict[str, tuple[int, StoredQueue]]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=LOCKED_S_MAX, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
        connection.executemany("INSERT OR IGNORE INTO queues (name) VALUES (?)", [(name,) for name in names])
        return connection, {name: _stored_queue(connection, name) for name in names}
    except sqlite3.DatabaseError as error:
        connection.close()
        hint = "; another local bus is running on it" if "locked" in str(error) else ""
        raise BusStoreError(f"{path}: {error}{hint}") from error
    except BusStoreError:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for setting in (
        "locking_mode = EXCLUSIVE",
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 4000",
    ):
        connection.execute(f"PRAGMA {setting}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _SCHEMA_VERSION):
        raise BusStoreError(f"{path} has version {version}, this program reads {_SCHEMA_VERSION}; use the newer one")
    connection.executescript(_SCHEMA)
    if version == 0:  # a write: a full disk must not keep a bus from handing out what it holds
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _stored_queue(connection: sqlite3.Connection, name: str) -> tuple[int, StoredQueue]:
    (queue,) = connection.execute("SELECT id FROM queues WHERE name = ?", (name,)).fetchone()
    (active,) = connection.execute(
        "SELECT count(*) FROM messages WHERE queue = ? AND state = ?", (queue, State.ACTIVE)
    ).fetchone()
    inactive = connection.execute(
        "SELECT sequence_number, state, delivery_count, due_us FROM messages WHERE queue = ? AND state <> ?"
        " ORDER BY sequence_number",
        (queue, State.ACTIVE),
    )
    return queue, StoredQueue(active, [InactiveMessage(*row) for row in inactive])


def _write(connection: sqlite3.Connection, group: _Group) -> tuple[BusStoreError | None, list[object]]:
    """One transaction, then the group's reads; runs in SQLite's thread."""
    error: BusStoreError | None = None
    try:
        if group.done:
            _write_rows(connection, group)
    except sqlite3.Error as failure:
        full = getattr(failure, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        error = BusStoreError(f"the local bus cannot write: {failure}", full=full)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return error, [_answer(connection, question) for question, _ in group.reads]


def _write_rows(connection: sqlite3.Connection, group: _Group) -> None:
    connection.execute("BEGIN IMMEDIATE")
    at = 0
    for rows in _INSERT_ROWS:
        while len(group.inserts) - at >= rows:
            values: list[object] = []
            for row in group.inserts[at : at + rows]:
                values.extend(row)
            connection.execute(_INSERTS[rows], values)
            at += rows
    if group.updates:
        changes = [(number, *change) for number, change in group.updates.items()]
        connection.execute(_UPDATE, (json.dumps(changes),))
    if group.deletes:
        connection.execute(_DELETE, (json.dumps(group.deletes),))
    connection.execute("COMMIT")


def _answer(connection: sqlite3.Connection, question: Read) -> object:
    try:
        return question(connection)
    except sqlite3.Error as failure:
        return BusStoreError(f"the local bus cannot read: {failure}")


def _insert_statement(rows: int) -> str:
    row = "(" + ", ".join("?" * _COLUMNS) + ")"
    return "INSERT INTO messages VALUES " + ", ".join([row] * rows)  # noqa: S608 - no text from outside in it


_INSERTS = {rows: _insert_statement(rows) for rows in _INSERT_ROWS}


def _last_sequence_number(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return row[0] if row else 0


def active_after(queue: int, sequence_number: int, count_max: int, bytes_max: int) -> RowsRead:
    """Question: the next active messages of `queue` behind `sequence_number`, in order, within both bounds."""

    def question(connection: sqlite3.Connection) -> list[Row]:
        cursor = connection.execute(
            "SELECT * FROM messages WHERE queue = ? AND sequence_number > ? AND state = ?"
            " ORDER BY sequence_number LIMIT ?",
            (queue, sequence_number, State.ACTIVE, count_max),
        )
        return _within(cursor, bytes_max)

    return question


def numbered(sequence_numbers: Sequence[int], bytes_max: int | None = None) -> RowsRead:
    """Question: these messages, in order; the first of them only when there are more bytes than `bytes_max`."""

    def question(connection: sqlite3.Connection) -> list[Row]:
        cursor = connection.execute(
            "SELECT * FROM messages WHERE sequence_number IN (SELECT value FROM json_each(?)) ORDER BY sequence_number",
            (json.dumps(list(sequence_numbers)),),
        )
        return _within(cursor, bytes_max)

    return question


def browse(queue: int, from_sequence_number: int, count_max: int, bytes_max: int) -> RowsRead:
    """Question: messages of `queue` in any state, from a sequence number on."""

    def question(connection: sqlite3.Connection) -> list[Row]:
        cursor = connection.execute(
            "SELECT * FROM messages WHERE queue = ? AND sequence_number >= ? ORDER BY sequence_number LIMIT ?",
            (queue, from_sequence_number, count_max),
        )
        return _within(cursor, bytes_max)

    return question


def _within(cursor: sqlite3.Cursor, bytes_max: int | None) -> list[Row]:
    """Rows until they have `bytes_max` bytes, at least one."""
    rows: list[Row] = []
    size = 0
    for values in cursor:
        row = Row(*values)
        size += len(row.sections)
        if bytes_max is not None and rows and size > bytes_max:
            break
        rows.append(row)
    cursor.close()
    return rows
