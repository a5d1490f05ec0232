"""Grids from rollups: stretches are exactly the window, each in one cell, and no bucket is used that must not be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.history.grid import Window
from web.history.grid_readings import Asked
from web.history.rollup_choice import DAY_US, HOUR_US, MINUTE_US, RAW, Grid, Stretches, choose_rollups

S = 1_000_000
EPOCH_US = 1_700_000_000 * S


@given(
    first_us=st.integers(0, 3 * DAY_US),
    length_us=st.integers(0, 5 * DAY_US),
    lead_us=st.integers(0, 2 * HOUR_US),
    step_s=st.integers(60, 2 * 86_400) | st.sampled_from([3600, 86_400]),
    dirty=st.lists(st.integers(0, 8 * 1440), max_size=10),
    is_aligned=st.booleans(),
)
def test_the_stretches_are_the_window_and_every_bucket_may_be_used(
    first_us: int, length_us: int, lead_us: int, step_s: int, dirty: list[int], is_aligned: bool
) -> None:
    if is_aligned:
        first_us, lead_us = first_us - first_us % DAY_US, 0
    base_us = EPOCH_US - EPOCH_US % DAY_US
    first_us += base_us
    grid = Grid(first_us, first_us + length_us, first_us - lead_us, step_s * S)
    dirty_us = np.array([base_us + minute * MINUTE_US for minute in dirty], dtype=np.int64)
    pieces = []
    for width_us, stretches in choose_rollups(grid, dirty_us).items():
        for start_us, end_us in zip(stretches.starts_us.tolist(), stretches.ends_us.tolist(), strict=True):
            pieces.append((start_us, end_us))
            assert start_us < end_us
            assert (start_us - grid.t0_us) // grid.step_us == (end_us - 1 - grid.t0_us) // grid.step_us
            if width_us != RAW:
                assert start_us % width_us == 0 and end_us % width_us == 0
                assert not ((dirty_us + MINUTE_US > start_us) & (dirty_us < end_us)).any()
    pieces.sort()
    assert pieces[0][0] == first_us and pieces[-1][1] == first_us + length_us + 1
    assert all(one[1] == following[0] for one, following in pairwise(pieces))


@pytest.mark.parametrize(
    ("t0_us", "step_us", "rows"),
    [
        (0, DAY_US, {DAY_US: 30, HOUR_US: 0, MINUTE_US: 0, RAW: 0}),
        (HOUR_US, DAY_US, {DAY_US: 0, HOUR_US: 30, MINUTE_US: 0, RAW: 0}),
        (7 * S, DAY_US, {DAY_US: 0, HOUR_US: 30, MINUTE_US: 30, RAW: 59}),
    ],
)
def test_wide_buckets_are_taken_first(t0_us: int, step_us: int, rows: dict[int, int]) -> None:
    grid = Grid(t0_us, 30 * DAY_US - 1, t0_us, step_us)
    found = choose_rollups(grid, np.array([], dtype=np.int64))
    assert {width_us: len(stretches.starts_us) for width_us, stretches in found.items()} == rows


@pytest.mark.parametrize(
    ("step", "pairs", "are_all"),
    [
        (120, [], False),
        (120, [(0, 120), (120, 240)], True),
        (120, [(0, 60), (120, 240)], False),  # a marked minute is left out
        (120, [(60, 120), (120, 180)], True),  # the window begins and ends within a cell
        (150, [(0, 120), (180, 300)], True),  # minute 120 to 180 is in two cells
        (150, [(0, 60), (180, 300)], False),
        (60, [(0, 60), (600, 660)], False),
    ],
)
def test_stretches_are_all_of_the_rollups_that_lie_in_one_cell(
    step: int, pairs: list[tuple[int, int]], are_all: bool
) -> None:
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    assert Stretches(columns[:, 0], columns[:, 1]).are_all_of(Grid(0, 1000, 0, step), 60) is are_all


@pytest.mark.parametrize(
    ("interval_s", "step_s", "unit_s", "is_long"),
    [
        (15, 900, 1, False),  # cells begin within minutes: each is put together
        (15, 900, 60, True),  # each is 15 rollups in place of 60 readings
        (60, 900, 60, False),
        (59, 900, 60, True),
        (60, 7200, 3600, True),
        (15, 86_400, 1, True),
        (850, 86_400, 1, True),
        (870, 86_400, 1, False),
    ],
)
def test_the_rollups_are_read_where_they_are_fewer(interval_s: int, step_s: int, unit_s: int, is_long: bool) -> None:
    window = Window(EPOCH_US, EPOCH_US + 365 * DAY_US, step_s * S, interval_s * S)
    assert Asked(1, "f", window, unit_s * S).is_long is is_long
    short = Window(EPOCH_US, EPOCH_US + 10_000 * interval_s * S, step_s * S, interval_s * S)
    assert not Asked(1, "f", short, unit_s * S).is_long
