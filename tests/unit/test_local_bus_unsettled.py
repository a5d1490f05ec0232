"""Deliveries found by number: a range costs what is held in it, and numbers wrap."""

from __future__ import annotations

from typing import cast

import pytest

from engine.local_bus.frames import SERIAL
from engine.local_bus.queue import Queue
from engine.local_bus.unsettled import UNSETTLED_MAX, Holder, Unsettled


def holding(*numbers: int) -> Unsettled:
    unsettled = Unsettled()
    for number in numbers:
        unsettled.add(number, Holder(cast("Queue", None), number.to_bytes(16, "big")))
    return unsettled


def taken(unsettled: Unsettled, first: int, last: int) -> list[tuple[int, int, int | None]]:
    parts = unsettled.take(first, last)
    return [(first, last, holder and int.from_bytes(holder.token, "big")) for first, last, holder in parts]


def test_each_delivery_is_taken_once_and_holes_are_ranges() -> None:
    unsettled = holding(5, 6, 9)
    assert taken(unsettled, 4, 9) == [(4, 4, None), (5, 5, 5), (6, 6, 6), (7, 8, None), (9, 9, 9)]
    assert taken(unsettled, 4, 9) == [(4, 9, None)]
    assert len(unsettled) == 0


def test_what_lies_outside_of_the_range_stays() -> None:
    unsettled = holding(1, 2, 3)
    assert taken(unsettled, 2, 2) == [(2, 2, 2)]
    assert taken(unsettled, 0, SERIAL - 1) == [
        (0, 0, None), (1, 1, 1), (2, 2, None), (3, 3, 3), (4, SERIAL - 1, None)
    ]  # fmt: skip


def test_a_range_over_the_highest_number() -> None:
    unsettled = holding(SERIAL - 2, SERIAL - 1, 0, 1, 7)
    assert taken(unsettled, SERIAL - 1, 0) == [(SERIAL - 1, SERIAL - 1, SERIAL - 1), (0, 0, 0)]
    assert taken(unsettled, SERIAL - 3, 2) == [
        (SERIAL - 3, SERIAL - 3, None), (SERIAL - 2, SERIAL - 2, SERIAL - 2), (SERIAL - 1, SERIAL - 1, None),
        (0, 0, None), (1, 1, 1), (2, 2, None),
    ]  # fmt: skip
    assert taken(unsettled, 7, 7) == [(7, 7, 7)]


@pytest.mark.parametrize("over", [0, 1])
def test_of_too_many_the_oldest_is_forgotten(over: int) -> None:
    begin = SERIAL - 10  # the oldest is not the smallest
    unsettled = holding(*((begin + at) % SERIAL for at in range(UNSETTLED_MAX + over)))
    assert len(unsettled) == UNSETTLED_MAX
    assert taken(unsettled, begin, begin) == [(begin, begin, begin if over == 0 else None)]
