"""Series with fewer points, from numpy and back: what is never lost, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native import POINTS_MIN, PayloadError, downsample_lttb, downsample_minmax

Choose = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
METHODS = [downsample_minmax, downsample_lttb]
VALUES = st.floats(-50, 50) | st.floats() | st.sampled_from([7.0, np.nan, np.inf, 1.7e308, -1.7e308])


@pytest.mark.parametrize("choose", METHODS)
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**9), VALUES), max_size=300),
    points_max=st.integers(POINTS_MIN, 100),
)
def test_few_rows_draw_the_line(choose: Choose, rows: list[tuple[int, float]], points_max: int) -> None:
    at_us = np.cumsum(np.array([gap for gap, _ in rows], dtype=np.int64))
    values = np.array([value for _, value in rows], dtype=np.float64)
    usable = np.flatnonzero(np.isfinite(values))
    found = choose(at_us, values, points_max)
    assert found.dtype == np.int64 and len(found) <= points_max
    assert all(one < following for one, following in pairwise(found.tolist()))
    assert set(found.tolist()) <= set(usable.tolist())
    assert found.tolist() == choose(at_us, values, points_max).tolist()
    if len(usable):
        assert (found[0], found[-1]) == (usable[0], usable[-1])
    if choose is downsample_minmax and len(usable):
        assert {values[found].min(), values[found].max()} == {values[usable].min(), values[usable].max()}
    if len(usable) <= points_max:
        assert found.tolist() == usable.tolist()


@pytest.mark.parametrize("choose", METHODS)
def test_a_peak_of_one_row_in_a_million_is_kept(choose: Choose) -> None:
    values = np.sin(np.arange(1_000_000) / 9000)
    values[123_457] = 5.0
    found = choose(np.arange(1_000_000, dtype=np.int64), values, 1000)
    assert 123_457 in found.tolist() and 900 <= len(found) <= 1000


@pytest.mark.parametrize("choose", METHODS)
def test_what_cannot_be_chosen_from_is_refused(choose: Choose) -> None:
    times, values = np.arange(3, dtype=np.int64), np.ones(3)
    for one, other, points_max, said in (
        (times, values[:2], POINTS_MIN, "differ in length: 3 times, 2 values"),
        (times, values, POINTS_MIN - 1, "at least 4"),
        (times[::-1].copy(), values, POINTS_MIN, "the time of row 1 is before"),
    ):
        with pytest.raises(PayloadError, match=said):
            choose(one, other, points_max)
