"""How the web side reaches the engine: live values through a small process of its own that speaks Ray.

A Ray driver ends its whole process when its cluster is gone for a minute (docs/decisions), so the web server never is
one. `ClusterFeed` keeps a child (`engine.cluster.link`) while somebody watches; the child's end is ClusterUnavailable
for the watchers, and the next watch starts a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog

from engine.cluster.environment import ray_to_watch
from engine.environments import basic_environment, ray_environment
from engine.errors import ClusterUnavailable
from engine.live import LiveChunk
from engine.settings import Settings

CHUNKS_WAITING_MAX: Final = 256
RESTART_PAUSE_S: Final = 2.0
RECONNECT_S: Final = 5.0
FRAME = struct.Struct("!I")

log = structlog.get_logger()


class ClusterFeed:
    """LiveFeed over the running engine. `close` ends the child."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._link: _Link | None = None
        self._opening: asyncio.Lock | None = None
        self._last_start_s = float("-inf")
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect before anybody watches, and again after the engine's restart: joining Ray takes seconds."""
        self._keeper = asyncio.create_task(self._stay_connected(), name="cluster feed")

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._linked()
            except ClusterUnavailable as error:
                log.debug("engine_not_there_yet", error=str(error))
            await asyncio.sleep(RECONNECT_S)

    async def watch(self, facility_id: str) -> AsyncIterator[LiveChunk]:
        """See LiveFeed."""
        link = await self._linked()
        inbox = await link.subscribe(facility_id)
        try:
            while (chunk := await inbox.get()) is not None:
                yield chunk
        finally:
            await link.unsubscribe(facility_id, inbox)
        raise ClusterUnavailable(f"the engine is not there: {link.ending}")

    async def close(self) -> None:
        """End the child."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    async def _linked(self) -> _Link:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._link is None or self._link.ended:
                now_s = asyncio.get_running_loop().time()
                pause_s = self._last_start_s + RESTART_PAUSE_S - now_s
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
                self._last_start_s = asyncio.get_running_loop().time()
                self._link = await _Link.start(self._settings)
            return self._link


class _Inbox:
    """Chunks that one watcher has not taken yet. When it is far behind, the oldest keep only the newest a sensor."""

    def __init__(self) -> None:
        self._chunks: deque[LiveChunk] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def put(self, chunk: LiveChunk) -> None:
        """Never waits and never grows beyond its bound."""
        if len(self._chunks) >= CHUNKS_WAITING_MAX:
            oldest, next_oldest = self._chunks.popleft(), self._chunks.popleft()
            self._chunks.appendleft(_conflated(oldest, next_oldest))
        self._chunks.append(chunk)
        self._news.set()

    def end(self) -> None:
        """Nothing follows what is here."""
        self._ended = True
        self._news.set()

    async def get(self) -> LiveChunk | None:
        """The next chunk; None at the end."""
        while not self._chunks:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._chunks.popleft()


class _Link:
    """One child process. Requests and answers are length-prefixed pickles between us and our own child."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._watchers: dict[str, list[_Inbox]] = {}
        self._reading = asyncio.create_task(self._read())
        self.ended = False
        self.ending = "its connection ended"

    @classmethod
    async def start(cls, settings: Settings) -> _Link:
        """Start the child; it connects while we go on."""
        found = ray_to_watch(settings)
        if found is None:
            raise ClusterUnavailable(f"no engine runs on {settings.data_dir}, and RAY_ADDRESS is not set")
        address, additions = found
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.cluster.link",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=basic_environment() | ray_environment() | additions,
        )
        link = cls(process)
        await link._send(("join", address))
        return link

    async def subscribe(self, facility_id: str) -> _Inbox:
        """Chunks of a facility from now on."""
        inbox = _Inbox()
        if self.ended:
            inbox.end()
            return inbox
        watchers = self._watchers.setdefault(facility_id, [])
        watchers.append(inbox)
        if len(watchers) == 1:
            await self._send(("watch", facility_id))
        return inbox

    async def unsubscribe(self, facility_id: str, inbox: _Inbox) -> None:
        """The last watcher of a facility ends the watch."""
        watchers = self._watchers.get(facility_id, [])
        if inbox in watchers:
            watchers.remove(inbox)
        if not watchers and self._watchers.pop(facility_id, None) is not None and not self.ended:
            await self._send(("unwatch", facility_id))

    async def close(self) -> None:
        """End the child; it holds nothing that could be lost."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._process.wait()

    async def _send(self, message: Any) -> None:
        body = pickle.dumps(message)
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # `_read` tells the end to everybody
            self._process.stdin.write(FRAME.pack(len(body)) + body)
            await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                (size,) = FRAME.unpack(await self._process.stdout.readexactly(FRAME.size))
                self._take(pickle.loads(await self._process.stdout.readexactly(size)))  # noqa: S301  our own child
        except (asyncio.IncompleteReadError, ConnectionError):
            log.info("cluster_link_ended", reason=self.ending)
        finally:
            self.ended = True
            for inbox in [inbox for watchers in self._watchers.values() for inbox in watchers]:
                inbox.end()

    def _take(self, message: tuple[str, Any]) -> None:
        kind, content = message
        if kind == "chunk":
            for inbox in self._watchers.get(content.facility_id, []):
                inbox.put(content)
        else:
            self.ending = str(content)


def _conflated(older: LiveChunk, newer: LiveChunk) -> LiveChunk:
    """Both as one, the newest frame of each sensor only."""
    newest = {frame[0]: frame for frame in (*older.frames, *newer.frames)}
    left_out = len(older.frames) + len(newer.frames) - len(newest)
    skipped = older.skipped + newer.skipped + left_out
    return LiveChunk(older.facility_id, tuple(newest.values()), older.snapshot or newer.snapshot, skipped)
