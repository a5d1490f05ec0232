"""Cells of the grid by arithmetic alone."""

from __future__ import annotations

import numpy as np

from web.history.grid import FilledCells, Window, grid_texts, needs_last_text

S = 1_000_000


def test_cells_run_from_the_first_after_the_start_to_the_last_before_the_end() -> None:
    window = Window(start_us=10 * S, end_us=100 * S, step_us=15 * S, expected_interval_us=15 * S)
    assert (window.cell_starts_us(47 * S) // S).tolist() == [17, 32, 47, 62, 77, 92]
    assert (window.cell_starts_us(10 * S) // S).tolist() == [10, 25, 40, 55, 70, 85, 100]
    assert window.cell_starts_us(9 * S).tolist()[0] == 24 * S  # t0 rounded down to before the start
    assert window.cells_max == 7
    assert Window(100 * S, 10 * S, S, S).cells_max == 0


def test_an_empty_cell_repeats_a_fresh_value_only() -> None:
    window = Window(start_us=0, end_us=150 * S, step_us=10 * S, expected_interval_us=10 * S)
    cells = FilledCells(
        starts_us=np.array([20, 40]) * S,
        texts=["a", "b"],
        last_at_us=np.array([29, 44]) * S,
        last_texts=["a2", "b2"],
    )
    starts_us = window.cell_starts_us(20 * S)
    texts = grid_texts(window, starts_us, cells)
    assert (starts_us // S).tolist() == list(range(0, 151, 10))
    expected = [None, None, "a", "a2", "b", "b2", "b2", "b2", "b2", "b2", None]
    assert texts[: len(expected)] == expected
    assert set(texts[len(expected) :]) == {None}


def test_last_texts_are_fetched_only_where_they_are_shown() -> None:
    window = Window(start_us=0, end_us=1000 * S, step_us=100 * S, expected_interval_us=10 * S)
    starts_us, last_at_us = np.array([0, 100, 300, 500]) * S, np.array([99, 120, 399, 599]) * S
    assert needs_last_text(window, starts_us, last_at_us).tolist() == [False, False, True, True]
