"""The whole house for a bench, in a folder of its own: PostgreSQL, local bus, engine and, if wanted, the web server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from bench.report import Say
from engine import runtime
from engine.embedded import roles
from engine.embedded.postgres import EmbeddedPostgres
from engine.errors import StoreUnavailable
from engine.historian.overview import read_overview
from engine.hub.roster import Roster, activation_body, make_roster, setup_body
from engine.hub.simulator import BusSender
from engine.local_bus.server import connection_string
from engine.local_bus.status import bus_answers
from engine.processes import polling
from engine.processes.children import Child, ChildSpec, become_reaper, end_descendants
from engine.processes.parts import LOOPBACK, bus_spec, engine_spec, web_specs
from engine.processes.ports import free_port, listen
from engine.processes.process_table import descendants
from engine.settings import Settings, load_settings
from migrations.upgrade import upgrade

BARE_QUEUE = "bench-bare"
NAIVE_QUEUE = "bench-naive"
FACILITIES = 10
SENSORS = 100
START_S_MAX = 120.0
EXPECTED_INTERVAL_S = 60
SEED = 20
UNSET = {"DATABASE_URL": "", "SERVICEBUS_CONNECTION_STRING": "", "RAY_ADDRESS": "", "ENVIRONMENT": "development"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a house is to have.

    per_actor     facilities that share one actor process
    lock_s        how long the bus locks a message that was received
    commit_times  PostgreSQL keeps the time of every commit, see `bench.lags`
    """

    facilities: int = FACILITIES
    sensors: int = SENSORS
    per_actor: int = 1
    lock_s: float = 60.0
    with_web: bool = False
    commit_times: bool = False

    @property
    def roster(self) -> Roster:
        return make_roster(self.facilities, self.sensors, SEED)


ORDINARY = Wanted()


@dataclass(slots=True)
class House:
    """Handles on what runs. `database` is a connection of ours, for counting."""

    settings: Settings
    roster: Roster
    database: Any
    database_url: str
    bus: str
    engine: Child
    url: str | None
    children: list[Child]
    postgres: EmbeddedPostgres
    disturbed_s: float = 0.0  # monotonic time of the last kill

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
        return self.engine_pids("ray::IntakeActor")

    def engine_pids(self, title: str) -> list[int]:
        """The engine and what is below it, where the command starts with `title` (after its folder)."""
        assert self.engine.pid is not None
        found = []
        for pid in (self.engine.pid, *sorted(descendants(self.engine.pid))):
            with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
                if command.rpartition("/")[2].startswith(title):
                    found.append(pid)
        return found

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """While this is open, what ends is started again, as `gasinsight up` does."""
        keepers = [asyncio.create_task(child.keep()) for child in self.children]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def reconnect(self) -> None:
        """Have a connection again after the database was killed; raises what asyncpg raises while it is away."""
        if self.database.is_closed():
            self.database = await asyncpg.connect(self.database_url)

    async def engine_state(self) -> dict[str, Any]:
        """What the engine last wrote about itself; empty while the database is away."""
        try:
            return (await read_overview(self.database_url, 0)).components.get("engine", {})
        except StoreUnavailable:
            return {}


@asynccontextmanager
async def open_house(say: Say, wanted: Wanted = ORDINARY) -> AsyncIterator[House]:
    """Start everything with all sensors known, and end and remove it all afterwards."""
    become_reaper()
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    os.environ.update(UNSET)
    roles.RIGHTS = "LOGIN SUPERUSER"  # a bench sets the server up as it needs it
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    children: list[Child] = []
    try:
        say("starting PostgreSQL, bus and engine")
        url = postgres.start()
        if wanted.commit_times:
            url = await _keep_commit_times(postgres, url)
        await asyncio.to_thread(upgrade, url)
        house = await _furnish(folder / "data", url, children, wanted, postgres)
        try:
            await introduce(house)
            say(f"{wanted.facilities} facilities with {wanted.sensors} sensors each are known")
            yield house
        finally:
            await house.database.close()
    finally:
        for child in reversed(children):
            await child.stop()
        postgres.stop()
        end_descendants()
        shutil.rmtree(folder, ignore_errors=True)


async def _keep_commit_times(postgres: EmbeddedPostgres, url: str) -> str:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    await connection.close()
    postgres.stop()
    return postgres.start()


async def _furnish(
    data_dir: Path, url: str, children: list[Child], wanted: Wanted, postgres: EmbeddedPostgres
) -> House:
    settings = load_settings(data_dir=data_dir, web_port=free_port(LOOPBACK, 0))
    port = free_port(LOOPBACK, 0)
    key = runtime.development_secret(data_dir, "bus_key")
    runtime.development_secret(data_dir, "admin_password")
    bus = connection_string(port, key)
    runtime.publish(data_dir, "up", database_url=url, servicebus_connection_string=bus)
    spec = bus_spec(settings, port, key)
    queues = [word for queue in (BARE_QUEUE, NAIVE_QUEUE) for word in ("--queue", queue)]
    await _start(replace(spec, command=[*spec.command, *queues, "--lock-s", str(wanted.lock_s)]), data_dir, children)
    await until(lambda: bus_answers(port, key), "the bus")
    spec = engine_spec(settings)
    shared = {"FACILITIES_PER_ACTOR": str(wanted.per_actor)}
    engine = await _start(replace(spec, environment={**spec.environment, **shared}), data_dir, children)
    database = await asyncpg.connect(url)
    house = House(settings, wanted.roster, database, url, bus, engine, None, children, postgres)
    await until(lambda: engine_works(house), "the engine")
    if wanted.with_web:
        listener = listen(LOOPBACK, settings.web_port, "")
        for spec in web_specs(settings, listener):
            await _start(spec, data_dir, children)
        house.url = address = f"http://{LOOPBACK}:{settings.web_port}"
        await until(lambda: polling.answers(f"{address}/readyz"), "the web server")
    return house


async def engine_works(house: House) -> bool:
    """Whether it leads and all its readers are connected, by what it wrote after the last kill."""
    state = await house.engine_state()
    undisturbed_s = time.monotonic() - house.disturbed_s
    if house.engine.pid is None or state.get("age_s", undisturbed_s) >= undisturbed_s:
        return False
    readers = (state.get("readers") or {}).values()
    return state.get("state") == "running" and bool(readers) and all(one.get("connected") for one in readers)


async def introduce(house: House) -> None:
    """Set up the facilities and sensors of the roster."""
    now_us = time.time_ns() // 1000
    roster, settings = house.roster, house.settings
    known = await house.database.fetchval("SELECT count(*) FROM sensors")
    await house.send(settings.facility_setup_queue, [setup_body(place, now_us) for place in roster.facilities])
    activations = [
        activation_body(sensor, roster.facilities[sensor.facility], EXPECTED_INTERVAL_S, now_us)
        for sensor in roster.sensors
    ]
    await house.send(settings.sensor_activation_queue, activations)

    async def all_known() -> bool:
        return bool(await house.database.fetchval("SELECT count(*) FROM sensors") >= known + len(roster.sensors))

    await until(all_known, "all sensors being known")


async def _start(spec: ChildSpec, data_dir: Path, children: list[Child]) -> Child:
    child = Child(spec, data_dir / "logs", print)
    children.append(child)
    await child.start()
    return child


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for it, as long as a start may take."""
    await polling.until(condition, START_S_MAX, what)
