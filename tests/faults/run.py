"""One fault run: a hub sends, readers and facilities work through the real code, a seed decides the rest.

Processes of a run: `hub` (sends), `operator` (asks things of alarms), `intake` (four BusReaders, one Directory, the
ticks, what carries commands), `host-…` (facilities), `fate` (restarts and resumes). The historian is the real one and
outlives them all, as another process would.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from engine import faultpoints
from engine.bus.message_handlers import EntityHandler, MessageHandler, ReadingHandler
from engine.bus.reader import BusReader
from engine.errors import StoreUnavailable
from engine.facility.directory import Directory
from engine.facility.payloads import core_settings
from engine.historian.historian import Historian
from engine.messages import activation_of, deactivation_of, setup_of
from engine.metrics import Metrics
from engine.model import EntityMessage
from engine.settings import Settings
from tests.fakes.broker import Chaos, ModelBroker
from tests.faults.checks import check_alerts, check_fold, check_ledger
from tests.faults.cluster import Hosts
from tests.faults.history import History, Store, Weather
from tests.faults.hub import ACTIVATION, DATA, DEACTIVATION, QUEUES, SETUP, Plan
from tests.faults.menu import Fault, Menu
from tests.faults.operator import Operator, carry, check_commands
from tests.faults.scheduler import START_US, InlineLoop, Process, Scheduler, current_process
from tests.faults.stepped_source import SteppedSource
from tests.faults.upkeep import Job

RUN_S_MAX = 3600.0
STEPS_MAX = 30_000


@dataclass(slots=True)
class World:
    """What all runs of a session share: one migrated database and the historian on it."""

    settings: Settings
    historian: Historian
    db: asyncpg.Connection
    server: asyncpg.Connection  # to another database of the same server
    clock: WorldClock
    runs: int = 0

    def tag(self) -> str:
        """A new beginning of ids: a database holds many runs, also of the same seed."""
        self.runs += 1
        return f"r{self.runs:06d}"


class WorldClock:
    """The historian's clock: stamps are of the run's time, waiting is real (the scheduler waits for it)."""

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None

    def now_us(self) -> int:
        return START_US if self.scheduler is None else self.scheduler.now_us

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Tweaks:
    """What a seed or a scenario changes about a run.

    errands   work of the scenario itself, each in the run's time; the run ends after them
    checks    of theirs, after those of the run
    at_point  called at each named point before the menu's faults
    """

    errands: Sequence[Callable[[Run], Coroutine[Any, Any, None]]] = ()
    checks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    at_point: Callable[[Run, str, Process | None], None] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    after_s: float = 10.0
    closes: bool = False  # ends with a clean shutdown: every facility writes a checkpoint
    asks: bool = False  # people ask things of alarms


class Run:
    """A run from its seed; `go` plays it, `check` judges it."""

    def __init__(
        self,
        world: World,
        seed: int,
        plan: Plan,
        menu: Menu,
        chaos: Chaos | None = None,
        tweaks: Tweaks | None = None,
    ) -> None:
        self.world = world
        self.plan = plan
        self.menu = menu
        self.tweaks = tweaks or Tweaks()
        self.settings = world.settings.model_copy(update=self.tweaks.settings)
        self.scheduler = Scheduler(random.Random(f"{seed} schedule"))
        self.broker = ModelBroker(Process("broker", self.scheduler))
        self.history = History()
        self.weather = Weather(answers_to_lose=menu.lost_answers)
        self.hosts = Hosts(self.scheduler, self.settings, self._store_of)
        self.fate = Process("fate", self.scheduler)
        self.intake: Process | None = None
        self.no_intake_until_us = 0
        self.metrics: list[Metrics] = []
        self._chance = random.Random(f"{seed} run")
        self._chaos = chaos or Chaos()
        self._sent = 0
        self._closing = False
        self._directory: Directory | None = None
        chance = random.Random(f"{seed} operator")
        wanted = chance.randint(2, 6) if self.tweaks.asks else 0
        self.operator = Operator(Process("operator", self.scheduler), world.db, plan, chance, wanted)
        self._processes = [self.fate, Process("hub", self.scheduler), self.operator.process]

    async def go(self) -> None:
        """Play until everything sent is settled and time has passed after it; raises what a process failed with."""
        self.world.clock.scheduler = self.scheduler
        await self.world.db.execute("DELETE FROM dead_letters WHERE source = 'bus'")  # they bear no run's ids
        before = faultpoints.install(self._at_point)
        try:
            self._processes[1].spawn_vital(self._send())
            self.operator.process.spawn_vital(self.operator.work())
            end = self.fate.spawn_vital(self._watch_over())
            until_us = START_US + round(RUN_S_MAX * 1e6)
            await self.scheduler.run(lambda: end.done() or self._failed(), steps_max=STEPS_MAX, until_us=until_us)
        finally:
            for process in self._every_process():
                await process.bury()
            faultpoints.install(before)
            self.world.clock.scheduler = None

    def _failed(self) -> bool:
        """False; raises what a task of a process ended with."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InlineLoop)
        if loop.complaints:
            complaints, loop.complaints = loop.complaints, []
            raise AssertionError("; ".join(complaints))
        for process in self._every_process():
            for error in process.failures:
                raise AssertionError(f"a task of {process.name} failed: {error!r}") from error
        return False

    async def check(self) -> None:
        """The promises."""
        missed = self.menu.missed()
        assert not missed, f"faults that did not bite: {missed}; points passed: {dict(self.menu.passed)}"
        await check_ledger(self.world.db, self.broker, self.plan)
        for facility_id in self.plan.facilities:
            await self._check_facility(facility_id)
        self.history.counts.update(await check_commands(self.world.db, self.operator, self.history))
        for check in self.tweaks.checks:
            await check()

    def add(self, process: Process) -> None:
        """One more that ends with the run."""
        self._processes.append(process)

    async def _check_facility(self, facility_id: str) -> None:
        db = self.world.db
        folded = await check_fold(db, self.history.commits[facility_id], facility_id, core_settings(self.settings))
        rows = await db.fetch("SELECT id, sensor_no FROM sensors WHERE facility_id = $1", facility_id)
        check_alerts(self.plan, folded, {row["id"]: row["sensor_no"] for row in rows})
        for process, host in self.hosts.every:
            facility = host._facilities.get(facility_id)  # what is so now, where it is not fenced or dropped
            if facility is not None and facility.state == "loaded" and not process.died.is_set():
                assert facility._core is not None
                assert facility._core.snapshot() == folded.state(), f"{facility_id} in {process.name} has another state"

    async def _send(self) -> None:
        hub = current_process.get()
        for at_s, sent in self.plan.sends:
            await hub.sleep(at_s - hub.monotonic_s())
            while sent.quietly and self._waiting():
                await hub.sleep(1.0)
            self.broker.send(sent.queue, sent.body)
            self._sent += 1

    async def _watch_over(self) -> None:
        """Starts the intake again when it died, until the run has drained and every fault has bitten."""
        if self.menu.away is not None:
            self.fate.spawn(self._be_away(*self.menu.away))
        errands = [self.fate.spawn_vital(errand(self)) for errand in self.tweaks.errands]
        await self._live_until(lambda: self._drained() and all(errand.done() for errand in errands))
        await self.fate.sleep(self.tweaks.after_s)
        patience_us = self.scheduler.now_us + 600_000_000  # the ticks go on, and with them facility and commit
        await self._live_until(
            lambda: self._drained() and (not self.menu.missed() or self.scheduler.now_us > patience_us)
        )
        self._closing = True
        await self._live_until(lambda: self._drained() and not self.scheduler.outstanding())
        if self.tweaks.closes and self.intake is not None and self._directory is not None:
            await self.intake.spawn(self._directory.close())

    async def _live_until(self, done: Callable[[], bool]) -> None:
        while not done():
            is_due = self.scheduler.now_us >= self.no_intake_until_us
            if is_due and (self.intake is None or self.intake.state == "dead"):
                self._start_intake()
            await self.fate.sleep(1.0)

    async def _be_away(self, start_s: float, end_s: float) -> None:
        await self.fate.sleep(start_s)
        self.weather.away_until_us = START_US + round(end_s * 1e6)
        await self.fate.sleep(end_s - start_s)

    def _drained(self) -> bool:
        paused = any(process.state == "paused" for process in self._every_process())
        over = self.menu.away is None or self.scheduler.now_us >= START_US + round(self.menu.away[1] * 1e6)
        decided = self.history.asked - self.history.waiting
        is_heard = self.operator.has_asked_all() and decided.issuperset(self.operator.asked)
        return self._sent == len(self.plan.sends) and not self._waiting() and not paused and over and is_heard

    def _waiting(self) -> bool:
        return any(self.broker.waiting(queue) for queue in QUEUES)

    def _start_intake(self) -> None:
        self.intake = Process(f"intake.{len(self.metrics)}", self.scheduler)
        self._processes.append(self.intake)
        self.intake.spawn_vital(self._run_intake(self.intake))

    async def _run_intake(self, process: Process) -> None:
        metrics = Metrics()
        self.metrics.append(metrics)
        store = self._store_of(process)
        directory = Directory(store, self.hosts, process, metrics, per_host=self.settings.facilities_per_actor)
        await directory.adopt_living()
        known = set(await self._until_reachable(process, store.facility_ids))
        directory.add_known(each for each in self.plan.facilities if each in known)  # the database holds other runs too
        self._directory = directory
        entity: dict[str, Callable[[bytes], EntityMessage]] = {
            SETUP: setup_of,
            ACTIVATION: activation_of,
            DEACTIVATION: deactivation_of,
        }
        future_s_max = self.settings.future_s_max
        handlers: dict[str, MessageHandler] = {
            queue: EntityHandler(directory, parse, future_s_max=future_s_max) for queue, parse in entity.items()
        }
        handlers[DATA] = ReadingHandler(directory, future_s_max=future_s_max)
        readers = {
            queue: BusReader(
                queue,
                SteppedSource(process, self.broker.source(queue, self._chaos, self._chance)),
                handler,
                directory,
                store,
                clock=process,
                metrics=metrics,
                messages_max=20,
            )
            for queue, handler in handlers.items()
        }
        for reader in readers.values():
            process.spawn_vital(reader.run())
        process.spawn_vital(carry(process, store, directory))
        while not self._closing:
            await process.sleep(self.settings.tick_s)
            watermark_us = readers[DATA].watermark_us()
            if watermark_us is not None and not self._closing:
                process.spawn_vital(directory.tick(watermark_us))

    async def _until_reachable(self, process: Process, ask: Callable[[], Coroutine[Any, Any, list[str]]]) -> list[str]:
        """As the supervisor starts: it waits for the store."""
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await process.sleep(2.0)

    def _store_of(self, process: Process) -> Store:
        return Store(process, self.world.historian, self.history, self.weather, self.plan.facilities)

    def _every_process(self) -> list[Process]:
        return [*self._processes, *(process for process, _ in self.hosts.every)]

    async def _at_point(self, point: str) -> None:
        """The handler of the named points: nothing, or the fault that is due here."""
        process = current_process.get(None)
        if self.tweaks.at_point is not None:
            self.tweaks.at_point(self, point, process)
            if process is not None and process.state == "dead":
                await asyncio.get_running_loop().create_future()
        fault = self.menu.due(point)
        if fault is None:
            if isinstance(process, Job):
                await process.stop()
            return
        self.scheduler.note(f"{fault.kind} at {point}")
        if process is None:
            await self._hit_historian(fault)
        elif isinstance(process, Job):
            await process.interrupt(fault.kind, self.world.db)
        elif fault.kind == "kill":
            process.kill()
            await asyncio.get_running_loop().create_future()
        elif fault.kind == "pause":
            process.pause()
            self.fate.spawn(self._resume(process, fault.seconds))
            await self.scheduler.step(process, f"goes on after {point}")
        else:
            await self.scheduler.advance(fault.seconds)

    async def _resume(self, process: Process, seconds: float) -> None:
        await self.fate.sleep(seconds)
        process.resume()

    async def _hit_historian(self, fault: Fault) -> None:
        if fault.kind == "orphan":
            self.scheduler.acting[0].kill()
            return
        await self.world.db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
        )
