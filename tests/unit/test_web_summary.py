"""Mean, minimum and maximum, added up slice by slice."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from web.history.analytics import Summary
from web.history.cells import Cells, grouped
from web.history.grid_readings import SMALL_SCALE
from web.wire.times import from_us


def cells(values: list[float], scale: float = 1.0) -> Cells:
    rows = [(from_us(n), 1, 1, 1, value * scale, value, value, from_us(n), None) for n, value in enumerate(values)]
    return grouped(0, rows, scale)


def test_nothing_has_no_mean() -> None:
    summary = Summary()
    summary.add(grouped(0, [(from_us(0), 3, 0, 0, None, None, None, from_us(0), "OPEN")], 1.0))
    assert (summary.mean, summary.lowest, summary.highest) == (None, None, None)


def test_slices_make_what_the_whole_makes() -> None:
    chance = random.Random(1)
    values = [chance.uniform(-50, 50) * 10 ** chance.randint(-5, 5) for _ in range(1000)]
    whole, sliced = Summary(), Summary()
    whole.add(cells(values))
    for start in range(0, 1000, 130):
        sliced.add(cells(values[start : start + 130]))
    assert (sliced.mean, sliced.lowest, sliced.highest) == (whole.mean, min(values), max(values))
    assert sliced.mean == pytest.approx(float(sum(map(Fraction, values)) / len(values)), rel=1e-11)


def test_a_slice_whose_sum_was_too_large_counts_like_the_others() -> None:
    summary = Summary()
    summary.add(cells([1e308, 1e308, 1.0], SMALL_SCALE))
    summary.add(cells([-1e308, 3.0]))
    assert summary.mean == pytest.approx(2e307)
    assert (summary.lowest, summary.highest) == (-1e308, 1e308)
