"""The cells of a grid that hold readings, from the readings or, over long windows, from the stored rollups.

A rollup is a pure function of its readings and is marked when one is added, so both ways give the same cells; sums
are added up in another order, which may show in the last digits of a mean (docs/decisions/0049).
"""

from __future__ import annotations

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
from web.history.cells import NO_SUMS, Cells, Sums, gathered, grouped, times_us
from web.history.grid import Window
from web.history.rollup_choice import DAY_US, RAW, WIDTHS_US, Grid, Stretches, Times, choose_rollups
from web.wire.times import from_us, to_us

# $4 step, $5 scale: 1, or a small power of two when a sum would overflow
_SUMS = """
       count(*) AS readings,
       count(value) AS numbers,
       {good} AS good,
       sum(value * $5::float8) AS total,
       min(value) AS lowest,
       max(value) AS highest,
       max(tracked_at) AS last_at,
       min(text_value COLLATE "C") AS a_text
"""
_OF_WINDOW = """
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
 GROUP BY 1
"""
_CELLS = f"""
WITH first AS MATERIALIZED (
    SELECT date_bin($6, tracked_at, 'epoch') AS t0
      FROM sensor_records
     WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
     ORDER BY tracked_at
     LIMIT 1
)
SELECT date_bin($4, tracked_at, (SELECT t0 FROM first)) AS start_at, {_SUMS}, (SELECT t0 FROM first) AS t0 {_OF_WINDOW}
"""  # noqa: S608 - of constants; $6 what t0 is rounded down to
_PART = f"SELECT date_bin($4, tracked_at, $6) AS start_at, {_SUMS} {_OF_WINDOW}"
# good: numeric, and none of the flags text (2), non-finite (4), out of physical range (128), as rollups have it. It is
# counted for who asks only: of a year of readings it takes a sixth of PostgreSQL's time.
GOOD = {True: "count(value) FILTER (WHERE flags & 134 = 0)", False: "0"}
READ_CELLS = {is_counted: _CELLS.format(good=good) for is_counted, good in GOOD.items()}
READ_PART = {is_counted: _PART.format(good=good) for is_counted, good in GOOD.items()}
READ_FIRST = """
SELECT tracked_at FROM sensor_records WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3 ORDER BY tracked_at LIMIT 1
"""
READ_MARKS = "SELECT DISTINCT minute FROM rollup_dirty WHERE facility_id = $1"
STRETCHES = """
  FROM (SELECT place, timestamptz 'epoch' + start_us * interval '1 us' AS start_at,
               timestamptz 'epoch' + end_us * interval '1 us' AS end_at
          FROM unnest($2::int8[], $3::int8[]) WITH ORDINALITY bounds (start_us, end_us, place)) stretch
"""
"""Numbers go to PostgreSQL at a fraction of what moments cost."""
_ROLLUPS = """
       sum(readings)::int8 AS readings, sum(n)::int8 AS numbers, sum(good)::int8 AS good,
       sum(sum * $4::float8) AS total, min(min) AS lowest, max(max) AS highest
  FROM reading_rollups
"""
# Aggregated stretch by stretch, so that PostgreSQL cannot join the stretches with a whole table instead.
READ_ROLLUPS = f"""
SELECT stretch.place, found.*
{STRETCHES}
 CROSS JOIN LATERAL (
     SELECT {_ROLLUPS}
      WHERE sensor_no = $1 AND width_s = $5 AND bucket >= stretch.start_at AND bucket < stretch.end_at
 ) found
 WHERE found.readings > 0
"""
# The same where they are all rollups from the first to the last that lie in one cell: one way through all of them.
READ_CELLS_OF_ROLLUPS = f"""
SELECT date_bin($6, bucket, $7) AS start_at, {_ROLLUPS}
 WHERE sensor_no = $1 AND width_s = $5 AND bucket >= $2 AND bucket < $3
   AND date_bin($6, bucket, $7) = date_bin($6, bucket + $8::interval, $7)
 GROUP BY 1 HAVING sum(readings) > 0
"""
# The bounds of all stretches together say which days are opened, and a plan for any parameters opens no other.
READ_STRETCHES = f"""
SELECT stretch.place, found.*
{STRETCHES}
 CROSS JOIN LATERAL (
     SELECT count(*) AS readings, count(value) AS numbers, count(value) FILTER (WHERE flags & 134 = 0) AS good,
            sum(value * $4::float8) AS total, min(value) AS lowest, max(value) AS highest
       FROM sensor_records
      WHERE sensor_no = $1 AND tracked_at >= stretch.start_at AND tracked_at < stretch.end_at
        AND tracked_at >= $5 AND tracked_at < $6
 ) found
 WHERE found.readings > 0
"""  # noqa: S608 - of constants
READ_LAST = f"""
SELECT stretch.place, found.*
{STRETCHES}
 CROSS JOIN LATERAL (
     SELECT tracked_at, value, text_value
       FROM sensor_records
      WHERE sensor_no = $1 AND tracked_at >= stretch.start_at AND tracked_at < stretch.end_at
        AND tracked_at >= $4 AND tracked_at < $5
      ORDER BY tracked_at DESC
      LIMIT 1
 ) found
"""  # noqa: S608 - of constants
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
    """Whose cells, and which. `unit_us`: what t0, the first reading's time, is rounded down to.

    counts_good  whether `good` of the cells is wanted; else it means nothing
    """

    sensor_no: int
    facility_id: str
    window: Window
    unit_us: int
    counts_good: bool = False

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


@asynccontextmanager
async def about_sensor(database: Queries, sensor_no: int, settings: str = "") -> AsyncIterator[Any]:
    """A connection whose transaction names the sensor: row-level security then asks once whether the caller may."""
    async with database.transaction(f"SET LOCAL gasinsight.sensor = {sensor_no:d}; {settings}") as connection:
        yield connection


async def read_window(database: Queries, asked: Asked) -> Cells:
    """All cells of a short window, from the readings."""
    window = asked.window
    step, unit = _interval(window.step_us), _interval(asked.unit_us)
    between = asked.sensor_no, from_us(window.start_us), from_us(window.end_us), step

    async def read(scale: float) -> Cells:
        async with about_sensor(database, asked.sensor_no, PLAN_FOR_WINDOW) as connection:
            rows = await connection.fetch(READ_CELLS[asked.counts_good], *between, scale, unit)
        t0_us = to_us(rows[0]["t0"]) if rows else 0
        return grouped(t0_us, [row[:-1] for row in rows], scale)

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
            return grouped(part.t0_us, await connection.fetch(READ_PART[asked.counts_good], *between, scale, t0), scale)

    return await _finite(read)


async def _finite(read: Callable[[float], Awaitable[Cells]]) -> Cells:
    try:
        return await read(1.0)
    except asyncpg.NumericValueOutOfRangeError:  # the sum of finite readings is not finite
        return await read(SMALL_SCALE)


async def _from_rollups(database: Queries, marks: Queries, asked: Asked, part: Grid, scale: float) -> Cells:
    # Marks first: a mark that goes away afterwards leaves a rollup that is newer, never one that is older.
    dirty_us = times_us([row["minute"] for row in await marks.rows(READ_MARKS, asked.facility_id)])
    number = asked.sensor_no
    async with about_sensor(database, number, PLAN_ONCE) as connection:
        cells = gathered(part, await SumReader(connection, number, scale).pieces(part, dirty_us), scale)
        await _look_at_last(connection, number, asked.window, cells)
    return cells


@dataclass(frozen=True, slots=True)
class SumReader:
    """Sums over stretches of time of one sensor, in a transaction that is about it. `scale` is as `Cells` has it."""

    connection: Any
    sensor_no: int
    scale: float

    async def pieces(self, part: Grid, dirty_us: Times) -> list[Sums]:
        """Of all that is in a part. A stretch whose rollups leave readings out, texts or huge numbers, is read anew."""
        chosen = choose_rollups(part, dirty_us)
        found: list[Sums] = []
        raw = chosen[RAW]
        for width_us in WIDTHS_US:
            stretches = chosen[width_us]
            if stretches.are_all_of(part, width_us):
                sums = await self._rollups_by_cell(part, stretches, width_us)
            else:
                sums = await self.rollups(stretches, width_us)
            is_whole = sums.numbers == sums.readings
            found.append(sums.at(is_whole))
            raw = raw.followed_by(stretches.at(np.isin(stretches.starts_us, sums.starts_us[~is_whole])))
        return [*found, await self._by_stretch(READ_STRETCHES, raw, *_bounds(raw))]

    async def rollups(self, stretches: Stretches, width_us: int) -> Sums:
        """Of each stretch that has any."""
        return await self._by_stretch(READ_ROLLUPS, stretches, width_us // US_PER_S)

    async def _by_stretch(self, statement: str, stretches: Stretches, *more: object) -> Sums:
        if not len(stretches):
            return NO_SUMS
        bounds = stretches.starts_us.tolist(), stretches.ends_us.tolist()
        rows = await self.connection.fetch(statement, self.sensor_no, *bounds, self.scale, *more)
        if not rows:
            return NO_SUMS
        places, *columns = zip(*rows, strict=True)
        return Sums.of(stretches.starts_us[np.array(places) - 1], columns)

    async def _rollups_by_cell(self, part: Grid, stretches: Stretches, width_us: int) -> Sums:
        """Of stretches that are all rollups that lie in one cell, and so one a cell."""
        cells = _interval(part.step_us), from_us(part.t0_us), _interval(width_us - 1)
        rows = await self.connection.fetch(
            READ_CELLS_OF_ROLLUPS, self.sensor_no, *_bounds(stretches), self.scale, width_us // US_PER_S, *cells
        )
        if not rows:
            return NO_SUMS
        starts, *columns = zip(*rows, strict=True)
        places = np.searchsorted(part.cell_of(stretches.starts_us), part.cell_of(times_us(starts)))
        return Sums.of(stretches.starts_us[places], columns)


async def _look_at_last(connection: Any, number: int, window: Window, cells: Cells) -> None:
    """The last reading of the cells that show it: alone, only texts, or before an empty cell of the window."""
    following_us = cells.starts_us + window.step_us
    is_followed = np.append(cells.starts_us[1:] == following_us[:-1], False) | (following_us > window.end_us)
    wanted = np.flatnonzero((cells.readings == 1) | (cells.numbers == 0) | ~is_followed)
    if not len(wanted):
        return
    stretches = Stretches(cells.starts_us[wanted], np.minimum(following_us[wanted], window.end_us + 1))
    bounds = stretches.starts_us.tolist(), stretches.ends_us.tolist()
    rows = await connection.fetch(READ_LAST, number, *bounds, *_bounds(stretches))
    if not rows:
        return
    places, last_at, values, texts = zip(*rows, strict=True)
    of_rows = wanted[np.array(places) - 1]
    cells.last_at_us[of_rows] = times_us(last_at)
    cells.a_texts[of_rows] = texts
    is_alone = cells.readings[of_rows] == 1
    cells.lowest[of_rows[is_alone]] = np.array(values, dtype=np.float64)[is_alone]


def _bounds(stretches: Stretches) -> tuple[datetime, datetime] | tuple[()]:
    """From when to when all of them lie."""
    if not len(stretches):
        return ()
    return from_us(int(stretches.starts_us.min())), from_us(int(stretches.ends_us.max()))


def _interval(us: int) -> timedelta:
    return timedelta(microseconds=us)
