"""People in a fault run: they ask things of alarms while everything breaks, and must find each in force once.

A command is a row that the web server would write; the intake process carries it as the leading engine does.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg

from engine.cluster.commands import Commands
from engine.errors import StoreUnavailable
from engine.facility.directory import Directory
from engine.model import EntryKind
from tests.faults.history import History, Store
from tests.faults.hub import Plan
from tests.faults.scheduler import Process

LOOK_S = 4.0
ASK = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason, until,
    assignee, state, refusal)
SELECT $1, facilities.id, $3, $4, to_timestamp($5::int8 / 1000000.0), 'user:7', 'ann', 'because',
    to_timestamp($6::int8 / 1000000.0), 'night shift', 'waiting', ''
FROM facilities WHERE facilities.id = $2
"""
NUMBERS = "SELECT sensor_no FROM sensors WHERE facility_id = $1 ORDER BY sensor_no"
COMMANDS = (
    "acknowledge",
    "comment",
    "assign",
    "shelve",
    "unshelve",
    "suppress",
    "unsuppress",
    "out_of_service",
    "return_to_service",
)
NO_ALARM = "999999999:high"


class Operator:
    """Asks `wanted` commands of a run's facilities, at moments and of alarms that chance decides."""

    def __init__(
        self, process: Process, db: asyncpg.Connection, plan: Plan, chance: random.Random, wanted: int
    ) -> None:
        self.process = process
        self.wanted = wanted
        self.asked: list[str] = []
        self._db = db
        self._plan = plan
        self._chance = chance

    async def work(self) -> None:
        """In the run's time."""
        for number in range(self.wanted):
            await self.process.sleep(self._chance.uniform(1, 20))
            facility_id = self._chance.choice(self._plan.facilities)
            command_id = f"{facility_id}-command-{number}"
            while not await self._ask(facility_id, command_id):
                await self.process.sleep(5.0)  # the facility is not there yet
            self.asked.append(command_id)

    def has_asked_all(self) -> bool:
        return len(self.asked) == self.wanted

    async def _ask(self, facility_id: str, command_id: str) -> bool:
        async def act() -> bool:
            numbers = [row["sensor_no"] for row in await self._db.fetch(NUMBERS, facility_id)]
            keys = [f"{number}:{rule}" for number in numbers for rule in ("high", "low", "stale")]
            alarm_key = self._chance.choice([*keys, *keys, "facility:facility_anomaly", NO_ALARM])
            at_us = self.process.now_us() + self._chance.randint(1, 999)
            until_us = at_us + self._chance.choice((5, 30, 3_600)) * 1_000_000
            command = self._chance.choice(COMMANDS)
            done = await self._db.execute(ASK, command_id, facility_id, alarm_key, command, at_us, until_us)
            return bool(done == "INSERT 0 1")

        return await self.process.scheduler.call(self.process, f"asks {command_id}", act)


class Looking:
    """Instead of notifications, which the run does not hear."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def next(self) -> set[str]:
        await self._process.sleep(LOOK_S)
        return set()

    async def next_within(self, seconds: float) -> set[str]:
        await self._process.sleep(max(seconds, LOOK_S))
        return set()


async def carry(process: Process, store: Store, directory: Directory) -> None:
    """As the leading engine: again after every failure of the store."""
    while True:
        try:
            await Commands(store, process, directory.command).carry(Looking(process))
        except StoreUnavailable:
            await process.sleep(2.0)


async def check_commands(db: asyncpg.Connection, operator: Operator, history: History) -> Counter[str]:
    """Each is decided; one that is in force is in the log, told once and by name, and one that was refused is not."""
    rows = await db.fetch("SELECT * FROM alarm_commands WHERE command_id = ANY($1::text[])", operator.asked)
    assert {row["command_id"] for row in rows} == set(operator.asked)
    for row in rows:
        told = await db.fetch("SELECT * FROM alarm_events WHERE command_id = $1", row["command_id"])
        logged = _logged(history, row["facility_id"], row["command_id"])
        assert row["state"] in {"done", "refused"}, f"{row['command_id']} was never decided"
        assert bool(logged) == (row["state"] == "done"), f"{dict(row)} stands {logged} times in the log"
        assert (row["alarm_key"] == NO_ALARM) <= (row["state"] == "refused"), f"{dict(row)}: there is no such alarm"
        assert bool(row["refusal"]) == (row["state"] == "refused")
        times = Counter((each["alarm_key"], each["transition"]) for each in told)
        assert all(count == 1 for count in times.values()), f"{row['command_id']} was told more than once: {times}"
        assert all(each["alarm_key"] == row["alarm_key"] for each in told)
        if row["command"] == "comment" and row["state"] == "done":
            assert [(each["transition"], each["reason"], each["actor"]) for each in told] == [
                ("commented", "because", "user:7")
            ], f"{row['command_id']} was lost"
    return Counter(f"commands_{row['state']}" for row in rows)


def _logged(history: History, facility_id: str, command_id: str) -> int:
    entries = [entry for commit in history.commits[facility_id] for entry in commit]
    commands: Sequence[Any] = [json.loads(entry.payload) for entry in entries if entry.kind is EntryKind.COMMAND]
    return sum(command["command_id"] == command_id for command in commands)
