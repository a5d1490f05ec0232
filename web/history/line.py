"""The readings that draw the same line as all of a range: few enough for a chart, none of its peaks lost.

Of a short range all readings are read and the core chooses. Of a longer one PostgreSQL gives the smallest and the
largest of each cell, from rollups where they serve; the core chooses among those, and what it chose is looked up, so
that each point is a reading at its own time in both ways (docs/decisions/0081).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import US_PER_S
from native import downsample_lttb, downsample_minmax
from web.database import Queries
from web.history.analytics import LARGE_VALUE, Summary
from web.history.cells import Cells, Sums, Values, gathered, times_us
from web.history.grid import Window
from web.history.grid_readings import PLAN_FOR_WINDOW, PLAN_ONCE, SMALL_SCALE, Asked, about_sensor
from web.history.outlived import read_outlived_us
from web.history.rollup_choice import HOUR_US, MINUTE_US, Grid, Times
from web.history.slices import read_slices
from web.wire.numbers import reading_text, shortest
from web.wire.times import from_us, to_us

_CHOOSE: Final = {"minmax": downsample_minmax, "lttb": downsample_lttb}
READINGS_MAX = 20_000
"""Of a range that is read whole: some milliseconds for PostgreSQL, and on the loop."""
LOOKED_UP_AT_ONCE = 500
MICROSECOND: Final = timedelta(microseconds=1)

READ_NUMBERS = """
SELECT (extract(epoch FROM tracked_at) * 1000000)::int8 AS at_us, value, text_value
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3 AND value IS NOT NULL
 ORDER BY tracked_at
 LIMIT $4
"""
# Of each wanted value the first reading in its stretch. {place}: what comes before this in the statement and is the
# shortest stretch in which it must be, if the rollups are of today. $5 and $6 say which days are opened.
_SOUGHT = """
  FROM (SELECT place, value, timestamptz 'epoch' + start_us * interval '1 us' AS start_at,
               timestamptz 'epoch' + end_us * interval '1 us' AS end_at
          FROM unnest($2::int8[], $3::int8[], $4::float8[]) WITH ORDINALITY
               bounds (start_us, end_us, value, place)) wanted
"""
_WANTED = "SELECT wanted.place, found.*" + _SOUGHT
_NARROWED = """
 CROSS JOIN LATERAL (
     SELECT bucket AS start_at, bucket + interval '1 {name}' AS end_at
       FROM reading_rollups
      WHERE sensor_no = $1 AND width_s = {width_s} AND bucket >= {place}.start_at
        AND bucket <= {place}.end_at - interval '1 {name}' AND (min = wanted.value OR max = wanted.value)
      ORDER BY bucket
      LIMIT 1
 ) {name}
"""
_FOUND = """
 CROSS JOIN LATERAL (
     SELECT tracked_at, value, text_value
       FROM sensor_records
      WHERE sensor_no = $1 AND tracked_at >= {place}.start_at AND tracked_at < {place}.end_at AND value = wanted.value
        AND tracked_at >= $5 AND tracked_at < $6
      ORDER BY tracked_at
      LIMIT 1
 ) found
"""
_HOUR = _NARROWED.format(name="hour", width_s=3600, place="wanted")
READ_READING = _WANTED + _FOUND.format(place="wanted")
READ_BY_MINUTE = _WANTED + _NARROWED.format(name="minute", width_s=60, place="wanted") + _FOUND.format(place="minute")
READ_BY_HOUR = (
    _WANTED + _HOUR + _NARROWED.format(name="minute", width_s=60, place="hour") + _FOUND.format(place="minute")
)
# Where readings have gone: the rollup that tells when it was.
READ_NARROWER = f"""
SELECT wanted.place, found.bucket
{_SOUGHT}
 CROSS JOIN LATERAL (
     SELECT bucket
       FROM reading_rollups
      WHERE sensor_no = $1 AND width_s = $5 AND bucket >= wanted.start_at AND bucket <= wanted.end_at - $6::interval
        AND (min = wanted.value OR max = wanted.value)
      ORDER BY bucket
      LIMIT 1
 ) found
"""  # noqa: S608 - of constants
READ_END = """
SELECT tracked_at, value, text_value
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at >= $2 AND tracked_at < $3 AND value IS NOT NULL
 ORDER BY tracked_at {direction}
 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Reduced:
    """To how many points, and how: `minmax` or `lttb`."""

    points_max: int
    method: str

    def rows(self, at_us: Times, values: Values) -> Times:
        """Which rows are kept."""
        return _CHOOSE[self.method](at_us, values, self.points_max)


@dataclass(frozen=True, slots=True)
class Point:
    """A reading with a number; `text` as it was received."""

    at: datetime
    value: float
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """Of each, the first reading in [start, end) that has this value. `are_gone`: it may be known from rollups only."""

    starts_us: Times
    ends_us: Times
    values: Values
    are_gone: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)

    def at(self, places: slice | list[int]) -> Sought:
        """Those of them."""
        return Sought(self.starts_us[places], self.ends_us[places], self.values[places], self.are_gone[places])

    @property
    def columns(self) -> tuple[list[int], list[int], list[float]]:
        """As `_SOUGHT` takes them."""
        return self.starts_us.tolist(), self.ends_us.tolist(), self.values.tolist()


async def read_line(
    database: Queries, marks: Queries, asked: Asked, reduced: Reduced, summary: Summary
) -> AsyncIterator[list[Point]]:
    """The points in order of time, and before them empty lists, between which others may have their turn.

    `marks` is as `read_part` has it; `summary` is told of all readings.
    """
    if asked.readings <= READINGS_MAX:
        rows = await _numbers(database, asked)
        first_us = rows[0]["at_us"] if rows else None
        if len(rows) <= READINGS_MAX and await read_outlived_us(database, asked, first_us) is None:
            yield _chosen(rows, reduced, summary)
            return
    found: list[Cells] = []
    gone_us = asked.window.start_us
    async for part in read_slices(database, marks, asked):
        summary.add(part.cells)
        found.append(part.cells.with_numbers())
        gone_us = part.gone_us
        yield []
    cells = reduce(Cells.followed_by, found, Cells.none(0))
    if not len(cells):
        return
    first, last = await _ends(database, asked, cells, gone_us)
    points = {first.at: first, last.at: last}
    sought = _sought(asked.window, cells, (first, last), reduced, gone_us)
    for start in range(0, len(sought), LOOKED_UP_AT_ONCE):
        for point in await _look_up(database, asked, sought.at(slice(start, start + LOOKED_UP_AT_ONCE))):
            _put(points, point)
        yield []
    yield [points[at] for at in sorted(points)]


def _put(points: dict[datetime, Point], point: Point) -> None:
    """Of one rollup the smallest and the largest stand a microsecond apart."""
    at = point.at
    while at in points and points[at].value != point.value:
        at += MICROSECOND
    points[at] = point if at == point.at else replace(point, at=at)


async def _numbers(database: Queries, asked: Asked) -> list[Any]:
    window = asked.window
    async with about_sensor(database, asked.sensor_no, PLAN_FOR_WINDOW) as connection:
        found: list[Any] = await connection.fetch(
            READ_NUMBERS, asked.sensor_no, from_us(window.start_us), from_us(window.end_us), READINGS_MAX + 1
        )
    return found


def _chosen(rows: list[Any], reduced: Reduced, summary: Summary) -> list[Point]:
    at_us = np.fromiter((row["at_us"] for row in rows), dtype=np.int64, count=len(rows))
    values = np.fromiter((row["value"] for row in rows), dtype=np.float64, count=len(rows))
    if not rows:
        return []
    lowest, highest = float(values.min()), float(values.max())
    scale = SMALL_SCALE if max(abs(lowest), abs(highest)) > LARGE_VALUE else 1.0
    total = math.fsum((values * scale).tolist())
    whole = [len(rows)], [len(rows)], [0], [total], [lowest], [highest]
    summary.add(gathered(Grid(0, 0, 0, 1), [Sums.of(at_us[:1], whole)], scale))
    chosen = [rows[place] for place in reduced.rows(at_us, values).tolist()]
    return [Point(from_us(row["at_us"]), row["value"], reading_text(row["value"], row["text_value"])) for row in chosen]


async def _ends(database: Queries, asked: Asked, cells: Cells, gone_us: int) -> tuple[Point, Point]:
    """The first reading with a number, and the last; where those have gone, the cell's beginning."""
    found = []
    starts_us, ends_us = (times_us[[0, -1]].tolist() for times_us in _bounds(asked.window, cells.starts_us))
    lowest = cells.lowest[[0, -1]].tolist()
    async with about_sensor(database, asked.sensor_no, PLAN_ONCE) as connection:
        for place, direction in enumerate(("ASC", "DESC")):
            start_us, end_us = starts_us[place], ends_us[place]
            statement = READ_END.format(direction=direction)
            row = None
            if start_us >= gone_us or (direction == "DESC" and end_us > gone_us):
                row = await connection.fetchrow(statement, asked.sensor_no, from_us(start_us), from_us(end_us))
            found.append(_of_rollup(start_us, lowest[place]) if row is None else _point(row))
    return found[0], found[1]


def _sought(window: Window, cells: Cells, ends: tuple[Point, Point], reduced: Reduced, gone_us: int) -> Sought:
    """Which extremes of which cells the line goes through."""
    first, last = ends
    pairs = np.column_stack((cells.lowest, cells.highest)).ravel()
    first_us, last_us = to_us(first.at), to_us(last.at)
    at_us = np.concatenate(([first_us], np.repeat(cells.starts_us, 2).clip(first_us, last_us), [last_us]))
    values = np.concatenate(([first.value], pairs, [last.value]))
    chosen = reduced.rows(at_us, values)[1:-1] - 1
    starts_us, ends_us = _bounds(window, cells.starts_us[chosen // 2])
    return Sought(starts_us, ends_us, pairs[chosen], starts_us < gone_us)


async def _look_up(database: Queries, asked: Asked, sought: Sought) -> list[Point]:
    """Through the rollups, which tell in which hour and minute; where those are not of today, among all readings."""
    number, step_us = asked.sensor_no, asked.window.step_us
    statement = READ_BY_HOUR if step_us > HOUR_US else READ_BY_MINUTE if step_us > MINUTE_US else READ_READING
    async with about_sensor(database, number, PLAN_ONCE) as connection:
        found = await _readings(connection, statement, number, sought)
        missing = [place for place in range(len(sought)) if place not in found]
        if missing and statement is not READ_READING:
            again = await _readings(connection, READ_READING, number, sought.at(missing))
            found |= {missing[place]: point for place, point in again.items()}
        gone = [place for place in missing if place not in found and sought.are_gone[place]]
        narrowed = sought.at(gone)
        for width_us in (HOUR_US, MINUTE_US):
            await _narrow(connection, number, narrowed, width_us)
    starts_us, _, values = narrowed.columns
    return [*found.values(), *map(_of_rollup, starts_us, values)]


async def _narrow(connection: Any, sensor_no: int, sought: Sought, width_us: int) -> None:
    """To the bucket that tells of it."""
    wide = np.flatnonzero(sought.ends_us - sought.starts_us > width_us)
    if not len(wide):
        return
    columns = sought.at(wide.tolist()).columns
    width = timedelta(microseconds=width_us)
    rows = await connection.fetch(READ_NARROWER, sensor_no, *columns, width_us // US_PER_S, width)
    places, buckets = wide[[row["place"] - 1 for row in rows]], times_us([row["bucket"] for row in rows])
    sought.starts_us[places], sought.ends_us[places] = buckets, buckets + width_us


async def _readings(connection: Any, statement: str, number: int, sought: Sought) -> dict[int, Point]:
    """By their place."""
    bounds = from_us(int(sought.starts_us.min())), from_us(int(sought.ends_us.max()))
    rows = await connection.fetch(statement, number, *sought.columns, *bounds)
    return {place - 1: Point(tracked_at, value, reading_text(value, text)) for place, tracked_at, value, text in rows}


def _bounds(window: Window, cells_us: Times) -> tuple[Times, Times]:
    """Of cells, as far as they lie in the window."""
    return np.maximum(cells_us, window.start_us), np.minimum(cells_us + window.step_us, window.end_us + 1)


def _of_rollup(at_us: int, value: float) -> Point:
    return Point(from_us(at_us), value, shortest(value))


def _point(row: Any) -> Point:
    return Point(row["tracked_at"], row["value"], reading_text(row["value"], row["text_value"]))
