"""Mean, minimum and maximum over the readings of a range, added up from its cells as they come."""

from __future__ import annotations

import math
from array import array

from web.history.grid_readings import SMALL_SCALE, Cells
from web.wire.numbers import rounded_mean

LARGE_VALUE = 1e280  # sums of larger ones may not be finite


class Summary:
    """`mean` and the others are None until there was a number."""

    def __init__(self) -> None:
        self.lowest: float | None = None
        self.highest: float | None = None
        self._numbers = 0
        self._totals: list[tuple[float, array[float]]] = []  # by their scale

    def add(self, cells: Cells) -> None:
        numeric = [row for row in cells.rows if row.numbers]
        if not numeric:
            return
        lowest, highest = min(row.lowest for row in numeric), max(row.highest for row in numeric)
        self.lowest = lowest if self.lowest is None else min(self.lowest, lowest)
        self.highest = highest if self.highest is None else max(self.highest, highest)
        self._numbers += sum(row.numbers for row in numeric)
        self._totals.append((cells.scale, array("d", [row.total for row in numeric])))

    @property
    def mean(self) -> float | None:
        if self.lowest is None or self.highest is None:
            return None
        scale = min(scale for scale, _ in self._totals)
        if max(abs(self.lowest), abs(self.highest)) > LARGE_VALUE:
            scale *= SMALL_SCALE
        total = math.fsum(one * (scale / its_scale) for its_scale, totals in self._totals for one in totals)
        return bounded_mean(total, self._numbers, scale, self.lowest, self.highest)


def bounded_mean(total: float, numbers: int, scale: float, lowest: float, highest: float) -> float:
    """Never outside its readings but for the twelve digits that it is rounded to."""
    return rounded_mean(min(max(total / numbers / scale, lowest), highest))
