"""One chaos run from the first process to the judgement."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from dataclasses import dataclass, field

import asyncpg
import numpy as np

from engine.bus.queue_lengths import queue_lengths
from engine.clock import US_PER_S
from engine.processes.polling import until
from tests.chaos.beside import FACILITY_ID, Beside
from tests.chaos.commits import FoldResult, check_commits, first_stored, reading_keys
from tests.chaos.field import NEWCOMER_SHARE
from tests.chaos.house import AWAY, House, Say, open_house
from tests.chaos.killer import Killer
from tests.chaos.ledger import Contents, Ledger
from tests.chaos.ledger_check import LedgerResult, check_ledger
from tests.chaos.people import People
from tests.chaos.plan import make_plan
from tests.chaos.recovery import Sample, Seconds, timeline, with_recoveries
from tests.chaos.report import ChaosResult, Kill
from tests.chaos.sender import SenderProcess
from tests.chaos.told import Told
from tests.chaos.watch import Watch, counted

KNOWN_S_MAX = 120.0
DRAIN_S_MAX = 600.0
PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` readings a second; `kills` blows in all. `beside`: exports and an import go on meanwhile."""

    seed: int
    minutes: float
    rate: float
    kills: int
    facilities: int = 10
    sensors: int = 100
    beside: bool = False


@dataclass(slots=True)
class Judgement:
    """What a run came to; `folder` is None when everything was right and nothing needs to be looked at."""

    result: ChaosResult
    folder: str | None = None


@dataclass(slots=True)
class Run:
    """What belongs to a run while it goes on."""

    options: Options
    house: House
    ledger: Ledger
    sender: SenderProcess
    killer: Killer
    watch: Watch
    people: People
    told: Told
    beside: Beside | None
    notes: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


async def run_chaos(options: Options, say: Say, progress: Say) -> Judgement:
    """Start everything, let it suffer, leave it alone, and judge. The folder is kept when something is wrong."""
    async with open_house(say) as house:
        ledger = Ledger(house.folder / "ledger")
        sender = SenderProcess(ledger, house.bus, options.seed, options.facilities, options.sensors, options.rate)
        plan = make_plan(options.seed, options.minutes * 60, options.kills)
        watch = Watch(house, ledger)
        beside = Beside(house, watch, options.seed) if options.beside else None
        people, told = People(house, options.seed), Told(house, options.seed)
        run = Run(options, house, ledger, sender, Killer(house, plan), watch, people, told, beside)
        try:
            await _suffer(run, say, progress)
            say("looking at what people asked and were told")
            await people.judge()
            await told.judge(len(run.killer.hits))
            if beside is not None:
                say("looking at what exports and the import have left")
                await beside.judge()
            say("stopping gasinsight up: the last checkpoints are written")
            await house.stop_up()
            say("comparing ledger, database, commit log and dead letters")
            judgement = await _judge(run)
        except Exception:
            house.keep_folder = True
            say(f"the run could not be finished; logs and ledger are kept in {house.folder}")
            raise
        house.keep_folder = not judgement.result.good
        judgement.folder = None if judgement.result.good else str(house.folder)
        return judgement


async def _suffer(run: Run, say: Say, progress: Say) -> None:
    """Send and strike for the time, then wait until the queues are empty."""
    length_s = run.options.minutes * 60
    stop = asyncio.Event()
    sending = asyncio.create_task(run.sender.run(stop))
    tasks = [sending]
    try:
        say("waiting until all sensors are known")
        await until(lambda: _all_known(run), KNOWN_S_MAX, "the field")
        await run.people.begin()
        await run.told.begin()
        say(f"striking for {length_s / 60:g} minutes")
        run.watch.started_s = time.time()
        tasks += [asyncio.create_task(run.watch.run()), asyncio.create_task(_tell(run, progress))]
        striking = asyncio.create_task(run.killer.run(length_s))
        tasks.append(striking)
        beside: list[People | Told | Beside] = [run.people, run.told]
        if run.beside is not None:
            beside.append(run.beside)
        going_on = [asyncio.create_task(each.run()) for each in beside]
        tasks += going_on
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        assert striking in done, "the sender, the watch or what goes on beside has ended before its time"
        stop.set()
        await sending
        say("no more blows; people hear their answers" + (", the import is run once more" if run.beside else ""))
        for each in beside:
            each.finish()
        await asyncio.gather(*going_on)
        say("no more blows; waiting until everything is stored")
        await _drain(run)
        run.watch.moments.append((time.time() - run.watch.started_s, run.ledger.last_sequence))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all_known(run: Run) -> bool:
    connection = await asyncpg.connect(run.house.database_url)
    try:
        known = int(await connection.fetchval("SELECT count(*) FROM sensors"))
    finally:
        await connection.close()
    everybody = run.options.facilities * run.options.sensors
    return known >= everybody - everybody // NEWCOMER_SHARE


async def _tell(run: Run, progress: Say) -> None:
    while True:
        watch, hits = run.watch, run.killer.hits
        at_s = int(time.time() - watch.started_s)
        last = f", last: {hits[-1].kind} {hits[-1].means}" if hits else ""
        sent = run.sender.status()["readings"]
        stands = f"sent {sent:,}  stored {watch.stored:,}  blows {len(hits)}{last}"
        progress(f"{at_s // 60}:{at_s % 60:02d}  {stands}")
        await asyncio.sleep(PROGRESS_S)


async def _drain(run: Run) -> None:
    """Bounded; what is not stored by then is lost, and the checks will say so."""
    house = run.house
    queues = list(house.settings.queues.values())
    before = -1

    async def drained() -> bool:
        nonlocal before
        try:
            lengths = await queue_lengths(house.bus, queues, 1000)
            stored, unrolled = await counted(house.database_url)
        except AWAY:
            return False
        same, before = stored == before, stored
        waiting = unrolled or any(messages for messages, _ in lengths.values())
        return same and not waiting and await house.ready()

    try:
        await until(drained, DRAIN_S_MAX, "the drained house")
    except TimeoutError:
        run.complaints.append(f"not drained {DRAIN_S_MAX:.0f} s after the last blow")


async def _judge(run: Run) -> Judgement:
    house = run.house
    sent = run.ledger.read()
    checked = await check_ledger(run.ledger, house.database_url, house.bus)
    db = await asyncpg.connect(house.database_url)
    try:
        folded = await check_commits(db, house.settings, sparing=[FACILITY_ID] if run.beside else [])
        stored_s = await _stored_s(db, sent, run.watch.started_s)
    finally:
        await db.close()
    due_s = sent.rows["tracked_at_us"] / US_PER_S - run.watch.started_s
    kills = with_recoveries(run.killer.hits, due_s, stored_s)
    run.notes += [checked.trials(), *_notes(run, folded)]
    problems = [*_wrong(checked), *folded.differences, *run.complaints, *run.people.problems, *run.told.problems]
    run.notes += [*run.people.notes(), *run.told.notes()]
    if run.beside is not None:
        run.notes += run.beside.notes()
        problems += run.beside.problems
    run.notes += [f"WRONG: {line}" for line in problems]
    samples = timeline(run.watch.moments, sent.row_sequences, stored_s)
    result = _result(run, sent, checked, folded, kills, samples)
    result.problems = problems
    return Judgement(result)


async def _stored_s(db: asyncpg.Connection, sent: Contents, started_s: float) -> Seconds:
    """When each reading of the ledger was stored first, in seconds since the start; inf: never."""
    numbers = {row["id"]: row["sensor_no"] for row in await db.fetch("SELECT id, sensor_no FROM sensors")}
    number_of = np.array([numbers.get(sensor.sensor_id, 0) for sensor in sent.sensors], np.int64)
    wanted = reading_keys(number_of[sent.rows["sensor"]], sent.rows["tracked_at_us"])
    keys, times = await first_stored(db)
    if not len(keys):
        return np.full(len(wanted), np.inf)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, times[place] - started_s, np.inf)


def _notes(run: Run, folded: FoldResult) -> list[str]:
    notes = [f"{folded.commits:,} commits of {folded.facilities} facilities folded: {folded.readings:,} readings"]
    restarts = ", ".join(f"{name} {count}" for name, count in sorted(run.house.restarts.items()))
    notes.append(f"started again by the run: {restarts or 'nothing'}")
    if run.house.disk.why_not:
        notes.append(f"disk full: not run, because {run.house.disk.why_not}")
    if run.killer.missed:
        missed = ", ".join(f"{what} ({count})" for what, count in sorted(run.killer.missed.items()))
        notes.append(f"planned blows that found no victim: {missed}")
    return notes


def _result(
    run: Run, sent: Contents, checked: LedgerResult, folded: FoldResult, kills: list[Kill], samples: list[Sample]
) -> ChaosResult:
    return ChaosResult(
        seed=run.options.seed,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.watch.started_s)),
        seconds=samples[-1][0],
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        messages=sent.last_sequence + sum(sent.again.values()),
        readings=len(sent.rows),
        kills=kills,
        redeliveries=run.watch.redeliveries,
        fenced=run.watch.fenced,
        lost=checked.lost,
        doubled=checked.doubled,
        wrong=checked.wrong,
        state_differences=len(folded.differences),
        notes=run.notes,
        samples=samples,
    )


def _wrong(checked: LedgerResult) -> list[str]:
    """What should be 0 in the ledger's check and is not, with examples."""
    return [f"{name}: {count}" for name, count in checked.problems().items()] + checked.examples
