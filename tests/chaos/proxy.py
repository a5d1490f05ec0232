"""A network that misbehaves on demand: a TCP proxy on loopback, in a process of its own.

`TcpProxy` is the handle. The process reads one JSON fault a line from stdin, tells when it begins and when it is over,
and ends with its stdin, so it never outlives whoever started it.

delay       each chunk comes out later, in order
cut         every connection is reset, new ones are closed at once
black_hole  bytes are accepted (as many as the buffers hold) and nothing comes out, not even the news that the other
            side is gone; afterwards everything flows on, no byte missing
trickle     so many bytes a second and direction, in order
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

LOOPBACK: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parents[2]
CHUNK_BYTES: Final = 64 * 1024
CHUNKS_HELD_MAX: Final = 16
SOCKET_BYTES: Final = 256 * 1024
TRICKLE_TURN_S: Final = 0.05
UPSTREAM_RETRY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One spell of bad network, for `seconds`. `delay_ms` is for delay, `bytes_s` for trickle."""

    kind: Literal["delay", "cut", "black_hole", "trickle"]
    seconds: float
    delay_ms: float = 200.0
    bytes_s: int = 2000


class TcpProxy:
    """127.0.0.1:`port` leads to 127.0.0.1:`upstream_port`, through a process of its own."""

    def __init__(self, upstream_port: int, listen_port: int = 0) -> None:
        self._upstream_port = upstream_port
        self.port = listen_port
        self.fault: Fault | None = None
        """In force now."""
        self._process: Process | None = None
        self._one_fault = asyncio.Lock()

    async def start(self) -> None:
        """Returns when connections are accepted; `port` is known then."""
        arguments = ["--upstream", str(self._upstream_port), "--listen", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.proxy",
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        self.port = int(await self._answer())

    async def apply(self, fault: Fault) -> None:
        """Returns when the fault is over. One at a time: a second one waits."""
        async with self._one_fault:
            assert self._process is not None and self._process.stdin is not None, "the proxy was not started"
            self._process.stdin.write(json.dumps(asdict(fault)).encode() + b"\n")
            await self._process.stdin.drain()
            try:
                await self._answer()
                self.fault = fault
                await self._answer()
            finally:
                self.fault = None

    async def close(self) -> None:
        """All connections end, also in the middle of a fault."""
        if self._process is not None and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()

    async def _answer(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ConnectionError(f"the proxy of port {self._upstream_port} has ended ({await self._process.wait()})")
        return line


class _Network:
    """What the connections share: the fault of now, and a way to wait for its end."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.fault: Fault | None = None
        self._over = asyncio.Event()
        self._over.set()
        self._connections: set[_Connection] = set()

    async def apply(self, fault: Fault) -> None:
        self.fault = fault
        _tell("began")
        self._over.clear()
        if fault.kind == "cut":
            for connection in list(self._connections):
                connection.reset()
        await asyncio.sleep(fault.seconds)
        self.fault = None
        self._over.set()

    def is_now(self, kind: str) -> bool:
        return self.fault is not None and self.fault.kind == kind

    async def clear_of(self, kind: str) -> None:
        """Wait while a fault of this kind lasts."""
        while self.is_now(kind):
            await self._over.wait()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its start to its end."""
        connection = _Connection(self, reader, writer)
        if self.is_now("cut"):
            connection.reset()
            return
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


class _Connection:
    def __init__(self, network: _Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._network = network
        self._reader = reader
        self._writers = [writer]
        self._was_reset = False

    async def run(self) -> None:
        try:
            await self._network.clear_of("black_hole")
            upstream = await asyncio.open_connection(LOOPBACK, self._network.upstream_port, limit=CHUNK_BYTES)
            self._writers.append(upstream[1])
            if self._was_reset:
                return
            there = self._pump(self._reader, upstream[1])
            back = self._pump(upstream[0], self._writers[0])
            await asyncio.gather(there, back)
        except OSError:  # either side is gone, and the other one is to learn it
            self.reset()
        finally:
            for writer in self._writers:
                writer.close()

    def reset(self) -> None:
        """Both sides see a connection reset."""
        self._was_reset = True
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already, which is what we want
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Reading runs ahead of writing by a bounded number of chunks: delay is no lack of speed."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_HELD_MAX)
        reading = asyncio.create_task(self._read(reader, held))
        try:
            while True:
                due_s, chunk = await held.get()
                await self._wait_until(due_s)
                await self._network.clear_of("black_hole")
                if not chunk:
                    writer.write_eof()
                    return
                await self._write(writer, chunk)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        chunk = b"?"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:  # told to the other side as an end, after what came before it
                chunk = b""
            fault = self._network.fault
            delay_s = fault.delay_ms / 1000 if fault is not None and fault.kind == "delay" else 0.0
            await held.put((loop.time() + delay_s, chunk))

    async def _wait_until(self, due_s: float) -> None:
        if (wait_s := due_s - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait_s)

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            fault = self._network.fault
            piece = rest
            if fault is not None and fault.kind == "trickle":
                piece = rest[: max(1, int(fault.bytes_s * TRICKLE_TURN_S))]
                await asyncio.sleep(len(piece) / fault.bytes_s)
                await self._network.clear_of("black_hole")
            writer.write(piece)
            await writer.drain()
            rest = rest[len(piece) :]


async def _serve(upstream_port: int, listen_port: int) -> None:
    listener = socket.create_server((LOOPBACK, listen_port), backlog=256)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
    network = _Network(upstream_port)
    server = await asyncio.start_server(network.accept, sock=listener, limit=CHUNK_BYTES)
    _tell(str(listener.getsockname()[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with server:
        await _obey(orders, network)
        os._exit(0)  # connections end with the process; nobody waits for them


async def _obey(orders: asyncio.StreamReader, network: _Network) -> None:
    """Fault by fault; the end of the orders ends a fault that is still running."""
    line = await orders.readline()
    while line:
        applying = asyncio.create_task(network.apply(Fault(**json.loads(line))))
        next_line = asyncio.create_task(orders.readline())
        await asyncio.wait({applying, next_line}, return_when=asyncio.FIRST_COMPLETED)
        if not applying.done():
            assert not next_line.result(), "one fault at a time"
            return
        _tell("over")
        line = await next_line


def _tell(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--listen", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.upstream, options.listen))


if __name__ == "__main__":
    main()
