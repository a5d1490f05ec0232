"""Retired and removed in a run whose processes die at every point: log, checkpoint and state agree, what is gone has no
effect, and the neighbour misses nothing.
"""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import GasInSightError
from engine.facility.payloads import core_settings
from tests.contract.stores import withdraw
from tests.fakes.broker import ModelBroker
from tests.faults.checks import check_fold
from tests.faults.hub import QUEUES
from tests.faults.menu import FACILITY_POINTS, READER_POINTS, Menu
from tests.faults.run import Run, Tweaks, World
from tests.faults.scheduler import Process
from tests.faults.test_scenarios import FRESH, steady

pytestmark = pytest.mark.slow

WITHDRAWN_S = 45.0
POINTS = (*FACILITY_POINTS, *READER_POINTS, "in_commit")
CASES = [
    (deed, subject, point)
    for deed in ("retire", "remove")
    for subject in ("facility", "sensor")
    for point in POINTS
    if (deed, subject, point) != ("remove", "facility", "loaded")  # what is gone is never loaded again
]
OF_SENSORS = "SELECT count(*) FROM sensor_records JOIN sensors USING (sensor_no) WHERE facility_id = $1"


class Withdrawal:
    """The errand of a run: takes something out of use, lets the leader look after it, kills once at a later point."""

    def __init__(self, deed: str, facility_id: str, sensor_id: str | None, point: str) -> None:
        self.deed = deed
        self.facility_id = facility_id
        self.sensor_id = sensor_id
        self.point = point
        self.is_done = False
        self.deaths = 0

    async def errand(self, run: Run) -> None:
        await run.fate.sleep(WITHDRAWN_S)
        await withdraw(run.world.db, self.deed, self.facility_id, self.sensor_id)
        self.is_done = True
        for _ in range(20):
            await run.fate.sleep(4.0)
            if run.intake is not None and run.intake.state == "running" and run._directory is not None:
                run.intake.spawn(self._lead(run))

    async def _lead(self, run: Run) -> None:
        """What the leader and the intake do now and then."""
        assert run._directory is not None
        try:
            await run._directory.reclaim_fenced()
            await run._directory.follow(self._listed(run))
        except GasInSightError:
            return

    async def _listed(self, run: Run) -> list[str]:
        listed = set(await run.world.historian.facility_ids())
        return [each for each in run.plan.facilities if each in listed]

    def kill(self, run: Run, point: str, process: Process | None) -> None:
        if not self.is_done or self.deaths or point != self.point:
            return
        victim = process if process is not None else next(iter(run.scheduler.acting), None)
        if victim is not None and victim is not run.fate:
            self.deaths += 1
            victim.kill()


@pytest.mark.parametrize(("deed", "subject", "point"), CASES)
def test_out_of_use_while_processes_die(
    world: World, runner: asyncio.Runner, deed: str, subject: str, point: str
) -> None:
    sent = steady(world, 2, until_s=120, every_s=5)
    gone, stays = sent.facilities
    sensor_id = f"{gone}-sensor" if subject == "sensor" else None
    withdrawal = Withdrawal(deed, gone, sensor_id, point)
    tweaks = Tweaks(errands=[withdrawal.errand], at_point=withdrawal.kill, settings={**FRESH, "checkpoint_s_max": 20.0})
    run = Run(world, 1, sent, Menu([]), tweaks=tweaks)
    runner.run(run.go())
    assert withdrawal.deaths == 1, f"nobody passed {point} after the withdrawal"
    runner.run(judge(run, withdrawal, stays))


async def judge(run: Run, withdrawal: Withdrawal, stays: str) -> None:
    db, gone = run.world.db, withdrawal.facility_id
    assert _left(run.broker) == {}
    sent = [row for row in run.plan.rows() if row.facility_id == stays]
    assert await db.fetchval(OF_SENSORS, stays) == len(sent), "the neighbour misses something"
    settings = core_settings(run.settings)
    await check_fold(db, run.history.commits[stays], stays, settings)
    reason = f"{withdrawal.deed}d_{'facility' if withdrawal.sensor_id is None else 'sensor'}"
    letters = await db.fetch("SELECT reason FROM dead_letters WHERE facility_id = $1 AND source = 'refused'", gone)
    assert [row["reason"] for row in letters] == [reason], "told once"
    while await run.world.historian.purge_removed():
        pass
    if withdrawal.deed == "remove" and withdrawal.sensor_id is None:
        for table in ("facilities WHERE id", "sensors WHERE facility_id", "facility_commits WHERE facility_id"):
            assert await db.fetchval(f"SELECT count(*) FROM {table} = $1", gone) == 0, table
        assert await db.fetchval("SELECT count(*) FROM alarm_events WHERE facility_id = $1", gone) == 0
    elif withdrawal.deed == "remove":
        assert await db.fetchval("SELECT count(*) FROM sensors WHERE facility_id = $1", gone) == 0
    else:
        folded = await check_fold(db, run.history.commits[gone], gone, settings)
        assert 0 < len(folded.readings) < len(sent), "readings before it stay, those after it have no effect"
        assert await db.fetchval("SELECT count(*) FROM alarms WHERE facility_id = $1 AND active", gone) == 0
    assert await db.fetchval("SELECT count(*) FROM parked WHERE facility_id = $1", gone) == 0


def _left(broker: ModelBroker) -> dict[str, int]:
    """What waits or died on the queues."""
    return {
        queue: broker.waiting(queue) + len(list(broker.dead_letters(queue)))
        for queue in QUEUES
        if broker.waiting(queue) or list(broker.dead_letters(queue))
    }
