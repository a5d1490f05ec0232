"""Running local buses for tests: in this process, or as a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from engine.local_bus import LocalBus, connection_string

KEY = "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="


@asynccontextmanager
async def running_bus(
    data_dir: Path, *, lock_s: float = 30.0, queues: Sequence[str] = ("readings",)
) -> AsyncIterator[LocalBus]:
    bus = LocalBus(data_dir, queues, 0, key=KEY, lock_s=lock_s)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


def client_of(bus: LocalBus, **options: Any) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(bus.connection_string, **options)


async def receive_all(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    """`count` messages and whatever else is there, nothing settled; ends when none came for ten seconds."""
    got: list[ServiceBusReceivedMessage] = []
    while len(got) < count and (batch := await receiver.receive_messages(1_000, max_wait_time=10)):
        got += batch
    return got + await receiver.receive_messages(1_000, max_wait_time=0.2)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until `holds`; a slow machine only makes it take longer."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


class BusProcess:
    """`python -m engine.local_bus` on a free port."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    @property
    def client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(connection_string(self.port, KEY), retry_total=0)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)


@asynccontextmanager
async def bus_process(data_dir: Path, *options: str) -> AsyncIterator[BusProcess]:
    arguments = ["--data-dir", str(data_dir), "--port", "0", "--queue", "readings", "--parent-death", *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.local_bus",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GASINSIGHT_BUS_KEY": KEY},
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        yield BusProcess(process, int(line.rsplit(":", 1)[1]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
