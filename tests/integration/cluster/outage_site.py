"""One installation whose parts can be taken away: PostgreSQL of its own, a bus process, a real engine, a web server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from engine.embedded import EmbeddedPostgres
from engine.local_bus import connection_string
from engine.processes.ports import free_port
from migrations.upgrade import upgrade
from tests.integration.cluster.field import QUEUES, Body, Field
from tests.integration.cluster.harness import Engine
from tests.integration.local_bus.harness import KEY

LOOPBACK = "127.0.0.1"
SEND_S = 0.2
WATCHED = ("IntakeActor", "FacilityActor", "HistorianActor")


class Site:
    """What runs, and how to take it away. `disk` is small when it could be mounted, else None."""

    def __init__(self, folder: Path, disk: Path | None) -> None:
        self.folder = folder
        self.disk = disk
        self.postgres = EmbeddedPostgres((disk or folder) / "pg", shared_dir=folder / "shared")
        self.bus_dir = (disk or folder) / "bus"
        self.bus_port = free_port(LOOPBACK, 0)
        self.web_port = free_port(LOOPBACK, 0)
        self.bus: subprocess.Popen[bytes] | None = None
        self.web: subprocess.Popen[bytes] | None = None
        self.engine: Engine

    @property
    def bus_address(self) -> str:
        return connection_string(self.bus_port, KEY)

    async def start(self) -> None:
        url = await asyncio.to_thread(self.postgres.start)
        await asyncio.to_thread(upgrade, url)
        self.engine = Engine(self.folder, url, self.bus_address)
        self.engine.environment |= {"FACILITIES_PER_ACTOR": "1", "RECEIVE_MESSAGES_MAX": "50"}
        self.start_bus()
        await self.engine.start()
        command = [sys.executable, "-m", "hypercorn", "web.main:app", "--bind", f"127.0.0.1:{self.web_port}"]
        self.web = self._process([*command, "--workers", "0"], "web", self.engine.environment)

    def start_bus(self) -> None:
        command = [sys.executable, "-m", "engine.local_bus", "--data-dir", str(self.bus_dir), "--lock-s", "60"]
        for queue in QUEUES:
            command += ["--queue", queue]
        self.bus = self._process([*command, "--port", str(self.bus_port)], "bus", {"GASINSIGHT_BUS_KEY": KEY})

    def _process(self, command: list[str], name: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )

    async def stop(self) -> None:
        with contextlib.suppress(AttributeError, ProcessLookupError):
            assert self.engine.process is not None
            os.killpg(self.engine.process.pid, signal.SIGKILL)
            await self.engine.process.wait()
        for process in (self.web, self.bus):
            if process is not None:
                process.kill()
                process.wait()
        await asyncio.to_thread(self.postgres.stop)

    def postgres_processes(self) -> list[int]:
        """The server and its sessions."""
        assert self.postgres.pid is not None
        return [self.postgres.pid, *children_of(self.postgres.pid)]

    def stop_postgres_at_once(self) -> None:
        """An immediate shutdown: no checkpoint, sessions cut. `postgres.start()` brings it back."""
        assert self.postgres.pid is not None
        os.kill(self.postgres.pid, signal.SIGQUIT)
        self.postgres.stop()

    async def ready(self) -> tuple[int, dict[str, Any], float]:
        """Status, body and seconds of /readyz."""
        began_s = time.monotonic()
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self.web_port}/readyz")
            except httpx.ConnectError:
                return 0, {"detail": "the web server does not listen yet"}, 0.0
        return answer.status_code, answer.json(), time.monotonic() - began_s

    async def status(self) -> tuple[int, dict[str, Any], float]:
        """Exit status, JSON and seconds of `gasinsight status --json`."""
        began_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "engine.commands.cli.app", "status", "--json"),
            env={**os.environ, **self.engine.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        took_s = time.monotonic() - began_s
        if not out:
            return process.returncode or 0, {"stderr": err.decode()[-2000:]}, took_s
        return process.returncode or 0, json.loads(out), took_s

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of what may grow."""
        pids = {title: self.engine.pids_of(title) for title in WATCHED} | {"bus": [self.bus.pid] if self.bus else []}
        return {f"{title} {pid}": resident_mb(pid) for title, found in pids.items() for pid in found}


class Hub:
    """Sends numbered readings steadily; what the bus did not accept is sent again, so that `sent` is what it owes."""

    def __init__(self, site: Site, readings_at_once: int = 12) -> None:
        self._site = site
        self._at_once = readings_at_once
        self._field = Field(self._deliver, begins_s_ago=3600)
        self.refused: list[str] = []
        self._running: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()

    @property
    def sent(self) -> int:
        return self._field.sent

    async def introduce(self) -> None:
        await self._field.introduce()

    def start(self) -> None:
        self._enough = asyncio.Event()
        self._running = asyncio.create_task(self._field.send_until(self._enough, self._at_once, SEND_S))

    async def stop(self) -> None:
        """What is being sent is sent to its end."""
        self._enough.set()
        if self._running is not None:
            await self._running

    async def _deliver(self, queue: str, bodies: Sequence[Body]) -> None:
        while True:
            try:
                async with (
                    asyncio.timeout(10),
                    ServiceBusClient.from_connection_string(self._site.bus_address, retry_total=0) as client,
                    client.get_queue_sender(queue) as sender,
                ):
                    await sender.send_messages([ServiceBusMessage(json.dumps(body)) for body in bodies])
                return
            except (ServiceBusError, OSError, TimeoutError, ValueError) as error:
                self.refused.append(f"{type(error).__name__}: {str(error)[:300]}")
                await asyncio.sleep(0.5)


@asynccontextmanager
async def running_site(folder: Path, disk: Path | None) -> AsyncIterator[Site]:
    site = Site(folder, disk)
    try:
        await site.start()
        yield site
    finally:
        await site.stop()


def resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def children_of(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(each) for thread in threads for each in (thread / "children").read_text().split()]
