"""The cells of a grid that hold readings, as columns: what is done with a year of them is done with all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from web.history.rollup_choice import Grid, Times
from web.wire.times import EPOCH, MICROSECOND

Counts: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]
Texts: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """In order of time; none when there is no reading in the window. `totals` are sums times `scale`.

    Without numbers a cell's total, lowest and highest mean nothing. `last_at_us` may be too late where the next cell
    also has readings, for then nobody asks. Of a cell with one reading, `lowest` and `a_texts` are that reading.
    """

    t0_us: int
    scale: float
    starts_us: Times
    readings: Counts
    numbers: Counts
    good: Counts
    totals: Values
    lowest: Values
    highest: Values
    last_at_us: Times
    a_texts: Texts

    @classmethod
    def none(cls, t0_us: int) -> Cells:
        """Of a window, or a part of one, in which nothing is known."""
        return gathered(Grid(t0_us, t0_us, t0_us, 1), [], 1.0)

    def __len__(self) -> int:
        return len(self.starts_us)

    def at(self, places: slice | NDArray[Any]) -> Cells:
        """Those of them."""
        return Cells(self.t0_us, self.scale, *(column[places] for column in self._columns))

    def with_numbers(self) -> Cells:
        """Those that have any."""
        return self.at(self.numbers > 0)

    def followed_by(self, later: Cells) -> Cells:
        """Of the same grid and scale, and none of them the same."""
        pairs = zip(self._columns, later._columns, strict=True)
        return Cells(self.t0_us, self.scale, *(np.concatenate(pair) for pair in pairs))

    def with_two_as_one(self, place: int) -> Cells:
        """The cell at `place` is the one before it, seen again: what its last reading is, only the second one says."""
        before = place - 1
        if not self.numbers[place]:
            self.totals[place] = 0.0
        for column in (self.readings, self.numbers, self.good, self.totals):
            column[place] += column[before]
        self.lowest[place] = np.fmin(self.lowest[before], self.lowest[place])
        self.highest[place] = np.fmax(self.highest[before], self.highest[place])
        return self.at(np.arange(len(self)) != before)

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        sums = self.readings, self.numbers, self.good, self.totals, self.lowest, self.highest
        return self.starts_us, *sums, self.last_at_us, self.a_texts


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Of stretches of time that begin at `starts_us`, in any order; several may lie in one cell."""

    starts_us: Times
    readings: Counts
    numbers: Counts
    good: Counts
    totals: Values
    lowest: Values
    highest: Values

    @classmethod
    def of(cls, starts_us: Times, columns: Sequence[Sequence[Any]]) -> Sums:
        """`columns`: readings, numbers, good, total, lowest, highest; the latter are None where there is no number."""
        readings, numbers, good, totals, lowest, highest = columns
        counts = _counts(readings), _counts(numbers), _counts(good)
        return cls(starts_us, *counts, _values(totals), _values(lowest), _values(highest))

    def at(self, places: NDArray[Any]) -> Sums:
        """Those of them."""
        columns = self.readings, self.numbers, self.good, self.totals, self.lowest, self.highest
        return Sums(self.starts_us[places], *(column[places] for column in columns))


def gathered(grid: Grid, found: Sequence[Sums], scale: float) -> Cells:
    """What lies in one cell together, each added up in the order in which it is given. Nothing is known of texts."""
    starts_us = _joined([sums.starts_us for sums in found], np.int64)
    cells_us, cell = np.unique(grid.t0_us + grid.cell_of(starts_us) * grid.step_us, return_inverse=True)
    in_order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[in_order], np.arange(len(cells_us)))
    numbers = _joined([sums.numbers for sums in found], np.int64)
    totals = np.where(numbers > 0, _joined([sums.totals for sums in found], np.float64), 0.0)

    def added(values: NDArray[Any]) -> Values:
        sums: Values = np.bincount(cell, values, len(cells_us)).astype(np.float64)
        return sums

    return Cells(
        grid.t0_us,
        scale,
        cells_us,
        added(_joined([sums.readings for sums in found], np.int64)).astype(np.int64),
        added(numbers).astype(np.int64),
        added(_joined([sums.good for sums in found], np.int64)).astype(np.int64),
        added(totals),
        np.fmin.reduceat(_joined([sums.lowest for sums in found], np.float64)[in_order], first),
        np.fmax.reduceat(_joined([sums.highest for sums in found], np.float64)[in_order], first),
        cells_us + grid.step_us - 1,
        np.full(len(cells_us), None, dtype=object),
    )


def grouped(t0_us: int, rows: Sequence[Sequence[Any]], scale: float) -> Cells:
    """Of rows that PostgreSQL grouped, each a cell: start, six columns of `Sums`, last reading's time, a text."""
    if not rows:
        return Cells.none(t0_us)
    starts, *sums, last_at, a_text = zip(*rows, strict=True)
    of_rows = Sums.of(times_us(starts), sums)
    in_order = np.argsort(of_rows.starts_us)
    columns = of_rows.readings, of_rows.numbers, of_rows.good, of_rows.totals, of_rows.lowest, of_rows.highest
    cells = Cells(t0_us, scale, of_rows.starts_us, *columns, times_us(last_at), _texts(a_text))
    return cells.at(in_order)


def times_us(times: Sequence[datetime]) -> Times:
    """Microseconds since 1970 of each, exactly."""
    return np.array([(time - EPOCH) // MICROSECOND for time in times], dtype=np.int64)


def _counts(column: Sequence[int]) -> Counts:
    return np.array(column, dtype=np.int64)


def _values(column: Sequence[float | None]) -> Values:
    return np.array(column, dtype=np.float64)


def _texts(column: Sequence[str | None]) -> Texts:
    texts = np.empty(len(column), dtype=object)
    texts[:] = column
    return texts


def _joined(columns: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.array([], dtype=kind), *columns])


NO_SUMS = Sums.of(_counts([]), [[]] * 6)
