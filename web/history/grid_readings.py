"""The cells of a grid that hold readings, from the readings or, over long windows, from the stored rollups.

A rollup is a pure function of its readings and is marked when one is added, so both ways give the same cells; sums
are added up in another order, which may show in the last digits of a mean (docs/decisions/0049).
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import numpy as np

from engine.clock import US_PER_S
from web.database import Queries
from web.history.grid import Window
from web.history.rollup_choice import DAY_US, RAW, WIDTHS_US, Grid, Stretches, Times, choose_rollups
from web.wire.times import from_us, to_us

# $4 step, $5 scale: 1, or a small power of two when a sum would overflow
# good: numeric, and none of the flags text (2), non-finite (4), out of physical range (128), as rollups have it
_SUMS = """
       count(*) AS readings,
       count(value) AS numbers,
       count(value) FILTER (WHERE flags & 134 = 0) AS good,
       sum(value * $5::float8) AS total,
       min(value) AS lowest,
       max(value) AS highest,
       max(tracked_at) AS last_at,
       min(text_value COLLATE "C") AS a_text
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
 GROUP BY 1
"""
READ_CELLS = (  # $6 what t0 is rounded down to
    """
WITH first AS MATERIALIZED (
    SELECT date_bin($6, tracked_at, 'epoch') AS t0
      FROM sensor_records
     WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
     ORDER BY tracked_at
     LIMIT 1
)
SELECT date_bin($4, tracked_at, (SELECT t0 FROM first)) AS start_at,
       (SELECT t0 FROM first) AS t0,"""  # noqa: S608 - of constants
    + _SUMS
)
READ_PART = "SELECT date_bin($4, tracked_at, $6) AS start_at," + _SUMS  # $6 t0
READ_FIRST = """
SELECT tracked_at FROM sensor_records WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3 ORDER BY tracked_at LIMIT 1
"""
READ_MARKS = "SELECT DISTINCT minute FROM rollup_dirty WHERE facility_id = $1"
# Aggregated stretch by stretch, so that PostgreSQL cannot join the stretches with a whole table instead.
READ_ROLLUPS = """
SELECT stretch.start_at, stretch.end_at, found.*
  FROM unnest($2::timestamptz[], $3::timestamptz[]) stretch (start_at, end_at)
 CROSS JOIN LATERAL (
     SELECT sum(readings)::int8 AS readings, sum(n)::int8 AS numbers, sum(good)::int8 AS good,
            sum(sum * $5::float8) AS total, min(min) AS lowest, max(max) AS highest
       FROM reading_rollups
      WHERE sensor_no = $1 AND width_s = $4 AND bucket >= stretch.start_at AND bucket < stretch.end_at
 ) found
 WHERE found.readings > 0
"""
# The same of stretches that lie close together: one way through all of their rollups. $2 start, end, start, end, ...
READ_CLOSE_ROLLUPS = """
SELECT ($2::timestamptz[])[place] AS start_at, ($2::timestamptz[])[place + 1] AS end_at, found.*
  FROM (
     SELECT width_bucket(bucket, $2::timestamptz[]) AS place, sum(readings)::int8 AS readings, sum(n)::int8 AS numbers,
            sum(good)::int8 AS good, sum(sum * $4::float8) AS total, min(min) AS lowest, max(max) AS highest
       FROM reading_rollups
      WHERE sensor_no = $1 AND width_s = $3 AND bucket >= $5 AND bucket < $6
      GROUP BY 1
 ) found
 WHERE place % 2 = 1 AND readings > 0
"""
# The bounds of all stretches together say which days are opened, and a plan for any parameters opens no other.
READ_STRETCHES = """
SELECT stretch.start_at, stretch.end_at, found.*
  FROM unnest($2::timestamptz[], $3::timestamptz[]) stretch (start_at, end_at)
 CROSS JOIN LATERAL (
     SELECT count(*) AS readings, count(value) AS numbers, count(value) FILTER (WHERE flags & 134 = 0) AS good,
            sum(value * $4::float8) AS total, min(value) AS lowest, max(value) AS highest
       FROM sensor_records
      WHERE sensor_no = $1 AND tracked_at >= stretch.start_at AND tracked_at < stretch.end_at
        AND tracked_at >= $5 AND tracked_at < $6
 ) found
 WHERE found.readings > 0
"""
READ_LAST = """
SELECT stretch.start_at, found.*
  FROM unnest($2::timestamptz[], $3::timestamptz[]) stretch (start_at, end_at)
 CROSS JOIN LATERAL (
     SELECT tracked_at, value, text_value
       FROM sensor_records
      WHERE sensor_no = $1 AND tracked_at >= stretch.start_at AND tracked_at < stretch.end_at
        AND tracked_at >= $4 AND tracked_at < $5
      ORDER BY tracked_at DESC
      LIMIT 1
 ) found
"""
SMALL_SCALE = 2.0**-64
# A window of so many is read from them in some milliseconds, or some ten: those of one sensor lie scattered among those
# of all others of their time, where a bench has them close together.
WORTH_READINGS = 10_000
# With a partition a day, planning for a year takes longer than reading what is wanted of it.
PLAN_ONCE = "SET LOCAL plan_cache_mode = force_generic_plan"
FIRST_WITHIN_US = (DAY_US, 30 * DAY_US, sys.maxsize)
"""How far to look for the first reading; most sensors have one at once, and each day that is opened costs."""
# A short window concerns a day or two; PostgreSQL would plan for all days at the sixth time, to see what that costs.
PLAN_FOR_WINDOW = "SET LOCAL plan_cache_mode = force_custom_plan"
CELL_ROWS = 100  # about what a cell costs that is put together from rollups, in readings


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose cells, and which. `unit_us`: what t0, the first reading's time, is rounded down to."""

    sensor_no: int
    facility_id: str
    window: Window
    unit_us: int

    @property
    def readings(self) -> int:
        """About how many there are."""
        return max(0, self.window.end_us - self.window.start_us) // self.window.expected_interval_us

    @property
    def is_long(self) -> bool:
        """Whether the way over the rollups is the shorter one."""
        window = self.window
        if self.unit_us in WIDTHS_US:  # every cell is made of whole rollups
            others = max(0, window.end_us - window.start_us) // self.unit_us
        else:
            others = CELL_ROWS * window.cells_max
        return self.readings > max(WORTH_READINGS, others)


@dataclass(slots=True)
class Cell:
    """A cell with readings. `total` is their sum times the scale of its `Cells`.

    Without numbers that, `lowest` and `highest` mean nothing. `last_at_us` may be too late where the next cell also has
    readings, for then nobody asks.
    """

    start_us: int
    readings: int
    numbers: int
    good: int
    total: float
    lowest: float
    highest: float
    last_at_us: int
    a_text: str | None

    def add(self, row: Any) -> None:
        self.readings += row["readings"]
        self.numbers += row["numbers"]
        self.good += row["good"]
        if row["numbers"]:
            self.total += row["total"]
            self.lowest = min(self.lowest, row["lowest"])
            self.highest = max(self.highest, row["highest"])


@dataclass(frozen=True, slots=True)
class Cells:
    """In order of time; none when there is no reading in the window."""

    t0_us: int
    rows: list[Cell]
    scale: float


@asynccontextmanager
async def about_sensor(database: Queries, sensor_no: int, settings: str = "") -> AsyncIterator[Any]:
    """A connection whose transaction names the sensor: row-level security then asks once whether the caller may."""
    async with database.transaction() as connection:
        await connection.execute(f"SET LOCAL gasinsight.sensor = {sensor_no:d};{settings}")
        yield connection


async def read_window(database: Queries, asked: Asked) -> Cells:
    """All cells of a short window, from the readings."""
    window = asked.window
    step, unit = _interval(window.step_us), _interval(asked.unit_us)
    between = asked.sensor_no, from_us(window.start_us), from_us(window.end_us), step

    async def read(scale: float) -> Cells:
        async with about_sensor(database, asked.sensor_no, PLAN_FOR_WINDOW) as connection:
            rows = await connection.fetch(READ_CELLS, *between, scale, unit)
        return _cells(to_us(rows[0]["t0"]) if rows else 0, rows, scale)

    return await _finite(read)


async def read_first_us(database: Queries, asked: Asked) -> int | None:
    """When the first reading of the window is."""
    start_us, end_us = asked.window.start_us, asked.window.end_us
    async with about_sensor(database, asked.sensor_no, PLAN_ONCE) as connection:
        for ahead_us in FIRST_WITHIN_US:
            until_us = min(end_us, start_us + ahead_us)
            first = await connection.fetchval(READ_FIRST, asked.sensor_no, from_us(start_us), from_us(until_us))
            if first is not None:
                return to_us(first)
            if until_us == end_us:
                break
    return None


async def read_part(database: Queries, marks: Queries, asked: Asked, part: Grid) -> Cells:
    """The cells of a part of the window. `marks`: where the rollups that must not be used are told; callers may not see
    that.
    """

    async def read(scale: float) -> Cells:
        if asked.is_long:
            return await _from_rollups(database, marks, asked, part, scale)
        step, t0 = _interval(part.step_us), from_us(part.t0_us)
        between = asked.sensor_no, from_us(part.first_us), from_us(part.last_us), step
        async with about_sensor(database, asked.sensor_no, PLAN_FOR_WINDOW) as connection:
            return _cells(part.t0_us, await connection.fetch(READ_PART, *between, scale, t0), scale)

    return await _finite(read)


async def _finite(read: Callable[[float], Awaitable[Cells]]) -> Cells:
    try:
        return await read(1.0)
    except asyncpg.NumericValueOutOfRangeError:  # the sum of finite readings is not finite
        return await read(SMALL_SCALE)


def _cells(t0_us: int, rows: list[Any], scale: float) -> Cells:
    rows.sort(key=lambda row: row["start_at"])  # PostgreSQL would sort every reading for it
    cells = [
        Cell(
            to_us(row["start_at"]),
            row["readings"],
            row["numbers"],
            row["good"],
            row["total"],
            row["lowest"],
            row["highest"],
            to_us(row["last_at"]),
            row["a_text"],
        )
        for row in rows
    ]
    return Cells(t0_us, cells, scale)


async def _from_rollups(database: Queries, marks: Queries, asked: Asked, part: Grid, scale: float) -> Cells:
    # Marks first: a mark that goes away afterwards leaves a rollup that is newer, never one that is older.
    dirty_us = np.array(
        [to_us(row["minute"]) for row in await marks.rows(READ_MARKS, asked.facility_id)], dtype=np.int64
    )
    number, window = asked.sensor_no, asked.window
    async with about_sensor(database, number, PLAN_ONCE) as connection:
        found = await _pieces(connection, number, choose_rollups(part, dirty_us), scale)
        cells: dict[int, Cell] = {}
        for row in found:
            start_us = part.t0_us + (to_us(row["start_at"]) - part.t0_us) // part.step_us * part.step_us
            if start_us not in cells:
                cells[start_us] = Cell(start_us, 0, 0, 0, 0.0, math.inf, -math.inf, start_us + part.step_us - 1, None)
            cells[start_us].add(row)
        ordered = [cells[start_us] for start_us in sorted(cells)]
        await _look_at_last(connection, number, window, ordered)
    return Cells(part.t0_us, ordered, scale)


async def _pieces(connection: Any, number: int, stretches: dict[int, Stretches], scale: float) -> list[Any]:
    """Rows of sums; a stretch whose rollups leave readings out, texts or huge numbers, is read anew."""
    found: list[Any] = []
    raw_starts, raw_ends = _moments(stretches[RAW].starts_us), _moments(stretches[RAW].ends_us)
    for width_us in WIDTHS_US:
        for row in await _rollups(connection, number, stretches[width_us], width_us // US_PER_S, scale):
            if row["numbers"] == row["readings"]:
                found.append(row)
            else:
                raw_starts.append(row["start_at"])
                raw_ends.append(row["end_at"])
    if raw_starts:
        bounds = raw_starts, raw_ends
        found += await connection.fetch(READ_STRETCHES, number, *bounds, scale, min(raw_starts), max(raw_ends))
    return found


async def _rollups(connection: Any, number: int, stretches: Stretches, width_s: int, scale: float) -> list[Any]:
    """A row of sums for each stretch that has readings."""
    starts, ends = _moments(stretches.starts_us), _moments(stretches.ends_us)
    found: list[Any] = []
    if stretches.are_close:
        bounds = [bound for pair in zip(starts, ends, strict=True) for bound in pair]
        found = await connection.fetch(READ_CLOSE_ROLLUPS, number, bounds, width_s, scale, starts[0], ends[-1])
    elif starts:
        found = await connection.fetch(READ_ROLLUPS, number, starts, ends, width_s, scale)
    return found


async def _look_at_last(connection: Any, number: int, window: Window, cells: list[Cell]) -> None:
    """The last reading of the cells that show it: alone, only texts, or before an empty cell of the window."""
    step_us = window.step_us
    filled_us = {cell.start_us for cell in cells}
    wanted = [
        cell
        for cell in cells
        if cell.readings == 1
        or not cell.numbers
        or (cell.start_us + step_us not in filled_us and cell.start_us + step_us <= window.end_us)
    ]
    if not wanted:
        return
    starts = [from_us(cell.start_us) for cell in wanted]
    ends = [from_us(min(cell.start_us + step_us, window.end_us + 1)) for cell in wanted]
    cell_at = dict(zip(starts, wanted, strict=True))
    for start_at, last_at, value, text in await connection.fetch(READ_LAST, number, starts, ends, starts[0], ends[-1]):
        cell = cell_at[start_at]
        cell.last_at_us, cell.a_text = to_us(last_at), text
        if cell.readings == 1:
            cell.lowest = value


def _moments(times_us: Times) -> list[datetime]:
    return [from_us(time_us) for time_us in times_us.tolist()]


def _interval(us: int) -> timedelta:
    return timedelta(microseconds=us)
