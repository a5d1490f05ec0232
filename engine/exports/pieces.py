"""Divides the readings of a selection into pieces that fit into memory. Pure; times are microseconds.

A piece is a range of whole days of all sensors, or a range of sensors of one day, so that pieces one after the other
are in the order of day, sensor and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import US_PER_S

DAY_US: Final = 86_400 * US_PER_S
PIECE_ROWS: Final = 150_000
"""What one connection holds at a time, some 40 bytes each."""
DAYS_MAX: Final = 400
"""Of a piece, so that a day, a sensor and a time of day fit into one number to sort by."""


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

    def together() -> Iterator[Piece]:
        if days:
            yield Piece(max(start_us, days[0]), min(end_us, days[-1] + DAY_US), 0, sensors)
            days.clear()

    for day_us in sorted(day_rows):
        if day_us >= end_us or day_us + DAY_US <= start_us or not sensors:
            continue
        is_far = bool(days) and day_us - days[0] >= DAYS_MAX * DAY_US
        if rows + day_rows[day_us] > PIECE_ROWS or is_far:
            yield from together()
            rows = 0.0
        if day_rows[day_us] > PIECE_ROWS:
            yield from _of_one_day(day_us, day_rows[day_us], readings_a_day, start_us, end_us)
            continue
        days.append(day_us)
        rows += day_rows[day_us]
    yield from together()


def _of_one_day(
    day_us: int, rows: float, readings_a_day: NDArray[np.float64], start_us: int, end_us: int
) -> Iterator[Piece]:
    parts = int(-(-rows // PIECE_ROWS))
    total = np.cumsum(readings_a_day)
    bounds = np.searchsorted(total, total[-1] * np.arange(1, parts) / parts, side="right")
    ranks = np.unique(np.concatenate(([0], bounds, [len(readings_a_day)])))
    for first, end in zip(ranks[:-1].tolist(), ranks[1:].tolist(), strict=True):
        yield Piece(max(start_us, day_us), min(end_us, day_us + DAY_US), first, end)
