"""Lets watchers follow a facility's committed readings without ever making it wait.

The facility puts a chunk into a bounded ring and goes on. Watchers read the ring with a cursor, from whatever event
loop they run in; one that fell out of the ring gets the latest values instead and is told how much it missed.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Awaitable, Callable

from engine.clock import Clock
from engine.facility.port import Cursor
from engine.live import LiveChunk, LiveFrame

RING_FRAMES_MAX = 20_000
INTEREST_S = 30.0  # a watcher that has not asked for so long is gone

Latest = Callable[[], Awaitable[tuple[Cursor, list[LiveFrame]]]]
"""Latest values of all sensors with the cursor they belong to, taken between two steps of the facility."""


class Publisher:
    """One facility's ring. A cursor counts frames, so that the distance to it says how many were missed."""

    def __init__(self, facility_id: str, clock: Clock, latest: Latest) -> None:
        self._facility_id = facility_id
        self._clock = clock
        self._latest = latest
        self._lock = threading.Lock()
        self._incarnation = uuid.uuid4().hex
        self._published = 0
        self._ring: deque[tuple[int, LiveChunk]] = deque()  # (number before its first frame, chunk)
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = {}
        self._waiter_ids = itertools.count()
        self._asked_s: float | None = None
        self._home: asyncio.AbstractEventLoop | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody waits or has asked lately; if not, frames need not be built."""
        if self._waiting:
            return True
        return self._asked_s is not None and self._clock.monotonic_s() - self._asked_s < INTEREST_S

    def publish(self, frames: list[LiveFrame]) -> None:
        """Hand on frames of readings that are committed."""
        if not frames:
            return
        with self._lock:
            self._ring.append((self._published, LiveChunk(self._facility_id, tuple(frames))))
            self._published += len(frames)
            while len(self._ring) > 1 and self._published - self._ring[0][0] > RING_FRAMES_MAX:
                self._ring.popleft()
        self._wake()

    def skip(self, frames: int) -> None:
        """So many readings were committed while nobody watched: an old cursor is behind now."""
        with self._lock:
            self._published += frames
            self._ring.clear()

    def restart(self) -> None:
        """The facility was (re)loaded in this event loop: every watcher gets the latest values, some passed unseen."""
        with self._lock:
            self._home = asyncio.get_running_loop()
            self._incarnation = uuid.uuid4().hex
            self._published = 0
            self._ring.clear()
        self._wake()

    def here(self) -> Cursor:
        """The cursor of a watcher that has seen everything."""
        with self._lock:
            return self._incarnation, self._published

    async def watch(self, cursor: Cursor | None, wait_s: float) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        """Chunks after `cursor` (None: from now on); waits up to `wait_s` of real time when there are none yet."""
        self._asked_s = self._clock.monotonic_s()
        position = cursor or self.here()
        if position == self.here() and wait_s > 0:
            await self._wait(position, wait_s)
        chunks = self._after(position)
        if chunks is None:
            here, frames = await self._latest_from_home()
            missed = here[1] - position[1] if here[0] == position[0] else 0
            return here, (LiveChunk(self._facility_id, tuple(frames), snapshot=True, skipped=missed),)
        return (position[0], position[1] + sum(len(chunk.frames) for chunk in chunks)), chunks

    def _after(self, cursor: Cursor) -> tuple[LiveChunk, ...] | None:
        """What follows `cursor` in the ring; None when the ring no longer reaches back so far."""
        with self._lock:
            if cursor == (self._incarnation, self._published):
                return ()
            if cursor[0] != self._incarnation or not self._ring or cursor[1] < self._ring[0][0]:
                return None
            return tuple(chunk for before, chunk in self._ring if before >= cursor[1])

    async def _wait(self, position: Cursor, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if position != (self._incarnation, self._published):
                return
            waiter_id = next(self._waiter_ids)
            self._waiting[waiter_id] = (loop, woken)
        await asyncio.wait([woken], timeout=wait_s)
        with self._lock:
            self._waiting.pop(waiter_id, None)
        self._asked_s = self._clock.monotonic_s()

    async def _latest_from_home(self) -> tuple[Cursor, list[LiveFrame]]:
        """Ask the facility in its own loop: its serial order is kept there."""
        home = self._home
        if home is None or home is asyncio.get_running_loop():
            return await self._latest()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(self._latest), home))

    def _wake(self) -> None:
        """One call into each loop that has waiters, however many they are."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for loop, woken in waiting.values():
            by_loop.setdefault(loop, []).append(woken)
        for loop, futures in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set_all, futures)


async def _awaited(latest: Latest) -> tuple[Cursor, list[LiveFrame]]:
    return await latest()


def _set_all(futures: list[asyncio.Future[None]]) -> None:
    for woken in futures:
        if not woken.done():
            woken.set_result(None)
