"""The proxy does what each fault says, and no byte is lost or swapped on a connection that lives on."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.proxy import LOOPBACK, Fault, TcpProxy

PIECE = bytes(range(256)) * 256


class Sink:
    """Reads what comes and keeps only its count and digest; answers each line `?` with the count."""

    def __init__(self) -> None:
        self.count = 0
        self.digest = hashlib.blake2b()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                self.count += len(chunk)
                self.digest.update(chunk)
                writer.write(chunk[:1])
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Sink, TcpProxy]]:
    sink = Sink()
    server = await asyncio.start_server(sink.serve, LOOPBACK, 0)
    proxy = TcpProxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield sink, proxy
    finally:
        await proxy.close()
        server.close()


async def until(count: int, sink: Sink) -> None:
    async with asyncio.timeout(30):
        while sink.count < count:
            await asyncio.sleep(0.01)


async def in_force(proxy: TcpProxy) -> None:
    async with asyncio.timeout(30):
        while proxy.fault is None:
            await asyncio.sleep(0.01)


async def drop(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def test_no_byte_is_lost_or_swapped_over_faults_that_keep_the_connection() -> None:
    faults = [
        Fault("delay", 0.3, delay_ms=100),
        Fault("trickle", 0.3, bytes_s=20_000),
        Fault("black_hole", 0.3),
        Fault("delay", 0.2, delay_ms=20),
    ]
    async with proxied() as (sink, proxy):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        dropping = asyncio.create_task(drop(reader))

        async def bully() -> None:
            for fault in faults:
                await asyncio.sleep(0.1)
                await proxy.apply(fault)

        bullying = asyncio.create_task(bully())
        sent, digest = 0, hashlib.blake2b()
        while not bullying.done() or sent < 10_000_000:
            piece = PIECE[sent % 251 :]
            digest.update(piece)
            sent += len(piece)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        await bullying
        await until(sent, sink)
        assert sink.count == sent
        assert sink.digest.digest() == digest.digest()
        writer.close()
        await dropping


async def test_a_black_hole_takes_a_bounded_number_of_bytes_and_gives_none() -> None:
    async with proxied() as (sink, proxy):
        _, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"x")
        await until(1, sink)
        applied_s, sent = time.monotonic(), 0
        applying = asyncio.create_task(proxy.apply(Fault("black_hole", 2.0)))
        await in_force(proxy)
        while not applying.done() and sent < 64_000_000:
            writer.write(PIECE)
            sent += len(PIECE)
            await asyncio.wait({asyncio.create_task(writer.drain()), applying}, return_when=asyncio.FIRST_COMPLETED)
            assert sink.count == 1 or time.monotonic() > applied_s + 2.0, "something came out of the black hole"
        assert sent < 32_000_000, "it takes as much as one gives"
        await applying
        await until(1 + sent, sink)


async def test_a_cut_resets_connections_and_admits_none_until_it_is_over() -> None:
    async with proxied() as (sink, proxy):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        applying = asyncio.create_task(proxy.apply(Fault("cut", 4.0)))
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
            await reader.readexactly(1)
        await applying
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"yz")
        await reader.readexactly(1)
        await until(3, sink)


async def test_delay_delays_there_and_back() -> None:
    async with proxied() as (_, proxy):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        applying = asyncio.create_task(proxy.apply(Fault("delay", 60.0, delay_ms=300)))
        await in_force(proxy)
        started_s = time.monotonic()
        writer.write(b"x")
        await reader.readexactly(1)
        assert time.monotonic() - started_s >= 0.6
        applying.cancel()


async def test_trickle_gives_no_more_bytes_than_it_says() -> None:
    async with proxied() as (sink, proxy):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        applying = asyncio.create_task(proxy.apply(Fault("trickle", 2.0, bytes_s=1_000)))
        await in_force(proxy)
        started_s = time.monotonic()
        writer.write(PIECE)
        dropping = asyncio.create_task(drop(reader))
        await until(500, sink)
        assert time.monotonic() - started_s >= 0.4
        await applying
        await until(len(PIECE), sink)
        dropping.cancel()


async def test_the_process_ends_in_the_middle_of_a_fault() -> None:
    async with proxied() as (_, proxy):
        applying = asyncio.create_task(proxy.apply(Fault("black_hole", 60.0)))
        await in_force(proxy)
        await proxy.close()
        with pytest.raises(ConnectionError):
            await applying
        assert proxy._process is not None
        assert not Path(f"/proc/{proxy._process.pid}").exists()
