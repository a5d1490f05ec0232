"""One wake-up call on a Clock: nothing runs while none is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.clock import Clock


class Alarm:
    """Calls `action` once the clock has reached the time it was set for."""

    def __init__(self, clock: Clock, action: Callable[[], None]) -> None:
        self._clock = clock
        self._action = action
        self._at_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, at_s: float) -> None:
        """Ring at `at_s` (monotonic); an earlier setting stands, for the action sets the next one itself."""
        if self._at_s is not None and self._at_s <= at_s:
            return
        self.cancel()
        self._at_s = at_s
        self._task = asyncio.create_task(self._ring(at_s))

    def cancel(self) -> None:
        self._at_s = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ring(self, at_s: float) -> None:
        await self._clock.sleep(at_s - self._clock.monotonic_s())
        self._at_s = None
        self._task = None
        self._action()
