"""Many websocket clients in a process of their own, as cheap as they can be: `python -m bench.crowd CONTROL_PORT`.

Takes one JSON object a line and answers each with one: `{"connect": url, "readers", "stuck", "slow"}` with {} when all
are connected, `{"report": true}` with what they had since the last one, `{"leave": true}` with {} when all have left.
A reader counts every frame and looks at its number; a stuck client reads nothing after the handshake; a slow one
takes a little now and then.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import socket
import sys
import time
from urllib.parse import urlsplit

CONNECTING_MAX = 50
HOSTILE_BUFFER_BYTES = 8192
ETHERNET_BYTES = 1448  # loopback's pieces of 64 KB would never fit into that buffer, and reading slowly be no reading
SLOW_EVERY_S = 0.5
TOLD_EVERY_S = 0.005
TAIL = slice(-30, -2)  # what bench.broadcast puts there: number, time of publishing


class Client(asyncio.Protocol):
    """One connection; what it received is kept only as far as the last incomplete frame."""

    def __init__(self, crowd: Crowd, url: str, kind: str) -> None:
        self.crowd = crowd
        self.kind = kind
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.forget()
        self._url = urlsplit(url)
        self._held = b""

    def forget(self) -> None:
        self.frames = 0
        self.last = -1
        self.misplaced = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        target = f"{self._url.path}?{self._url.query}" if self._url.query else self._url.path
        lines = [f"GET {target} HTTP/1.1", f"Host: {self._url.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        transport.write(
            "\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13\r\n\r\n"]).encode()
        )

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        if not self.connected.done():
            head, end, held = held.partition(b"\r\n\r\n")
            if not end:
                self._held = head
                return
            self._greeted(head)
        self._held = self._frames(held)
        if self.kind == "slow":
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self.connected.done():
            self.connected.set_exception(error or ConnectionError("closed before the handshake"))

    def _greeted(self, head: bytes) -> None:
        if head.startswith(b"HTTP/1.1 101"):
            self.connected.set_result(None)
        else:
            self.connected.set_exception(ConnectionError(head.decode()))
        if self.kind != "reader":
            self.transport.pause_reading()

    def _frames(self, data: bytes) -> bytes:
        """Count the frames in `data`; what is left of the last one."""
        at, end = 0, len(data)
        while end - at >= 2:
            is_text, size, start = data[at] == 0x81, data[at + 1], at + 2
            if size > 125:
                width = 2 if size == 126 else 8
                start += width
                if start > end:
                    break
                size = int.from_bytes(data[start - width : start])
            if start + size > end:
                break
            at = start + size
            if is_text:
                self._counted(data[start:at][TAIL])
        return data[at:]

    def _counted(self, tail: bytes) -> None:
        number = int(tail[:9])
        if number <= self.last or (self.kind == "reader" and number != self.last + 1):
            self.misplaced += 1
        self.last = number
        self.frames += 1
        if self.kind == "reader":
            self.crowd.counted(tail)


class Crowd:
    def __init__(self, control: asyncio.StreamWriter) -> None:
        self.clients: list[Client] = []
        self._control = control
        self._received = self._told = 0
        self._lags_ns: list[int] = []
        self._busy_s = 0.0

    def counted(self, tail: bytes) -> None:
        self._received += 1
        if self._received % 16 == 0:
            self._lags_ns.append(time.perf_counter_ns() - int(tail[10:]))

    async def tell(self) -> None:
        """Keep the publisher informed of how far the readers are."""
        while True:
            await asyncio.sleep(TOLD_EVERY_S)
            if self._received != self._told:
                self._told = self._received
                self._control.write(json.dumps({"received": self._told}).encode() + b"\n")

    async def relieve(self) -> None:
        """Let the slow ones take one piece each."""
        while True:
            await asyncio.sleep(SLOW_EVERY_S)
            for client in self.clients:
                if client.kind == "slow" and not client.closed:
                    client.transport.resume_reading()

    async def connect(self, url: str, readers: int, stuck: int, slow: int) -> None:
        turns = asyncio.Semaphore(CONNECTING_MAX)
        kinds = ["reader"] * readers + ["stuck"] * stuck + ["slow"] * slow
        await asyncio.gather(*(self._connect(url, kind, turns) for kind in kinds))

    async def _connect(self, url: str, kind: str, turns: asyncio.Semaphore) -> None:
        parts = urlsplit(url)
        async with turns:
            connected = socket.socket()
            if kind != "reader":
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HOSTILE_BUFFER_BYTES)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_BYTES)
            connected.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connected, (parts.hostname, parts.port))
            _, client = await loop.create_connection(lambda: Client(self, url, kind), sock=connected)
            self.clients.append(client)
            await asyncio.wait_for(client.connected, 60)

    def report(self) -> dict[str, object]:
        readers = [client for client in self.clients if client.kind == "reader"]
        busy_s = time.process_time()
        lags = sorted(self._lags_ns)
        told: dict[str, object] = {
            "fewest": min((client.frames for client in readers), default=0),
            "most": max((client.frames for client in readers), default=0),
            "misplaced": sum(client.misplaced for client in self.clients),
            "lags_ms": [lags[int(len(lags) * part)] / 1e6 for part in (0.5, 0.99)] if lags else [],
            "slow_frames": [client.frames for client in self.clients if client.kind == "slow"],
            "slow_last": [client.last for client in self.clients if client.kind == "slow"],
            "readers_closed": sum(client.closed for client in readers),
            "busy_s": busy_s - self._busy_s,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        }
        self._busy_s = busy_s
        self._received = self._told = 0
        self._lags_ns.clear()
        for client in self.clients:
            client.forget()
        return told

    async def leave(self) -> None:
        for client in self.clients:
            client.transport.abort()
        self.clients.clear()
        await asyncio.sleep(0.1)


async def main(control_port: int) -> None:
    _, control = await asyncio.open_connection("127.0.0.1", control_port)
    crowd = Crowd(control)
    tasks = [asyncio.create_task(crowd.tell()), asyncio.create_task(crowd.relieve())]
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        answer: dict[str, object] = {}
        if "connect" in order:
            await crowd.connect(order["connect"], order["readers"], order["stuck"], order["slow"])
        elif "report" in order:
            answer = crowd.report()
        else:
            await crowd.leave()
        print(json.dumps(answer), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
