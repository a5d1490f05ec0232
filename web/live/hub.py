"""Live values from the engine to whoever watches: one watch a facility, encoded once, fanned out.

Values go one by one until a client is `QUEUE_FRAMES_MAX` behind, then the newest a sensor until it has caught up;
what is left out is counted. After a reload the engine sends latest values again (a snapshot): an exact repeat of the
last frame of a sensor is dropped, and so is a value from before anybody watched. A late reading is not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from engine.clock import Clock
from engine.errors import ClusterUnavailable, FacilityUnavailable
from engine.live import LiveFeed, LiveFrame
from engine.metrics import Metrics
from web.edge.frames import text_frame

QUEUE_FRAMES_MAX = 256
RETRY_S = 1.0
STAND_S_MAX = 8.0
CONFLATED = "gasinsight_conflated_values_total"

log = structlog.get_logger(__name__)


class Watcher:
    """One socket's bounded queue. `sensor_id` None: every sensor of the facility."""

    def __init__(self, sensor_id: str | None, metrics: Metrics) -> None:
        self.sensor_id = sensor_id
        self._metrics = metrics
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._newest: dict[str, tuple[int, bytes]] = {}
        self._filled = asyncio.Event()

    def offer(self, sensor_id: str, tracked_at_us: int, frame: bytes) -> None:
        if not self._newest and len(self._queue) < QUEUE_FRAMES_MAX:
            self._queue.append((sensor_id, tracked_at_us, frame))
        else:
            while self._queue:
                self._conflate(*self._queue.popleft())
            self._conflate(sensor_id, tracked_at_us, frame)
        self._filled.set()

    async def frames(self) -> list[bytes]:
        """Everything that waits, as soon as something does."""
        await self._filled.wait()
        self._filled.clear()
        waiting = [frame for _, _, frame in self._queue] or [frame for _, frame in self._newest.values()]
        self._queue.clear()
        self._newest.clear()
        return waiting

    def _conflate(self, sensor_id: str, tracked_at_us: int, frame: bytes) -> None:
        held = self._newest.get(sensor_id)
        if held is not None:
            self._metrics.add(CONFLATED)
        if held is None or tracked_at_us >= held[0]:
            self._newest[sensor_id] = (tracked_at_us, frame)


class _FacilityWatch:
    """The task that follows one facility, and who listens."""

    def __init__(self, started_us: int) -> None:
        self.started_us = started_us
        self.by_sensor: dict[str, list[Watcher]] = {}
        self.of_all: list[Watcher] = []
        self.last_frames: dict[str, bytes] = {}
        self.task: asyncio.Task[None] | None = None
        self.answered = asyncio.Event()  # the watch stands, or is known not to

    def add(self, watcher: Watcher) -> None:
        self._listeners(watcher).append(watcher)

    def remove(self, watcher: Watcher) -> None:
        listeners = self._listeners(watcher)
        listeners.remove(watcher)
        if not listeners and watcher.sensor_id is not None:
            del self.by_sensor[watcher.sensor_id]

    @property
    def is_idle(self) -> bool:
        return not self.by_sensor and not self.of_all

    def publish(self, frame: LiveFrame, *, is_snapshot: bool) -> None:
        sensor_id, tracked_at_us, encoded = frame
        last = self.last_frames.get(sensor_id)
        self.last_frames[sensor_id] = encoded
        if last == encoded or (is_snapshot and last is None and tracked_at_us < self.started_us):
            return
        listeners = self.by_sensor.get(sensor_id, ())
        if not listeners and not self.of_all:
            return
        whole = text_frame(encoded)
        for watcher in (*listeners, *self.of_all):
            watcher.offer(sensor_id, tracked_at_us, whole)

    def _listeners(self, watcher: Watcher) -> list[Watcher]:
        return self.of_all if watcher.sensor_id is None else self.by_sensor.setdefault(watcher.sensor_id, [])


class LiveHub:
    def __init__(self, feed: LiveFeed, metrics: Metrics, clock: Clock) -> None:
        self._feed = feed
        self._metrics = metrics
        self._metrics.add(CONFLATED, 0)  # so that it is there before anything happens
        self._clock = clock
        self._watches: dict[str, _FacilityWatch] = {}

    @asynccontextmanager
    async def watching(self, facility_id: str, sensor_id: str | None) -> AsyncIterator[Watcher]:
        """A queue that fills with the readings committed from now on: it is given when the engine's watch stands.

        An engine that is away is not waited for, a slow one `STAND_S_MAX` seconds.
        """
        watcher = Watcher(sensor_id, self._metrics)
        watch = self._watches.get(facility_id)
        if watch is None:
            watch = self._watches[facility_id] = _FacilityWatch(self._clock.now_us())
            watch.task = asyncio.create_task(self._follow(facility_id, watch), name=f"watch {facility_id}")
        watch.add(watcher)
        try:
            await self._until_answered(facility_id, watch)
            yield watcher
        finally:
            watch.remove(watcher)
            if watch.is_idle and watch.task is not None:
                del self._watches[facility_id]
                watch.task.cancel()

    async def _until_answered(self, facility_id: str, watch: _FacilityWatch) -> None:
        try:
            async with asyncio.timeout(STAND_S_MAX):
                await watch.answered.wait()
        except TimeoutError:
            log.warning("live_feed_slow", facility_id=facility_id, waited_s=STAND_S_MAX)

    async def close(self) -> None:
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, facility_id: str, watch: _FacilityWatch) -> None:
        while True:
            try:
                async for chunk in self._feed.watch(facility_id):
                    watch.answered.set()
                    if chunk.skipped:
                        self._metrics.add(CONFLATED, chunk.skipped)
                    for frame in chunk.frames:
                        watch.publish(frame, is_snapshot=chunk.snapshot)
            except (ClusterUnavailable, FacilityUnavailable) as error:
                log.info("live_feed_interrupted", facility_id=facility_id, error=str(error))
            except Exception:  # a bug must not leave the watchers in silence: say it and watch again
                log.exception("live_feed_crashed", facility_id=facility_id)
            watch.answered.set()
            await self._clock.sleep(RETRY_S)
