"""The grid of `/sensor-records`: which cells there are and what each one holds. Pure; times are microseconds.

With t0 = the first reading of the range, its seconds rounded down, cell k covers [t0 + k step, t0 + (k+1) step).
Cells run from the first at or after the start to the last at or before the end. A cell without readings repeats the
last one before it while that is at most five expected intervals old; cells before t0 are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS_MAX = 100_000
UNITS_S = (1, 60, 3600, 86_400)
FRESH_INTERVALS = 5


@dataclass(frozen=True, slots=True)
class FilledCells:
    """The cells that hold readings, in order of time: start, what to show, and their last reading's time."""

    starts_us: NDArray[np.int64]
    texts: Sequence[str]
    last_at_us: NDArray[np.int64]
    last_texts: Sequence[str]

    def __add__(self, later: FilledCells) -> FilledCells:
        return FilledCells(
            np.append(self.starts_us, later.starts_us),
            [*self.texts, *later.texts],
            np.append(self.last_at_us, later.last_at_us),
            [*self.last_texts, *later.last_texts],
        )

    def last(self) -> FilledCells:
        """The one that empty cells after these may repeat."""
        return FilledCells(self.starts_us[-1:], self.texts[-1:], self.last_at_us[-1:], self.last_texts[-1:])


NO_CELLS = FilledCells(np.array([], dtype=np.int64), [], np.array([], dtype=np.int64), [])


@dataclass(frozen=True, slots=True)
class Window:
    """The range asked for."""

    start_us: int
    end_us: int
    step_us: int
    expected_interval_us: int

    @property
    def cells_max(self) -> int:
        """No grid over this window has more cells, wherever its t0 lies."""
        return max(0, (self.end_us - self.start_us) // self.step_us + 1)

    def cell_starts_us(self, t0_us: int) -> NDArray[np.int64]:
        first = -((t0_us - self.start_us) // self.step_us)
        last = (self.end_us - t0_us) // self.step_us
        return t0_us + np.arange(first, last + 1, dtype=np.int64) * self.step_us


def step_for(range_us: int, points_max: int, expected_interval_s: int) -> tuple[int, int]:
    """The shortest cell with which no window of this length has more than `points_max`, and its unit, in seconds.

    A cell is at least as long as the expected interval, and a whole number of the largest unit that is not longer than
    it: then cells that begin with such a unit are made of stored rollups.
    """
    step_s = max(range_us // (points_max * 1_000_000) + 1, expected_interval_s)
    unit_s = max(unit_s for unit_s in UNITS_S if unit_s <= step_s)
    return -(-step_s // unit_s) * unit_s, unit_s


def needs_last_text(window: Window, starts_us: NDArray[np.int64], last_at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which filled cells are followed by an empty one that would repeat their last reading."""
    following = starts_us + window.step_us
    is_followed = np.append(starts_us[1:] == following[:-1], False)
    is_fresh: NDArray[np.bool_] = following - last_at_us <= FRESH_INTERVALS * window.expected_interval_us
    return ~is_followed & is_fresh


def grid_texts(window: Window, starts_us: NDArray[np.int64], cells: FilledCells) -> list[str | None]:
    """The text of each cell of the grid that begins at one of `starts_us`."""
    texts: list[str | None] = [None] * len(starts_us)
    if not len(cells.starts_us):
        return texts
    at = np.searchsorted(cells.starts_us, starts_us, side="right") - 1  # the last filled cell at or before
    is_filled = (at >= 0) & (cells.starts_us[at] == starts_us)
    is_fresh = starts_us - cells.last_at_us[at] <= FRESH_INTERVALS * window.expected_interval_us
    for is_shown, shown in ((is_filled, cells.texts), ((at >= 0) & ~is_filled & is_fresh, cells.last_texts)):
        for index, filled in zip(np.flatnonzero(is_shown).tolist(), at[is_shown].tolist(), strict=True):
            texts[index] = shown[filled]
    return texts
