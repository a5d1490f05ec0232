"""A web server that a bench drives: our application, and beside it a bare ASGI broadcast, in one process.

`python -m bench.broadcast` prints {"port", "control"} and serves. `/bare` sends every frame to every client in turn,
without queues, rights or bounds. The control port takes one JSON object a line: `{"publish": "ours" | "bare",
"seconds", "rate", "pad", "readers"}` is answered with {"frames", "seconds", "cpu_s"} when the readers have had all of
it; `{"received": n}` comes from the crowd and is how many frames they have had since the last publishing began. With a
rate of 0 frames are published as fast as the readers take them, never more than `WINDOW_FRAMES` ahead of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from engine.live import LiveChunk, LiveFrame
from engine.logs import configure_logging
from engine.settings import load_settings
from web.app import create_app
from web.edge import connections as listening
from web.edge.server import let_start_up_rest, set_server_defaults

WINDOW_FRAMES = 64
FACILITY, SENSOR = "bench-facility", "bench-sensor"
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Broadcast:
    """Publishes to the live feed of our application, or to the bare one's clients."""

    def __init__(self) -> None:
        self._chunks: list[asyncio.Queue[LiveChunk]] = []
        self._bare: list[Send] = []
        self._received = 0
        self._crowd = 0
        self._moved = asyncio.Event()

    async def watch(self, facility_id: str) -> AsyncIterator[LiveChunk]:
        """The feed that `create_app` is given."""
        queue: asyncio.Queue[LiveChunk] = asyncio.Queue()
        self._chunks.append(queue)
        try:
            yield LiveChunk(facility_id, ())
            while True:
                yield await queue.get()
        finally:
            self._chunks.remove(queue)

    async def bare(self, receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
        """The whole of the other application."""
        await receive()
        await send({"type": "websocket.accept"})
        self._bare.append(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self._bare.remove(send)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the bench or its crowd."""
        while line := await reader.readline():
            order = json.loads(line)
            if "received" in order:
                self._received = order["received"]
                self._moved.set()
            else:
                writer.write(json.dumps(await self._publish(**order)).encode() + b"\n")
        writer.close()

    async def _publish(self, publish: str, seconds: float, rate: float, pad: int, readers: int) -> dict[str, float]:
        self._received, self._crowd = 0, readers
        send = self._to_ours if publish == "ours" else self._to_bare
        started_s, cpu_s = time.perf_counter(), time.process_time()
        frames = 0
        while (now_s := time.perf_counter() - started_s) < seconds:
            if rate and frames >= now_s * rate:
                await asyncio.sleep(frames / rate - now_s)
            elif not rate and frames - self._received / readers >= WINDOW_FRAMES:
                await self._readers_moved()
            else:
                await send(_frame(frames, pad))
                frames += 1
        while self._received < frames * readers:
            await self._readers_moved()
        return {
            "frames": frames,
            "seconds": time.perf_counter() - started_s,
            "cpu_s": time.process_time() - cpu_s,
        }

    async def _readers_moved(self) -> None:
        self._moved.clear()
        async with asyncio.timeout(60):
            await self._moved.wait()

    async def _to_ours(self, frame: LiveFrame) -> None:
        for queue in self._chunks:
            queue.put_nowait(LiveChunk(FACILITY, (frame,)))

    async def _to_bare(self, frame: LiveFrame) -> None:
        text = frame[2].decode()
        for send in list(self._bare):
            await send({"type": "websocket.send", "text": text})


def _frame(number: int, pad: int) -> LiveFrame:
    """Its last 30 characters but two say which one it is and when it was published."""
    body = {
        "sensor_id": SENSOR,
        "facility_id": FACILITY,
        "tracked_at": "2026-11-22T10:15:00.123456",
        "data": f"{'x' * pad}{number:09d} {time.perf_counter_ns():018d}",
    }
    return SENSOR, number, json.dumps(body).encode()


async def main() -> None:
    settings = load_settings()
    configure_logging(settings, "web")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the end of a bench cancels what is open
    set_server_defaults()
    listening.UNACKNOWLEDGED_S_MAX = int(os.environ["BENCH_STALLED_S"])
    broadcast = Broadcast()
    ours: Any = create_app(settings, broadcast)
    ours.before_serving(let_start_up_rest)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and scope["path"] == "/bare":
            await broadcast.bare(receive, send)
        else:
            await ours(scope, receive, send)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    control = await asyncio.start_server(broadcast.control, "127.0.0.1", 0)
    config = Config()
    ports = {"port": listener.getsockname()[1], "control": control.sockets[0].getsockname()[1]}
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = 2048
    config.accesslog = config.errorlog = None
    print(json.dumps(ports), flush=True)
    await serve(app, config)


if __name__ == "__main__":
    asyncio.run(main())
