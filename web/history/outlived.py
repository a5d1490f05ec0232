"""Cells of time whose readings have gone, from the rollups that are kept longer.

Nothing narrower than a minute is known of it, no text, and no reading at its own time.
"""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np

from engine.clock import US_PER_S
from web.database import Queries
from web.history.grid_readings import PLAN_ONCE, READ_ROLLUPS, SMALL_SCALE, Asked, Cell, Cells, about_sensor
from web.history.rollup_choice import DAY_US, WIDTHS_US, Grid, choose_rollups
from web.wire.times import from_us, to_us

NEVER_US = -(2**62)
"""Last reading of such a cell: so long ago that no empty cell repeats it."""
READ_FIRST_BUCKET = """
SELECT min(found.bucket)
  FROM unnest($2::int[]) width_s
 CROSS JOIN LATERAL (
     SELECT bucket
       FROM reading_rollups r
      WHERE r.sensor_no = $1 AND r.width_s = width_s.width_s AND bucket >= $3
        AND bucket <= $4::timestamptz - make_interval(secs => width_s.width_s)
      ORDER BY bucket
      LIMIT 1
 ) found
"""


def gone_before_us(asked: Asked, first_us: int | None) -> int:
    """Before it there is no reading of the window, of which the first is at `first_us`. Readings go by whole days."""
    return asked.window.end_us + 1 if first_us is None else first_us - first_us % DAY_US


async def read_outlived_us(database: Queries, asked: Asked, first_us: int | None) -> int | None:
    """When the first rollup begins that is older than all readings of the window and fits into a cell."""
    window, gone_us = asked.window, gone_before_us(asked, first_us)
    widths_s = [width_us // US_PER_S for width_us in WIDTHS_US if width_us <= window.step_us]
    if gone_us <= window.start_us or not widths_s:
        return None
    async with about_sensor(database, asked.sensor_no, PLAN_ONCE) as connection:
        between = from_us(window.start_us), from_us(gone_us)
        first = await connection.fetchval(READ_FIRST_BUCKET, asked.sensor_no, widths_s, *between)
    return None if first is None else to_us(first)


async def read_outlived(database: Queries, asked: Asked, part: Grid) -> Cells:
    """The cells with numbers of a part of the window that has no readings."""
    stretches = choose_rollups(part, np.array([], dtype=np.int64))
    cells: dict[int, Cell] = {}
    async with about_sensor(database, asked.sensor_no, PLAN_ONCE) as connection:
        for width_us in WIDTHS_US:
            starts = [from_us(time_us) for time_us in stretches[width_us].starts_us.tolist()]
            ends = [from_us(time_us) for time_us in stretches[width_us].ends_us.tolist()]
            width_s = width_us // US_PER_S
            for row in await connection.fetch(READ_ROLLUPS, asked.sensor_no, starts, ends, width_s, SMALL_SCALE):
                start_us = part.t0_us + (to_us(row["start_at"]) - part.t0_us) // part.step_us * part.step_us
                cell = cells.setdefault(start_us, Cell(start_us, 0, 0, 0, 0.0, math.inf, -math.inf, NEVER_US, None))
                cell.add(row)
    return Cells(part.t0_us, [cells[start_us] for start_us in sorted(cells) if cells[start_us].numbers], SMALL_SCALE)


def joined(before: Cells, after: Cells) -> Cells:
    """Of one grid; the last cell of `before` may be the first of `after`."""
    scale = min(before.scale, after.scale)
    for cells in (before, after):
        for cell in cells.rows:
            if cell.numbers:
                cell.total *= scale / cells.scale
    rows = after.rows
    if before.rows and rows and before.rows[-1].start_us == rows[0].start_us:
        both, first = before.rows[-1], rows[0]
        both.add(asdict(first))
        both.last_at_us, both.a_text = first.last_at_us, first.a_text
        rows = rows[1:]
    return Cells(before.t0_us, [*before.rows, *rows], scale)
