"""A grid read a slice at a time: each by short statements of its own, so that a large one never waits in memory.

Between two slices nothing is held, neither a connection nor a snapshot: a late reading may be in one slice and not have
been in the one before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from web.database import Queries
from web.history.cells import Cells
from web.history.grid_readings import Asked, read_first_us, read_part, read_window
from web.history.outlived import gone_before_us, joined, read_outlived, read_outlived_us
from web.history.rollup_choice import Grid

SLICE_CELLS = 2000


@dataclass(frozen=True, slots=True)
class Slice:
    """`starts_us`: of the cells that are shown, in order; `cells`: those with readings, shown or not.

    gone_us  what was measured before it is known from rollups only
    """

    starts_us: NDArray[np.int64]
    cells: Cells
    gone_us: int


async def read_slices(database: Queries, marks: Queries, asked: Asked) -> AsyncIterator[Slice]:
    """In order of time; none when nothing is known of the window. `marks` is as `read_part` has it."""
    window = asked.window
    if not asked.is_long and window.cells_max <= SLICE_CELLS:
        cells = await read_window(database, asked)
        if await read_outlived_us(database, asked, cells.t0_us if len(cells) else None) is None:
            if len(cells):
                yield Slice(window.cell_starts_us(cells.t0_us), cells, window.start_us)
            return
    reading_us = await read_first_us(database, asked)
    outlived_us = await read_outlived_us(database, asked, reading_us)
    first_us = reading_us if outlived_us is None else outlived_us
    if first_us is None:
        return
    gone_us = window.start_us if outlived_us is None else gone_before_us(asked, reading_us)
    t0_us = first_us - first_us % asked.unit_us
    starts_us = window.cell_starts_us(t0_us)
    # the first slice has what lies before the first cell that is shown, the last one what lies after the last
    bounds_us = [first_us, *starts_us[SLICE_CELLS::SLICE_CELLS].tolist(), window.end_us + 1]
    for number, end_us in enumerate(bounds_us[1:]):
        part = Grid(max(first_us, bounds_us[number]), end_us - 1, t0_us, window.step_us)
        cells = await _read(database, marks, asked, part, gone_us) if end_us > first_us else Cells.none(t0_us)
        yield Slice(starts_us[number * SLICE_CELLS : (number + 1) * SLICE_CELLS], cells, gone_us)


async def _read(database: Queries, marks: Queries, asked: Asked, part: Grid, gone_us: int) -> Cells:
    if part.first_us >= gone_us:
        return await read_part(database, marks, asked, part)
    before = await read_outlived(database, asked, replace(part, last_us=min(part.last_us, gone_us - 1)))
    if part.last_us < gone_us:
        return before
    return joined(before, await read_part(database, marks, asked, replace(part, first_us=gone_us)))
