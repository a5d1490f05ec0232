"""A real engine process with its own Ray, and a hub that speaks to it through the real SDK."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from engine.processes.process_table import descendants
from engine.settings import Settings

ENGINE_START_S_MAX = 300  # Ray takes several tries on a busy machine


class Engine:
    """`python -m engine` on a data folder; `pids_of` finds its actors by what Ray calls them."""

    def __init__(self, data_dir: Path, database_url: str, bus_address: str) -> None:
        self.data_dir = data_dir
        self.environment = {
            "DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url,
            "SERVICEBUS_CONNECTION_STRING": bus_address,
            "FACILITIES_PER_ACTOR": "2",
            "TICK_S": "1",
            "DATABASE_CONNECTIONS_MAX": "4",
        }
        self.process: asyncio.subprocess.Process | None = None

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, data_dir=self.data_dir)

    async def start(self) -> None:
        log = (self.data_dir / "engine.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine",
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)

    async def kill(self) -> set[int]:
        """SIGKILL of the engine process alone; the pids of what it had started."""
        assert self.process is not None
        left = descendants(self.process.pid)
        self.process.kill()
        await self.process.wait()
        return left

    def pids_of(self, title: str) -> list[int]:
        assert self.process is not None
        return [pid for pid in descendants(self.process.pid) if _title(pid).startswith(f"ray::{title}")]

    def kill_actor(self, title: str) -> int:
        """SIGKILL one actor process."""
        pid = self.pids_of(title)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def log_text(self) -> str:
        files = [self.data_dir / "engine.log", self.data_dir / "logs" / "engine-actors.log"]
        return "\n".join(path.read_text()[-6000:] for path in files if path.exists())


class Hub:
    """Sends bodies to the four queues."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client

    async def send(self, queue: str, bodies: Iterable[dict[str, Any]]) -> None:
        async with self._client.get_queue_sender(queue) as sender:
            await sender.send_messages([ServiceBusMessage(json.dumps(body)) for body in bodies])


@asynccontextmanager
async def rows_of(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def eventually(condition: Callable[[], Any], seconds: float, told: Callable[[], str]) -> None:
    """Wait until the (awaitable) condition holds; fails with what `told` says."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + seconds
    while not await condition():
        if loop.time() > deadline_s:
            raise AssertionError(f"not within {seconds} s\n{told()}")
        await asyncio.sleep(0.1)


def is_running(pid: int) -> bool:
    """Whether the process lives; one that nobody has reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
