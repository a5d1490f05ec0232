"""The deliveries of one session that its client has not settled, found by number or by range of numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import NamedTuple

from engine.local_bus.frames import SERIAL
from engine.local_bus.queue import Queue

UNSETTLED_MAX = 100_000


class Holder(NamedTuple):
    """Whose message a delivery is, and the token of its lock there."""

    queue: Queue
    token: bytes


class Unsettled:
    """At most UNSETTLED_MAX; of more the oldest is forgotten: it can no longer be settled by number, its lock ends."""

    def __init__(self) -> None:
        self._holders: dict[int, Holder] = {}  # oldest first
        self._numbers: list[int] = []  # ascending: a range costs what is in it, however many numbers it names

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int, holder: Holder) -> None:
        self._holders[number] = holder
        insort(self._numbers, number)
        if len(self._numbers) > UNSETTLED_MAX:
            oldest = next(iter(self._holders))
            del self._holders[oldest]
            del self._numbers[bisect_left(self._numbers, oldest)]

    def take(self, first: int, last: int) -> list[tuple[int, int, Holder | None]]:
        """All of `first`..`last` in order: each delivery that is held by itself, those between as ranges of nobody's.

        Numbers wrap (RFC 1982), so `last` may be the smaller one.
        """
        if first <= last:
            return list(self._take(first, last))
        return [*self._take(first, SERIAL - 1), *self._take(0, last)]

    def _take(self, first: int, last: int) -> Iterator[tuple[int, int, Holder | None]]:
        begin, end = bisect_left(self._numbers, first), bisect_right(self._numbers, last)
        held = self._numbers[begin:end]
        del self._numbers[begin:end]
        for number in held:
            if first < number:
                yield first, number - 1, None
            yield number, number, self._holders.pop(number)
            first = number + 1
        if first <= last:
            yield first, last, None

    def clear(self) -> None:
        self._holders.clear()
        self._numbers.clear()
