"""People who ask things of alarms while everything is killed: what was answered as done is in force for ever, once.

Each of them asks until there is an answer, with one id for each command, and now and then asks an old one again.
Comments, assignments and acknowledgements go to any alarm. What keeps an alarm from people goes to alarms of their own,
of a rule that no reading of the field violates: nobody else moves those, so that the last command says how they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from engine import runtime
from engine.client import ClientError, GasInSight, Refused, ServerError
from engine.processes.polling import until
from tests.chaos.house import AWAY, House

PEOPLE: Final = 3
CALM_S: Final = (0.2, 1.5)
AGAIN_S: Final = 1.0
ASK_S_MAX: Final = 20.0
DECIDED_S_MAX: Final = 120.0
REPEATED_SHARE: Final = 0.15
SHELF_H: Final = 7
PAIRS: Final = {"shelve": "unshelve", "suppress": "unsuppress", "out_of_service": "return_to_service"}
KEPT_AS: Final = {"shelve": "shelved", "suppress": "by_design", "out_of_service": "out_of_service"}
SENSORS: Final = """
    SELECT facility_id, sensor_no FROM sensors WHERE status_changed_at = installed_at ORDER BY sensor_no
"""
OPEN: Final = """
    SELECT facility_id, alarm_key FROM alarms WHERE NOT acknowledged AND sensor_no % 2 = 0 ORDER BY since DESC LIMIT 20
"""
"""The others nobody sees, so that there is something to escalate."""
DECIDED: Final = "SELECT id, command_id, state FROM alarm_commands WHERE command_id = ANY($1)"
TOLD: Final = "SELECT id, command_id, facility_id, alarm_key, transition FROM alarm_events WHERE command_id = ANY($1)"
LOGGED: Final = "SELECT payload FROM chaos_commits WHERE kind = 'command'"
ALARMS: Final = "SELECT facility_id, alarm_key, suppression, acknowledged FROM alarms"
BEGUN: Final = """
    SELECT facility_id, alarm_key, max(id) AS id FROM alarm_events
    WHERE transition IN ('activated', 'activated_silently', 're_alarmed') GROUP BY 1, 2
"""

Alarm = tuple[str, str]
"""Facility and key."""


@dataclass(slots=True)
class Asked:
    """A command and the last that was heard of it: nothing, `waiting`, `done` or `refused`."""

    command_id: str
    alarm: Alarm
    command: str
    reason: str = "because"
    assignee: str | None = None
    until: datetime | None = None
    heard: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What the database has of commands, by their ids: `decided` is (place in their order, state).

    told        (row, alarm, transition) of the journal
    logged      ids of commands that the commit logs hold
    kept        what keeps each alarm from people, and whether it is acknowledged
    begun       the last row of each alarm that says it has begun
    unchanged   sensors that were never taken out of service
    """

    decided: Mapping[str, tuple[int, str]]
    told: Mapping[str, Sequence[tuple[int, Alarm, str]]]
    logged: Set[str]
    kept: Mapping[Alarm, tuple[str, bool]]
    begun: Mapping[Alarm, int]
    unchanged: Set[str]


class People:
    """`asked` in the order in which they began to ask; `problems` in words."""

    def __init__(self, house: House, seed: int) -> None:
        self.asked: list[Asked] = []
        self.problems: list[str] = []
        self._house = house
        self._seed = seed
        self._sensors: list[tuple[str, int]] = []
        self._repeated = 0
        self._over = asyncio.Event()

    async def begin(self) -> None:
        """Before anybody strikes."""
        async with database(self._house) as db:
            self._sensors = [(row["facility_id"], row["sensor_no"]) for row in await db.fetch(SENSORS)]

    async def run(self) -> None:
        """Until `finish`, and until everybody has an answer."""
        await asyncio.gather(*(self._ask_on(number) for number in range(PEOPLE)))

    def finish(self) -> None:
        """Ask nothing more."""
        self._over.set()

    async def _ask_on(self, number: int) -> None:
        chance = random.Random(f"{self._seed} person {number}")
        own = [(facility_id, f"{sensor_no}:low") for facility_id, sensor_no in self._sensors[number :: 2 * PEOPLE]]
        begun: dict[Alarm, str] = {}
        heard: list[Asked] = []
        async with signed_in(self._house) as gis:
            while not self._over.is_set():
                if heard and chance.random() < REPEATED_SHARE:
                    self._repeated += 1
                    await self._ask(gis, chance.choice(heard))
                else:
                    asked = await self._wish(f"person-{number}-{len(heard)}", chance, own[:3], begun)
                    self.asked.append(asked)
                    await self._ask(gis, asked)
                    heard.append(asked)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), chance.uniform(*CALM_S))

    async def _wish(
        self, command_id: str, chance: random.Random, own: Sequence[Alarm], begun: dict[Alarm, str]
    ) -> Asked:
        what = chance.choice(("acknowledge", "acknowledge", "comment", "assign", "keep", "keep"))
        if what == "keep":
            number = chance.randrange(len(own))
            alarm, begins = own[number], list(PAIRS)[number]
            command = PAIRS[begins] if begun.pop(alarm, None) else begins
            if command == begins:
                begun[alarm] = begins
            until_at = datetime.now(UTC) + timedelta(hours=SHELF_H) if command == "shelve" else None
            return Asked(command_id, alarm, command, until=until_at)
        facility_id, sensor_no = chance.choice(self._sensors)
        alarm = (facility_id, f"{sensor_no}:high")
        if what == "acknowledge":
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(AGAIN_S), database(self._house) as db:
                    if rows := await db.fetch(OPEN):
                        row = chance.choice(rows)
                        alarm = (row["facility_id"], row["alarm_key"])
        return Asked(command_id, alarm, what, assignee=f"shift {command_id}" if what == "assign" else None)

    async def _ask(self, gis: GasInSight, asked: Asked) -> None:
        """Again and again until there is an answer."""
        before = asked.heard
        while True:
            try:
                answer = await gis.alarms.command(
                    *asked.alarm,
                    asked.command,
                    reason=asked.reason,
                    assignee=asked.assignee,
                    until=asked.until,
                    command_id=asked.command_id,
                )
                asked.heard = answer.state
            except Refused:
                asked.heard = "refused"
            except ServerError:
                await asyncio.sleep(AGAIN_S)
                continue
            except ClientError as error:
                self.problems.append(f"{asked.command_id} was answered oddly: {type(error).__name__}: {error}")
            if before in {"done", "refused"} and asked.heard != before:
                self.problems.append(f"{asked.command_id} was {before}, and is {asked.heard} when asked again")
            return

    # --- the end ------------------------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """When nobody strikes any more and the engine still runs."""
        ids = [asked.command_id for asked in self.asked]
        async with database(self._house) as db:
            waiting = "SELECT NOT EXISTS (SELECT FROM alarm_commands WHERE state = 'waiting')"
            with contextlib.suppress(TimeoutError):  # what waits for ever is told below
                await until(lambda: db.fetchval(waiting), DECIDED_S_MAX, "the commands")
            told: dict[str, list[tuple[int, Alarm, str]]] = defaultdict(list)
            for row in await db.fetch(TOLD, ids):
                alarm = (row["facility_id"], row["alarm_key"])
                told[row["command_id"]].append((row["id"], alarm, row["transition"]))
            found = Found(
                {row["command_id"]: (row["id"], row["state"]) for row in await db.fetch(DECIDED, ids)},
                told,
                {json.loads(row["payload"])["command_id"] for row in await db.fetch(LOGGED)},
                {_alarm(row): (row["suppression"], row["acknowledged"]) for row in await db.fetch(ALARMS)},
                {_alarm(row): row["id"] for row in await db.fetch(BEGUN)},
                {str(row["sensor_no"]) for row in await db.fetch(SENSORS)},
            )
        self.problems += problems_of(self.asked, found)
        if not any(asked.heard == "done" for asked in self.asked):
            self.problems.append("commands done: none, so this run has shown nothing of them")

    def notes(self) -> list[str]:
        """For the report."""
        counts = Counter(f"{asked.command} {asked.heard}" for asked in self.asked)
        counted = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
        return [f"{len(self.asked)} commands of people, {self._repeated} asked again: {counted}"]


def problems_of(asked: Sequence[Asked], found: Found) -> Iterator[str]:
    """What is not as people were answered."""
    kept: dict[Alarm, str] = {}
    last_acknowledged: dict[Alarm, int] = {}
    for each in sorted(asked, key=lambda asked: found.decided.get(asked.command_id, (0, ""))[0]):
        state = found.decided.get(each.command_id, (0, "unknown"))[1]
        told = found.told.get(each.command_id, ())
        if state not in {"done", "refused"} or (each.heard in {"done", "refused"} and each.heard != state):
            yield f"{each} is {state}"
        if (each.command_id in found.logged) != (state == "done"):
            yield f"{each} is {state}, and {'' if each.command_id in found.logged else 'not '}in the commit log"
        times = Counter((alarm, transition) for _, alarm, transition in told)
        if any(count > 1 or alarm != each.alarm for (alarm, _), count in times.items()):
            yield f"{each} was told as {told}"
        if each.command == "comment" and len(told) != (state == "done"):
            yield f"{each} is {state} and was told as {told}"
        if state != "done":
            continue
        if each.command == "acknowledge" and told:
            last_acknowledged[each.alarm] = told[0][0]
        if each.command in {*PAIRS, *PAIRS.values()}:
            before, now = kept.get(each.alarm, "none"), KEPT_AS.get(each.command, "none")
            kept[each.alarm] = now
            moves = [transition for _, _, transition in told if transition != "activated"]  # which may follow from it
            if before != now and len(moves) != 1 and _is_of(each.alarm, found.unchanged):
                yield f"{each} changed {before} to {now} and was told as {told}"
    for alarm, suppression in kept.items():
        shown = found.kept.get(alarm, ("none", True))[0]
        if shown != suppression and _is_of(alarm, found.unchanged):
            yield f"{alarm} is {shown}, and was made {suppression}"
    for alarm, row in last_acknowledged.items():
        if not found.kept[alarm][1] and found.begun.get(alarm, 0) < row:
            yield f"{alarm} was acknowledged in row {row}, and is not although nothing began since"


def _is_of(alarm: Alarm, sensors: Set[str]) -> bool:
    return alarm[1].partition(":")[0] in sensors


def _alarm(row: Any) -> Alarm:
    return row["facility_id"], row["alarm_key"]


@contextlib.asynccontextmanager
async def database(house: House) -> Any:
    """By the direct way."""
    connection = await asyncpg.connect(house.database_url)
    try:
        yield connection
    finally:
        connection.terminate()


@contextlib.asynccontextmanager
async def signed_in(house: House) -> Any:
    """The first admin."""
    password = runtime.read_secret(house.settings.data_dir, "admin_password")
    async with GasInSight(house.url, house.settings.admin_email, password, timeout_s=ASK_S_MAX) as gis:
        yield gis
