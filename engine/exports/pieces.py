"""Divides the readings of a selection into pieces that fit into memory. Pure; times are microseconds.

A piece is a range of whole days of all sensors, or a range of sensors of one day, so that pieces one after the other
are in the order of day, sensor and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import US_PER_S

DAY_US: Final = 86_400 * US_PER_S
PIECE_ROWS: Final = 50_000
"""What one connection holds at a time, some 40 bytes each."""
FIRST_ROWS: Final = 4_000
"""Of the first piece, so that who waits sees something at once; each that follows may have twice as many."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Readings from `start_us` to `end_us` (not included) of the sensors `first_rank` to `end_rank` (not included)."""

    start_us: int
    end_us: int
    first_rank: int
    end_rank: int


def divide(
    day_rows: Mapping[int, float], readings_a_day: NDArray[np.float64], start_us: int, end_us: int
) -> Iterator[Piece]:
    """day_rows         start of each day that has readings, and about how many of the selection
    readings_a_day   of each sensor, by which a day that is too large is divided
    """
    sensors = len(readings_a_day)
    days: list[int] = []
    rows = 0.0
    rows_max = _growing()
    limit = next(rows_max)

    for day_us in sorted(day_rows):
        if day_us >= end_us or day_us + DAY_US <= start_us or not sensors:
            continue
        if days and rows + day_rows[day_us] > limit:
            yield _whole(days, start_us, end_us, sensors)
            days, rows, limit = [], 0.0, next(rows_max)
        if day_rows[day_us] > limit:
            for first, end in _shares(day_rows[day_us], readings_a_day, chain((limit,), rows_max)):
                yield Piece(max(start_us, day_us), min(end_us, day_us + DAY_US), first, end)
            limit = next(rows_max)
            continue
        days.append(day_us)
        rows += day_rows[day_us]
    if days:
        yield _whole(days, start_us, end_us, sensors)


def _growing() -> Iterator[int]:
    rows = min(FIRST_ROWS, PIECE_ROWS)
    while True:
        yield rows
        rows = min(2 * rows, PIECE_ROWS)


def _whole(days: list[int], start_us: int, end_us: int, sensors: int) -> Piece:
    return Piece(max(start_us, days[0]), min(end_us, days[-1] + DAY_US), 0, sensors)


def _shares(rows: float, readings_a_day: NDArray[np.float64], rows_max: Iterator[int]) -> Iterator[tuple[int, int]]:
    """The sensors of a day with so many rows, divided so that each share has about as many as it may."""
    total = np.cumsum(readings_a_day)
    first, taken = 0, 0.0
    while first < len(total):
        taken += next(rows_max)
        end = max(first + 1, int(np.searchsorted(total, total[-1] * min(1.0, taken / rows), side="right")))
        yield first, end
        first = end
