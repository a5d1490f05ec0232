"""Maintenance and an import beside a run, which are interrupted and run again until they are through.

Both are about the past of a facility of their own: days that are dropped, thinned out, written anew or made, readings
of before the retention, and a file of which some rows are there already. They stop at each point outside of their
transactions until the scheduler lets them go on, so that commits of the run happen in between.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.site import insert_sensors
from engine.clock import US_PER_S
from engine.faultpoints import IMPORT_POINTS, MAINTENANCE_POINTS
from engine.historian import maintenance
from engine.historian.maintenance import Did
from engine.historian.partitions import day_of, make_day, partition_name, start_us
from engine.imports.importing import Import, Wanted
from engine.imports.report import Report
from engine.imports.rows import Mapped
from engine.imports.sources import find
from engine.imports.storing import open_store
from tests.faults.checks import same, us
from tests.faults.menu import Fault
from tests.faults.scheduler import START_US, Process

if TYPE_CHECKING:
    from tests.faults.run import Run, World

POINTS = (*sorted(MAINTENANCE_POINTS), *sorted(IMPORT_POINTS))
OFTEN = frozenset({"strays_set_aside", "rows_expired", "rollups_expired", "piece_stored", "piece_committed"})
"""Passed three times at least."""
KEPT_DAYS = {"Flow": 30, "Noise": 10, "Vibration": 2}
"""Types that no hub of a run has, so that days are thinned out of nobody else's readings."""
RETENTION = {
    "retention_days": KEPT_DAYS["Flow"],
    "retention_days_by_type": ",".join(f"{name}={days}" for name, days in KEPT_DAYS.items() if name != "Flow"),
    "minute_rollups_days": 35,
}
MINUTE_ROLLUPS_DAYS = 35
DAYS_OF_THEIR_OWN = (40, 20, 5)
"""Of the planted days; the others lie in the default partition."""
DAY_OF_BOTH = 3
"""Made by maintenance or by the import, whoever comes first."""
PLANTED = (45, 40, 20, 5, 3, 1)
IMPORTED = (20, 5, 3, 1)
A_DAY = 6
"""Readings of each sensor."""

Reading = tuple[str, int, float]
"""Sensor, moment, value."""


class Interrupted(ConnectionError):
    """What a fault of the kind `fail` raises at a point."""


def interruptions(chance: random.Random, number: int) -> list[Fault]:
    """Of the `number`th upkeep of a session: two other points each time, so that few of them hit every point."""
    rounds = number * 2 // len(POINTS)
    points = (POINTS[number * 2 % len(POINTS)], POINTS[(number * 2 + rounds * 2 + 1) % len(POINTS)])
    return [
        Fault(chance.choice(("die", "fail")), point, chance.randint(1, 3) if point in OFTEN else 1) for point in points
    ]


def ago_us(days: int) -> int:
    return start_us(day_of(START_US) - dt.timedelta(days=days))


@dataclass(eq=False)
class Job(Process):
    """A process with a connection of its own; `turn` is what it goes on with, `stands` that it has stopped or ended."""

    connection: Any = None
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    stands: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """At a point, unless it holds locks there: who waits for them would never let it go on."""
        if not self.connection.is_in_transaction():
            self.turn.clear()
            self.stands.set()
            await self.turn.wait()

    async def interrupt(self, kind: str, db: Any) -> None:
        """With an error, or as `kill -9` does: the server rolls back what was open."""
        if kind == "fail":
            raise Interrupted
        await db.execute("SELECT pg_terminate_backend($1, 5000)", self.connection.get_server_pid())
        self.kill()
        self.stands.set()
        await asyncio.get_running_loop().create_future()


class Upkeep:
    """The errand of a run. `did`: what maintenance told; `reports` of the imports that came to their end."""

    def __init__(self, world: World, chance: random.Random, tag: str) -> None:
        self._world = world
        self._chance = chance
        self._facility_id = f"{tag}-past"
        self._sensors = {f"{tag}-{kind}": kind for kind in KEPT_DAYS}
        self._numbers: dict[str, int] = {}
        self._file = Path(world.settings.data_dir) / f"{tag}.parquet"
        self._settings = world.settings.model_copy(update=RETENTION)
        self._planted = list(self._readings(PLANTED, second=0))
        self._imported = [*self._readings(IMPORTED, second=30), *self._planted[-5:]]
        flow = next(iter(self._sensors))
        self._conflict = (flow, ago_us(1), -1.0)
        self.did: list[Did] = []
        self.reports: list[Report] = []

    def _readings(self, ages: Iterable[int], second: int) -> Iterable[Reading]:
        """Half of a sensor's minutes of a day have readings of both planting and import."""
        for age in ages:
            for sensor_id in self._sensors:
                for number in range(A_DAY):
                    at_s = number * 60 + second + (second * 8 if number % 2 else 0)
                    yield sensor_id, ago_us(age) + at_s * US_PER_S, float(age * 100 + number)

    async def errand(self, run: Run) -> None:
        """Part of the run until both are through."""
        await run.scheduler.call(run.fate, "plants a past", self._plant)
        works: tuple[tuple[str, Callable[[Run, Job], Awaitable[bool]]], ...] = (
            ("maintenance", self._maintain),
            ("import", self._import),
        )
        await asyncio.gather(*(run.fate.spawn(self._until_through(run, name, work)) for name, work in works))

    async def _until_through(self, run: Run, name: str, work: Callable[[Run, Job], Awaitable[bool]]) -> None:
        is_through = False
        while not is_through:
            await run.fate.sleep(self._chance.uniform(1, 40))
            job = Job(f"{name}.{run.scheduler.steps}", run.scheduler)
            run.add(job)
            task = job.spawn(_in_turn(job, work(run, job)))
            task.add_done_callback(lambda _, job=job: job.stands.set())  # type: ignore[misc]
            while not task.done() and job.state == "running":
                await run.scheduler.call(run.fate, f"lets {job.name} go on", lambda job=job: _go_on(job))  # type: ignore[misc]
            if job.state == "dead":
                await run.scheduler.call(run.fate, f"buries {job.name}", lambda task=task: _buried(task))  # type: ignore[misc]
            elif not isinstance(task.exception(), Interrupted):
                is_through = task.result()

    async def _maintain(self, run: Run, job: Job) -> bool:
        did: list[Did] = []
        async with maintenance.opened(self._url, self._settings) as job.connection:
            await maintenance.maintain(job.connection, self._settings.retention, run.scheduler.now_us, did.append)
        self.did += did
        return not any(each.what == "put_off" for each in did)

    async def _import(self, run: Run, job: Job) -> bool:
        async with open_store(self._url, self._settings) as store:
            job.connection = store.connection
            wanted = Wanted(find([self._file]).sources, Mapped(), with_scores=False)
            self.reports.append(await Import(wanted, store, self._settings, job, lambda _: None).run(is_dry=False))
        return True

    @property
    def _url(self) -> str:
        assert self._settings.database_url is not None
        return self._settings.database_url

    async def _plant(self) -> None:
        db = self._world.db
        await db.execute("DELETE FROM retention_floors")
        facts = {sensor_id: (self._facility_id, kind, 60) for sensor_id, kind in self._sensors.items()}
        self._numbers = await insert_sensors(db, facts)
        present = set(await self._days())
        for age in {*PLANTED, *IMPORTED}:
            name = _partition(age)
            if age in DAYS_OF_THEIR_OWN and name not in present:
                async with db.transaction():
                    await make_day(db, day_of(ago_us(age)))
            elif age not in DAYS_OF_THEIR_OWN and name in present and age > 1:
                await db.execute(f"DROP TABLE {name}")
        rows = [
            (self._numbers[sensor_id], _moment(at_us), value, None, None, 0)
            for sensor_id, at_us, value in self._planted
        ]
        await db.copy_records_to_table("sensor_records", records=rows)
        minutes = {(self._facility_id, _moment(at_us).replace(second=0)) for _, at_us, _ in self._planted}
        await db.executemany("INSERT INTO rollup_dirty (facility_id, minute) VALUES ($1, $2)", sorted(minutes))
        columns = ("sensor_id", "at_us", "value")
        file = pl.DataFrame([*self._imported, self._conflict], columns, orient="row")
        times = pl.col("at_us").cast(pl.Datetime("us", "UTC")).alias("tracked_at")
        file.select(times, "sensor_id", "value").write_parquet(self._file)

    async def _days(self) -> list[str]:
        tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'sensor\\_records\\_2%'"
        return [row["relname"] for row in await self._world.db.fetch(tables)]

    async def check(self) -> None:
        """What is kept is there once, what is not has gone, and rollups say what was."""
        db, numbers = self._world.db, list(self._numbers.values())
        names = {number: sensor_id for sensor_id, number in self._numbers.items()}
        ever = set(self._planted) | {each for each in self._imported if self._is_kept(each)}
        stored = [
            (names[row["sensor_no"]], us(row["tracked_at"]), row["value"])
            for row in await db.fetch("SELECT * FROM sensor_records WHERE sensor_no = ANY($1)", numbers)
        ]
        same("readings of the past", stored, [each for each in ever if self._is_kept(each)])
        await self._check_rollups(ever, names)
        conflicts = await db.fetch("SELECT sensor_no, value FROM reading_conflicts WHERE sensor_no = ANY($1)", numbers)
        assert [(names[row["sensor_no"]], row["value"]) for row in conflicts] == [self._conflict[::2]]
        told = await db.fetch(
            "SELECT sensor_id, reason FROM dead_letters WHERE sensor_id = ANY($1)", list(self._numbers)
        )
        strays = [each for each in self._planted if not self._is_kept(each) and _age(each) not in DAYS_OF_THEIR_OWN]
        if len(told) < len(
            strays
        ):  # the import was there first and gave a day its partition, which was thinned out then
            strays = [each for each in strays if _age(each) != DAY_OF_BOTH]
        same("letters", [tuple(row) for row in told], [(each[0], "before_retention") for each in strays])
        days = await self._days()
        assert _partition(40) not in days, "a day that no type needs"
        whole = {_partition(age) for age in (20, 5, 3, *range(1, -8, -1))}
        assert whole <= set(days), f"days without a partition: {whole - set(days)}"
        assert not [name for name in days if not name[-8:].isdecimal()], f"left behind: {days}"
        stray = "SELECT count(*) FROM sensor_records_default WHERE sensor_no = ANY($1)"
        assert await db.fetchval(stray, numbers) == 0
        assert await db.fetchval("SELECT count(*) FROM rollup_dirty WHERE facility_id = $1", self._facility_id) == 0
        report = self.reports[-1]
        assert report.stored + report.already_there == sum(map(self._is_kept, self._imported))
        assert report.conflicts == 1

    async def _check_rollups(self, ever: Iterable[Reading], names: dict[int, str]) -> None:
        expected: Counter[tuple[str, int, int]] = Counter()
        for each in ever:
            for width_s in (60, 3_600, 86_400):
                if width_s > 60 or _age(each) <= MINUTE_ROLLUPS_DAYS:
                    expected[each[0], width_s, each[1] - each[1] % (width_s * US_PER_S)] += 1
        found = {
            (names[row["sensor_no"]], row["width_s"], us(row["bucket"])): row["readings"]
            for row in await self._world.db.fetch(
                "SELECT * FROM reading_rollups WHERE sensor_no = ANY($1)", list(names)
            )
        }
        same("rollups of the past", list(found.items()), list(expected.items()))

    def _is_kept(self, reading: Reading) -> bool:
        return _age(reading) <= KEPT_DAYS[self._sensors[reading[0]]]

    async def forget(self) -> None:
        """Later runs begin with a database that knows no retention."""
        db, numbers = self._world.db, list(self._numbers.values())
        await db.execute("DELETE FROM retention_floors")
        for table in ("sensor_records", "reading_rollups", "reading_conflicts", "sensors"):
            await db.execute(f"DELETE FROM {table} WHERE sensor_no = ANY($1)", numbers)
        await db.execute("DELETE FROM facilities WHERE id = $1", self._facility_id)
        self._file.unlink(missing_ok=True)


def _moment(at_us: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at_us)


def _age(reading: Reading) -> int:
    return (day_of(START_US) - day_of(reading[1])).days


def _partition(age: int) -> str:
    return partition_name(day_of(ago_us(age)))


async def _in_turn(job: Job, work: Awaitable[bool]) -> bool:
    await job.turn.wait()
    return await work


async def _go_on(job: Job) -> None:
    job.stands.clear()
    job.turn.set()
    await job.stands.wait()


async def _buried(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
