"""Mean, minimum and maximum over the readings of a range, added up from its cells as they come."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np

from web.history.cells import Cells, Values
from web.history.grid_readings import SMALL_SCALE
from web.wire.numbers import rounded_mean

LARGE_VALUE = 1e280  # sums of larger ones may not be finite


class Summary:
    """`mean` and the others are None until there was a number."""

    def __init__(self) -> None:
        self.lowest: float | None = None
        self.highest: float | None = None
        self._numbers = 0
        self._totals: list[tuple[float, Values]] = []  # by their scale

    def add(self, cells: Cells) -> None:
        numeric = cells.with_numbers()
        if not len(numeric):
            return
        lowest, highest = float(numeric.lowest.min()), float(numeric.highest.max())
        self.lowest = lowest if self.lowest is None else min(self.lowest, lowest)
        self.highest = highest if self.highest is None else max(self.highest, highest)
        self._numbers += int(numeric.numbers.sum())
        self._totals.append((cells.scale, numeric.totals))

    @property
    def mean(self) -> float | None:
        if self.lowest is None or self.highest is None:
            return None
        scale = min(scale for scale, _ in self._totals)
        if max(abs(self.lowest), abs(self.highest)) > LARGE_VALUE:
            scale *= SMALL_SCALE
        scaled = (totals * (scale / its_scale) for its_scale, totals in self._totals)
        total = math.fsum(chain.from_iterable(each.tolist() for each in scaled))
        mean = min(max(total / self._numbers / scale, self.lowest), self.highest)
        return rounded_mean(mean)


def bounded_means(cells: Cells) -> Values:
    """Of cells that all have numbers: never outside its readings, but for the twelve digits that it is rounded to."""
    with np.errstate(over="ignore"):  # it is bounded all the same
        means = cells.totals / cells.numbers / cells.scale
    return np.minimum(np.maximum(means, cells.lowest), cells.highest)
