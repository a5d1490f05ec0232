"""Which stored rollups a grid may be read from, and which stretches from the readings. Pure; times are microseconds.

A cell is a union of stretches. A rollup bucket fits when it lies in the window, in one cell, and no reading was stored
in it since it was computed (a dirty minute lies in it). Days are taken first, then hours, then minutes; whatever is
left, the minutes in which a cell begins or a mark lies, comes from the readings themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WIDTHS_US = (DAY_US, HOUR_US, MINUTE_US)
RAW = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """Readings from `first_us` to `last_us`, both included, in cells of `step_us` counted from `t0_us`."""

    first_us: int
    last_us: int
    t0_us: int
    step_us: int

    def cell_of(self, times_us: Times) -> Times:
        return (times_us - self.t0_us) // self.step_us


@dataclass(frozen=True, slots=True)
class Stretches:
    """`starts_us` to `ends_us` (not included), each in one cell and none empty; in order of time."""

    starts_us: Times
    ends_us: Times

    def __len__(self) -> int:
        return len(self.starts_us)

    def at(self, places: NDArray[np.bool_]) -> Stretches:
        """Those of them."""
        return Stretches(self.starts_us[places], self.ends_us[places])

    def followed_by(self, others: Stretches) -> Stretches:
        """In no order."""
        starts_us, ends_us = (self.starts_us, others.starts_us), (self.ends_us, others.ends_us)
        return Stretches(np.concatenate(starts_us), np.concatenate(ends_us))

    def are_all_of(self, grid: Grid, width_us: int) -> bool:
        """Whether they are all buckets of that width, from the first to the last, that lie in one cell."""
        covered = int((self.ends_us - self.starts_us).sum())
        if not covered or 2 * covered < int(self.ends_us[-1] - self.starts_us[0]):
            return False
        buckets = np.arange(self.starts_us[0], self.ends_us[-1], width_us)
        is_one_cell = grid.cell_of(buckets) == grid.cell_of(buckets + width_us - 1)
        return int(is_one_cell.sum()) * width_us == covered


def choose_rollups(grid: Grid, dirty_minutes_us: Times) -> dict[int, Stretches]:
    """Stretches by the width of the rollups that they consist of, RAW for readings; together exactly the window."""
    dirty = np.sort(dirty_minutes_us)
    found: dict[int, Stretches] = {}
    left = _buckets(grid, grid.first_us, grid.last_us + 1, DAY_US)
    for width_us, narrower_us in zip(WIDTHS_US, (*WIDTHS_US[1:], None), strict=True):
        fits = _fits(grid, dirty, left, width_us)
        found[width_us] = _merged(grid, left[fits], left[fits] + width_us)
        left = left[~fits]
        if narrower_us is not None:
            left = (left[:, None] + np.arange(0, width_us, narrower_us)).ravel()
            left = left[(left + narrower_us > grid.first_us) & (left <= grid.last_us)]
    found[RAW] = _raw(grid, left)
    return found


def _buckets(grid: Grid, start_us: int, end_us: int, width_us: int) -> Times:
    return np.arange(start_us - start_us % width_us, end_us, width_us, dtype=np.int64)


def _fits(grid: Grid, dirty: Times, starts_us: Times, width_us: int) -> NDArray[np.bool_]:
    last_us = starts_us + width_us - 1
    is_inside = (starts_us >= grid.first_us) & (last_us <= grid.last_us)
    is_one_cell = grid.cell_of(starts_us) == grid.cell_of(last_us)
    is_clean = np.searchsorted(dirty, starts_us) == np.searchsorted(dirty, last_us, side="right")
    fits: NDArray[np.bool_] = is_inside & is_one_cell & is_clean
    return fits


def _raw(grid: Grid, minutes_us: Times) -> Stretches:
    """Those minutes, as far as they lie in the window, divided where a cell begins."""
    starts_us = np.maximum(minutes_us, grid.first_us)
    ends_us = np.minimum(minutes_us + MINUTE_US, grid.last_us + 1)
    begins_us = grid.t0_us + grid.cell_of(ends_us - 1) * grid.step_us  # of the cell that the stretch ends in
    is_divided = begins_us > starts_us
    return _merged(
        grid,
        np.sort(np.concatenate((starts_us, begins_us[is_divided]))),
        np.sort(np.concatenate((ends_us, begins_us[is_divided]))),
    )


def _merged(grid: Grid, starts_us: Times, ends_us: Times) -> Stretches:
    """Neighbours in one cell as one."""
    if not len(starts_us):
        return Stretches(starts_us, ends_us)
    cells = grid.cell_of(starts_us)
    is_new = np.append(True, (starts_us[1:] != ends_us[:-1]) | (cells[1:] != cells[:-1]))
    is_end = np.append(is_new[1:], True)
    return Stretches(starts_us[is_new], ends_us[is_end])
