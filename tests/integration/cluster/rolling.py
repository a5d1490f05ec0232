"""The parts of one installation as processes that a test restarts, and those who use it meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from engine.client import GasInSight
from engine.clock import US_PER_S, SystemClock
from engine.errors import BusUnavailable
from engine.hub.simulator import BusSender
from engine.local_bus import connection_string
from engine.messages import time_text
from engine.processes.ports import free_port
from tests.integration.cluster.field import ACTIVATIONS, QUEUES, READINGS, SETUPS, activation_body, setup_body
from tests.integration.local_bus.harness import KEY

ADMIN = {"username": "admin@example.com", "password": "correct horse battery"}
SENSORS = tuple(f"{facility}-{number}" for facility in ("north", "south") for number in range(2))
STEP_US = 20 * US_PER_S
STEPS_MAX = 4_000


class Part:
    """One process on a port that stays the same; `restart` is SIGTERM, its end, and a new one."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self.log = log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._command, env={**os.environ, **self._environment},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    async def restart(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert await asyncio.wait_for(self.process.wait(), 30) == 0, self.log.read_text()[-3000:]
        await self.start()

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)


class Bus(Part):
    def __init__(self, folder: Path) -> None:
        port = free_port("127.0.0.1", 0)
        queues = [word for queue in QUEUES for word in ("--queue", queue)]
        command = [
            "engine.local_bus",
            "--data-dir",
            str(folder / "bus"),
            "--port",
            str(port),
            "--lock-s",
            "30",
            *queues,
        ]
        super().__init__("bus", command, {"GASINSIGHT_BUS_KEY": KEY}, folder / "bus.log")
        self.address = connection_string(port, KEY)


class Web(Part):
    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port("127.0.0.1", 0)
        command = ["hypercorn", "web.main:app", "--bind", f"127.0.0.1:{self.port}", "--workers", "0"]
        environment = {"DATA_DIR": str(folder), "DATABASE_URL": database_url, "ADMIN_PASSWORD": ADMIN["password"]}
        super().__init__("web", command, environment, folder / "web.log")


class Sender:
    """Readings in numbered steps, one of each sensor; every twelfth step is an alarm. What the bus took is `sent`."""

    def __init__(self, address: str) -> None:
        self._bus = BusSender(address)
        self._start_us = SystemClock().now_us() - STEPS_MAX * STEP_US
        self.sent = 0
        self.stop = asyncio.Event()

    async def introduce(self) -> None:
        await self._send(SETUPS, [setup_body(facility) for facility in ("north", "south")])
        await self._send(ACTIVATIONS, [activation_body(sensor[:5], sensor) for sensor in SENSORS])

    async def run(self) -> None:
        for step in range(STEPS_MAX):
            if self.stop.is_set():
                break
            data = "30.5" if step % 12 == 11 else f"{20 + step % 5}.25"
            at = time_text(self._start_us + step * STEP_US)
            readings = [
                {"sensor_id": each, "facility_id": each[:5], "tracked_at": at, "data": data} for each in SENSORS
            ]
            await self._send(READINGS, readings)
            self.sent += len(readings)
            await asyncio.sleep(0.1)
        await self._bus.close()

    async def _send(self, queue: str, bodies: Sequence[object]) -> None:
        """Until the bus has taken them: what was taken and not answered is sent twice, as hubs do."""
        raw = [json.dumps(body).encode() for body in bodies]
        while True:
            try:
                async with asyncio.timeout(10):
                    return await self._bus.send(queue, raw)
            except (BusUnavailable, TimeoutError):
                await asyncio.sleep(0.2)


class Client:
    """Somebody who follows the alerts with our own client, which has to get over every break by itself."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.alert_ids: list[int] = []

    async def run(self) -> None:
        async with GasInSight(f"http://127.0.0.1:{self._web.port}", ADMIN["username"], ADMIN["password"]) as gis:
            async for alert in gis.alerts_live(after_id=0):
                self.alert_ids.append(alert.alert_id)


class Standstill:
    """How long nothing new was stored, at the longest, while somebody looked; `count` is awaited again and again."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self, count: Callable[[], Awaitable[object]]) -> None:
        last, since_s = None, time.monotonic()
        while True:
            now = await count()
            if now != last:
                self.longest_s = max(self.longest_s, time.monotonic() - since_s if last is not None else 0.0)
                last, since_s = now, time.monotonic()
            await asyncio.sleep(0.03)
