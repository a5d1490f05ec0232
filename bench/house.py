"""The whole house for a bench, in a folder of its own: PostgreSQL, local bus, engine and, if wanted, the web server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench.report import Say
from engine import runtime
from engine.bus.local.server import connection_string
from engine.bus.simulation.plant import Plant, activation_body, make_plant, setup_body
from engine.bus.simulator import BusSender
from engine.commands.children import Child, ChildSpec, become_reaper, descendants, end_descendants
from engine.commands.parts import LOOPBACK, bus_spec, engine_spec, web_specs
from engine.commands.ports import free_port, listen
from engine.embedded.postgres import EmbeddedPostgres
from engine.historian.overview import read_overview
from engine.historian.upgrade import upgrade
from engine.settings import Settings, load_settings

BARE_QUEUE = "bench-bare"
NAIVE_QUEUE = "bench-naive"
FACILITIES = 10
SENSORS = 100
START_S_MAX = 120.0
DECLARED_S = 60
SEED = 20
UNSET = {"DATABASE_URL": "", "SERVICEBUS_CONNECTION_STRING": "", "RAY_ADDRESS": "", "ENVIRONMENT": "development"}


@dataclass(slots=True)
class House:
    """Handles on what runs. `database` is a connection of ours, for counting."""

    settings: Settings
    plant: Plant
    database: Any
    database_url: str
    bus: str
    engine: Child
    url: str | None

    async def send(self, queue: str, bodies: Sequence[bytes]) -> None:
        sender = BusSender(self.bus)
        try:
            await sender.send(queue, bodies)
        finally:
            await sender.close()

    @property
    def data_queue(self) -> str:
        return self.settings.sensor_data_queue

    @contextmanager
    def reader_stopped(self) -> Any:
        """While this is open no reader runs, so that a backlog builds up (its process is stopped, nothing ends)."""
        pids = self._reader_pids()
        assert pids, "no reader process was found"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def stored(self, since: str) -> int:
        """How many readings are stored whose time is at or after `since`."""
        return int(await self.database.fetchval(f"SELECT count(*) FROM sensor_records WHERE tracked_at >= '{since}'"))

    async def seconds_until_stored(self, since: str, count: int, limit_s: float, poll_s: float) -> float:
        """Seconds until `count` readings at or after `since` are stored."""
        started_s = time.perf_counter()
        while (stored := await self.stored(since)) < count:
            if time.perf_counter() - started_s > limit_s:
                raise TimeoutError(f"only {stored} of {count} readings were stored after {limit_s:.0f} s")
            await asyncio.sleep(poll_s)
        return time.perf_counter() - started_s

    def _reader_pids(self) -> list[int]:
        assert self.engine.pid is not None
        found = []
        for pid in descendants(self.engine.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if words.startswith(b"ray::") and b"IntakeActor" in words:
                found.append(pid)
        return found


@asynccontextmanager
async def open_house(say: Say, *, with_web: bool = False) -> AsyncIterator[House]:
    """Start everything with 10 facilities of 100 sensors known, and end and remove it all afterwards."""
    become_reaper()
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    os.environ.update(UNSET)
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    children: list[Child] = []
    try:
        say("starting PostgreSQL, bus and engine")
        url = postgres.start()
        await asyncio.to_thread(upgrade, url)
        house = await _furnish(folder / "data", url, children, with_web)
        try:
            await _introduce(house)
            say(f"{FACILITIES} facilities with {SENSORS} sensors each are known")
            yield house
        finally:
            await house.database.close()
    finally:
        for child in reversed(children):
            await child.stop()
        postgres.stop()
        end_descendants()
        shutil.rmtree(folder, ignore_errors=True)


async def _furnish(data_dir: Path, url: str, children: list[Child], with_web: bool) -> House:
    settings = load_settings(data_dir=data_dir, web_port=free_port(LOOPBACK, 0))
    port = free_port(LOOPBACK, 0)
    key = runtime.development_secret(data_dir, "bus_key")
    runtime.development_secret(data_dir, "admin_password")
    bus = connection_string(port, key)
    runtime.publish(data_dir, "up", database_url=url, servicebus_connection_string=bus)
    spec = bus_spec(settings, port, key)
    queues = [word for queue in (BARE_QUEUE, NAIVE_QUEUE) for word in ("--queue", queue)]
    await _start(replace(spec, command=[*spec.command, *queues]), data_dir, children)
    await _until(lambda: _listens(port), "the bus")
    engine = await _start(engine_spec(settings), data_dir, children)

    async def engine_works() -> bool:
        state = (await read_overview(url, 0)).components.get("engine", {})
        readers = (state.get("readers") or {}).values()
        return state.get("state") == "running" and bool(readers) and all(one.get("connected") for one in readers)

    await _until(engine_works, "the engine")
    address = None
    if with_web:
        listener = listen(LOOPBACK, settings.web_port, "")
        for spec in web_specs(settings, listener):
            await _start(spec, data_dir, children)
        address = f"http://{LOOPBACK}:{settings.web_port}"
        await _until(lambda: _answers(f"{address}/readyz"), "the web server")
    database = await asyncpg.connect(url)
    return House(settings, make_plant(FACILITIES, SENSORS, SEED), database, url, bus, engine, address)


async def _introduce(house: House) -> None:
    now_us = time.time_ns() // 1000
    plant, settings = house.plant, house.settings
    await house.send(settings.facility_setup_queue, [setup_body(place, now_us) for place in plant.facilities])
    activations = [
        activation_body(sensor, plant.facilities[sensor.facility], DECLARED_S, now_us) for sensor in plant.sensors
    ]
    await house.send(settings.sensor_activation_queue, activations)

    async def all_known() -> bool:
        return bool(await house.database.fetchval("SELECT count(*) FROM sensors") == len(plant.sensors))

    await _until(all_known, "all sensors being known")


async def _start(spec: ChildSpec, data_dir: Path, children: list[Child]) -> Child:
    child = Child(spec, data_dir / "logs", print)
    children.append(child)
    await child.start()
    return child


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline_s = time.monotonic() + START_S_MAX
    while not await condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} is not ready after {START_S_MAX:.0f} s")
        await asyncio.sleep(0.2)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False
