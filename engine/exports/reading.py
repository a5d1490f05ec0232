"""Frames of a dataset: binary COPY from PostgreSQL, decoded by the native core, in a stable order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.clock import US_PER_S
from engine.exports.copying import copy, copy_in_slices
from engine.exports.datasets import RECORDS, Column, Dataset
from engine.exports.pieces import DAY_US, Piece, divide
from engine.exports.selection import WHOLE_US, Selection
from engine.exports.snapshot import Snapshot
from native import CopiedRows, CopyDecoder, SensorPlaces

SLICE_ROWS: Final = 50_000
PIECES_AHEAD: Final = 1
"""Beside one a connection: so that PostgreSQL has something to do while whoever writes is slow."""
_KEYS: Final = {"facility_id", "sensor_id"}
"""Columns of a reading that follow from its sensor's number."""

_DAYS_OF_PARTITIONS: Final = """
SELECT to_date(right(child.relname, 8), 'YYYYMMDD') AS day
  FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
 WHERE inhparent = 'sensor_records'::regclass AND child.relname ~ '^sensor_records_[0-9]{8}$'
   AND pg_relation_size(child.oid) > 0
"""
_DAYS_BY_DEFAULT: Final = """
SELECT (tracked_at AT TIME ZONE 'UTC')::date AS day, count(*) AS readings FROM sensor_records_default
 WHERE sensor_no = ANY($1::int[]) AND tracked_at >= $2::text::timestamptz AND tracked_at < $3::text::timestamptz
 GROUP BY 1
"""
_DAYS_ROLLED_UP: Final = """
SELECT (bucket AT TIME ZONE 'UTC')::date AS day, sum(readings)::float8 AS readings FROM reading_rollups
 WHERE width_s = 86400 AND sensor_no = ANY($1::int[])
   AND bucket > $2::text::timestamptz - interval '1 day' AND bucket < $3::text::timestamptz
 GROUP BY 1
"""


def read(
    snapshot: Snapshot,
    dataset: Dataset,
    selection: Selection,
    columns: Sequence[Column],
    expect: Callable[[int], object] = lambda _: None,
) -> AsyncGenerator[pl.DataFrame, None]:
    """At most SLICE_ROWS rows each. Memory is that of a piece a connection, however long the range.

    `expect` is told about how many readings there will be, before the first; of other data sets nobody knows.
    """
    if dataset is RECORDS:
        return _read_records(snapshot, selection, columns, expect)
    return _read_table(snapshot.readers[0], dataset, selection, columns)


def _about_how_many(days: Mapping[int, float], selection: Selection) -> int:
    start_us, end_us = selection.asked.start_us, selection.asked.end_us
    parts = ((min(end_us, day + DAY_US) - max(start_us, day)) / DAY_US * rows for day, rows in days.items())
    return round(sum(max(0.0, part) for part in parts))


async def _read_records(
    snapshot: Snapshot, selection: Selection, columns: Sequence[Column], expect: Callable[[int], object]
) -> AsyncGenerator[pl.DataFrame, None]:
    days = await _days_of(snapshot, selection)
    expect(_about_how_many(days, selection))
    pieces = divide(days, selection.readings_a_day, selection.asked.start_us, selection.asked.end_us)
    reading = _Reading(selection, columns)
    async with aclosing(_in_order(snapshot.readers, pieces, reading)) as found:
        async for rows in found:
            for frame in rows:
                yield frame


async def _days_of(snapshot: Snapshot, selection: Selection) -> dict[int, float]:
    """Every day that may have readings of the selection, and about how many: those rolled up, else as expected."""
    about = (selection.numbers.tolist(), _moment(selection.asked.start_us), _moment(selection.asked.end_us))

    async def counted() -> tuple[list[Any], list[Any]]:
        planner = snapshot.planner
        return await planner.fetch(_DAYS_ROLLED_UP, *about), await planner.fetch(_DAYS_BY_DEFAULT, *about)

    # What partitions there are, whoever asks may know; each question takes about as long as the other.
    partitions, (rolled_up, by_default) = await asyncio.gather(
        snapshot.readers[0].fetch(_DAYS_OF_PARTITIONS), counted()
    )
    expected = float(selection.readings_a_day.sum())
    rows = {_day_us(row["day"]): expected for row in partitions}
    for row in rolled_up:
        day_us = _day_us(row["day"])
        if day_us in rows and day_us + DAY_US <= _now_us():  # what is not over yet grows
            rows[day_us] = row["readings"]
    return rows | {_day_us(row["day"]): row["readings"] for row in by_default}


def _now_us() -> int:
    return round(datetime.now(UTC).timestamp() * US_PER_S)


def _day_us(day: Any) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * US_PER_S


class _Reading:
    """Reads one piece: the statement, the columns it gives, and how they become those asked for."""

    def __init__(self, selection: Selection, columns: Sequence[Column]) -> None:
        self._selection = selection
        self._columns = columns
        stored = [column for column in columns if column.name not in _KEYS | {"tracked_at"}]
        self._copied = [
            ("sensor_no", "int32"),
            ("tracked_at", "time"),
            *((column.name, column.kind) for column in stored),
        ]
        self._fields = ", ".join(["sensor_no", "tracked_at", *(column.sql for column in stored)])
        self._places = SensorPlaces(selection.numbers, selection.sensor_facilities, selection.sensor_ids)

    async def copied(self, connection: Any, piece: Piece) -> CopyDecoder:
        numbers = _array(self._selection.numbers[piece.first_rank : piece.end_rank])
        statement = (
            f"SELECT {self._fields} FROM {RECORDS.source} WHERE sensor_no = ANY({numbers})"  # noqa: S608 - numbers only
            f" AND tracked_at >= '{_moment(piece.start_us)}' AND tracked_at < '{_moment(piece.end_us)}'"
        )
        decoder = CopyDecoder(self._copied)
        await _copy(connection, statement, (), decoder)
        return decoder

    def frames(self, decoder: CopyDecoder) -> list[pl.DataFrame]:
        rows = pl.DataFrame(self._places.in_order(decoder.take()))
        chosen = rows.select(column.name for column in self._columns)
        return [chosen[start : start + SLICE_ROWS] for start in range(0, chosen.height, SLICE_ROWS)]


def _array(numbers: NDArray[np.int32]) -> str:
    return f"'{{{','.join(str(number) for number in numbers.tolist())}}}'::int[]"


def _moment(time_us: int) -> str:
    """As PostgreSQL reads it; what lies beyond its calendar is its end."""
    if time_us <= WHOLE_US[0]:
        return "-infinity"
    if time_us >= WHOLE_US[1]:
        return "infinity"
    seconds, us = divmod(time_us, US_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{us:06}+00"


async def _read_table(
    connection: Any, dataset: Dataset, selection: Selection, columns: Sequence[Column]
) -> AsyncGenerator[pl.DataFrame, None]:
    conditions = [dataset.about.format(numbers=_array(selection.numbers))]
    if dataset.time:
        since, until = _moment(selection.asked.start_us), _moment(selection.asked.end_us)
        conditions.append(f"{dataset.time} >= '{since}' AND {dataset.time} < '{until}'")
    fields = ", ".join(column.sql for column in columns)
    statement = f"SELECT {fields} FROM {dataset.source} WHERE {' AND '.join(conditions)} ORDER BY {dataset.order}"  # noqa: S608
    arguments = [list(selection.facility_ids)] if "$1" in statement else []
    decoder = CopyDecoder([(column.name, column.kind) for column in columns])
    full: asyncio.Queue[pl.DataFrame | None] = asyncio.Queue(1)

    async def fill() -> None:
        await _copy(connection, statement, arguments, decoder, full)
        await full.put(None)

    task = asyncio.create_task(fill())
    try:
        while (frame := await _next(full, task)) is not None:
            for start in range(0, frame.height, SLICE_ROWS):
                yield frame[start : start + SLICE_ROWS]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(full: asyncio.Queue[pl.DataFrame | None], task: asyncio.Task[None]) -> pl.DataFrame | None:
    """What comes next; raises why nothing does."""
    getting = asyncio.create_task(full.get())
    try:
        await asyncio.wait((getting, task), return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and task.done():
            task.result()
        return await getting
    finally:
        getting.cancel()


async def _copy(
    connection: Any,
    statement: str,
    arguments: Iterable[object],
    decoder: CopyDecoder,
    full: asyncio.Queue[pl.DataFrame | None] | None = None,
) -> None:
    """Everything into the decoder; where somebody waits for them, rows leave it as soon as they make a slice."""
    query = (statement, *arguments)
    if full is None:
        await copy(connection, query, decoder)
        return

    async def give(rows: CopiedRows) -> None:
        await full.put(pl.DataFrame(rows))

    await copy_in_slices(connection, query, decoder, SLICE_ROWS, give)


async def _in_order(
    connections: Sequence[Any], pieces: Iterable[Piece], reading: _Reading
) -> AsyncGenerator[list[pl.DataFrame], None]:
    """They are given in their order. Each connection reads a piece, also while one that was given is worked on."""
    free: asyncio.Queue[Any] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def one(piece: Piece) -> list[pl.DataFrame]:
        connection = await free.get()
        try:
            decoder = await reading.copied(connection, piece)
        finally:
            free.put_nowait(connection)  # PostgreSQL has the next piece to find while this one is put in order
        return await asyncio.to_thread(reading.frames, decoder)

    running: deque[asyncio.Task[list[pl.DataFrame]]] = deque()
    try:
        for piece in pieces:
            running.append(asyncio.create_task(one(piece)))
            if len(running) > len(connections) + PIECES_AHEAD:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
