"""Cells of time whose readings have gone, from the rollups that are kept longer.

Nothing narrower than a minute is known of it, no text, and no reading at its own time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.clock import US_PER_S
from web.database import Queries
from web.history.cells import Cells, gathered
from web.history.grid_readings import PLAN_ONCE, SMALL_SCALE, Asked, SumReader, about_sensor
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
    async with about_sensor(database, asked.sensor_no, PLAN_ONCE) as connection:
        reader = SumReader(connection, asked.sensor_no, SMALL_SCALE)
        found = [await reader.rollups(stretches[width_us], width_us) for width_us in WIDTHS_US]
    cells = gathered(part, found, SMALL_SCALE).with_numbers()
    cells.last_at_us[:] = NEVER_US
    return cells


def joined(before: Cells, after: Cells) -> Cells:
    """Of one grid; the last cell of `before` may be the first of `after`."""
    scale = min(before.scale, after.scale)
    for cells in (before, after):
        cells.totals[:] *= scale / cells.scale
    both = replace(before, scale=scale).followed_by(replace(after, scale=scale))
    if not len(before) or not len(after) or before.starts_us[-1] != after.starts_us[0]:
        return both
    return both.with_two_as_one(len(before))
