"""Receiving and settling on one connection take turns: one receives, or many settle. Those who settle go first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """Used by one event loop. A receive that waits lets everybody settle before it starts."""

    def __init__(self) -> None:
        self._receiving = False
        self._settling = 0
        self._want_to_settle = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def receive(self) -> AsyncIterator[None]:
        """Alone on the connection."""
        await self._until(lambda: not (self._receiving or self._settling or self._want_to_settle))
        self._receiving = True
        try:
            yield
        finally:
            self._receiving = False
            self._changed.set()

    @asynccontextmanager
    async def settle(self) -> AsyncIterator[None]:
        """Beside others who settle."""
        self._want_to_settle += 1
        try:
            await self._until(lambda: not self._receiving)
            self._settling += 1
        finally:
            self._want_to_settle -= 1
            self._changed.set()
        try:
            yield
        finally:
            self._settling -= 1
            self._changed.set()

    async def _until(self, free: Callable[[], bool]) -> None:
        while not free():
            self._changed.clear()
            await self._changed.wait()
