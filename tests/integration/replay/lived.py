"""A facility that has lived through three days: late readings, backfill, redeliveries, restarts, silence, commands."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import asyncpg

from engine.clock import US_PER_S, ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.model import AlarmCommand
from engine.settings import Settings
from tests.fakes.messages import T0_US, activation, batch, setup

STEP_S = 300
STEPS = 600
SENSORS = tuple(f"s{number}" for number in range(6))
DAY_US = 86_400 * US_PER_S
RULES = {"rules": [{"rule": "high", "limit": 26.0, "on_delay_s": 600}]}
NOTHING: Final[Mapping[int, Callable[[], Awaitable[None]]]] = {}
SET_RULES = """
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_by, set_by_name)
VALUES ($1, NULL, $2, $3, 'user:1', 'ann')
"""
PLAN_RULES = """
INSERT INTO planned_rules (facility_id, sensor_id, settings, effective_from, set_by, set_by_name)
VALUES ($1, $2, $3, now(), 'user:1', 'ann')
"""
SET_GROUPS = """
INSERT INTO facility_groups (facility_id, settings, set_by, set_by_name)
SELECT $1, jsonb_set($2, '{groups,0,no}', to_jsonb(nextval('sensors_sensor_no_seq'))), 'user:1', 'ann'
"""
EITHER_IS_HOT: Final = {
    "name": "either is hot",
    "kind": "vote",
    "votes": 1,
    "members": [{"sensor_id": each, "rules": ["high"]} for each in SENSORS[:2]],
}


class Lived:
    """`clock` is the historian's and the facility's; the same seed is the same life."""

    def __init__(self, database_url: str, clock: ManualClock, facility_id: str = "f", seed: int = 1) -> None:
        self.settings = Settings(_env_file=None, group_commit_wait_ms=0, checkpoint_readings_max=200)
        self.clock = clock
        self.facility_id = facility_id
        self._url = database_url
        self._chance = random.Random(seed)
        self._facility: Facility | None = None

    async def run(
        self,
        rules_from: int | None = None,
        steps: int = STEPS,
        before: Mapping[int, Callable[[], Awaitable[None]]] = NOTHING,
        with_groups: bool = False,
        planned_for: int | None = None,
    ) -> None:
        """`rules_from`: the step at which RULES are set for s0, or, `planned_for` it, come due; `before`: what happens
        before a step, and a restart.
        """
        historian = await Historian.open(self._url, self.settings, self.clock)
        try:
            await historian.create_facility(setup(self.facility_id))
            self._restart(historian)
            for each in SENSORS:  # one by one, so that all servers give them the same numbers
                await self._owner.apply([activation(each, facility_id=self.facility_id)])
            if with_groups:
                await self._set_groups()
                await self._owner.load(again=True)
            for step in range(1, steps):
                if rules_from == step:
                    await self.set_rules()
                    await self._owner.load(again=True)
                if planned_for == step:
                    await self._plan_rules()
                    assert [each.subject for each in await historian.apply_planned_rules()] == ["s0"]
                    await self._owner.load(again=True)
                if step in before:
                    await before[step]()
                    self._restart(historian)
                await self._live(historian, step)
        finally:
            await historian.close()

    @property
    def _owner(self) -> Facility:
        assert self._facility is not None
        return self._facility

    def _restart(self, historian: Historian) -> None:
        self._facility = Facility(self.facility_id, historian, self.settings, self.clock, Metrics())

    async def set_rules(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(SET_RULES, self.facility_id, "s0", json.dumps(RULES))
        await connection.close()

    async def _plan_rules(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(PLAN_RULES, self.facility_id, "s0", json.dumps(RULES))
        await connection.close()

    async def _set_groups(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(SET_GROUPS, self.facility_id, json.dumps({"groups": [EITHER_IS_HOT]}))
        await connection.close()

    async def _live(self, historian: Historian, step: int) -> None:
        at_s = step * STEP_S
        await self.clock.advance(T0_US / US_PER_S + at_s - self.clock.now_us() / US_PER_S)
        rows = [(sensor, float(at_s), self._value(step, place)) for place, sensor in enumerate(SENSORS)]
        if 400 < step < 420:  # nobody reports
            rows = []
        if 500 < step < 530:  # one is silent
            rows = rows[1:]
        late = [row for row in rows if self._chance.random() < 0.05]
        rows = [row for row in rows if row not in late]
        back_s = step // 97 * 97 * STEP_S - 7_170.0  # comes twice, over a restart: the second time it is no news
        back = [(sensor, back_s, "27.5") for sensor in SENSORS[:2]] if step % 97 in {0, 40} else []
        kept = [rows, late, back, rows if step % 11 == 0 else []]
        batches = [self._batch(each, at_s) for each in kept if each]
        if step % 5 == 0 and batches:
            await self._owner.ingest(*batches)  # several in one commit
        else:
            for each in batches:
                await self._owner.ingest(each)
        await self._owner.tick(T0_US + at_s * US_PER_S)
        if step % 60 == 0:
            await self._command(step)
        if step % 131 == 0 or step % 97 == 39:
            self._restart(historian)

    async def _command(self, step: int) -> None:
        command = ("acknowledge", "shelve", "comment", "shelve")[step // 60 % 4]
        now_us = self.clock.now_us()
        until_us = now_us + 3_600 * US_PER_S if command == "shelve" else None
        asked = AlarmCommand(f"c{step}", self.facility_id, "1:high", command, now_us, "user:1", "tried", until_us)
        await self._owner.command(asked)

    def _value(self, step: int, place: int) -> str:
        if self._chance.random() < 0.01:
            return "off"
        bump = 6.0 if (step + 37 * place) % 90 < 4 else 0.0
        return repr(round(21.5 + bump + self._chance.gauss(0, 0.6), 2))

    def _batch(self, rows: list[tuple[str, float, str]], at_s: float) -> bytes:
        return batch(*rows, facility_id=self.facility_id, received_s=at_s + 1)
