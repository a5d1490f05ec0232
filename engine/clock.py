"""The only caller of time: whoever waits or asks the hour is given a Clock, so that tests can move it by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

US_PER_S = 1_000_000


class Clock(Protocol):
    """Wall time for stamps, monotonic time for intervals, and waiting."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock's time."""


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` is awaited; sleepers wake in the order of their deadlines."""

    def __init__(self, start_us: int = 1_767_225_600 * US_PER_S) -> None:
        self._start_us = start_us
        self._now_us = start_us
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return (self._now_us - self._start_us) / US_PER_S

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_us + round(seconds * US_PER_S), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own moment so that it may sleep again within the span."""
        end_us = self._now_us + round(seconds * US_PER_S)
        while self._sleepers and self._sleepers[0][0] <= end_us:
            wake_us, _, woken = heapq.heappop(self._sleepers)
            self._now_us = max(self._now_us, wake_us)
            if not woken.done():
                woken.set_result(None)
            for _ in range(10):  # let what was woken run until it waits again
                await asyncio.sleep(0)
        self._now_us = end_us


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but not through a stop; for what waits outside of any facility, in real time."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
