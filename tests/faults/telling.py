"""People outside of the system in a fault run: they are told of alarms by a deliverer that dies, stops and comes back.

What is real here: Deliverer and Outbox, on the journal that the run writes. What is played: the other side, which takes
a message, refuses it, or takes it and hangs up before it says so. The run ends when it has drained; what is due later
(messages gather for up to five minutes) is told by one more deliverer after it, in peace.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import time
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from engine.clock import US_PER_S, Clock, ManualClock
from engine.errors import StoreUnavailable
from engine.historian.outbox import GROUP_S_MAX, ChannelTrouble, Claimed, Draft, Group
from engine.metrics import Metrics
from engine.notify.deliverer import Deliverer, OutboxPort
from engine.notify.sealing import seal
from engine.notify.sending import Letter, NotSent
from tests.faults.checks import us
from tests.faults.menu import Fault
from tests.faults.scheduler import START_US, Process, current_process

if TYPE_CHECKING:
    from tests.faults.run import Run, World

T = TypeVar("T")
POINT = "notification_sent"
KEY = "a key of the fault runs, long enough to seal with"
ESCALATES_MINUTES = 1
# name: kind, recipients, subscription
CHANNELS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "hook": ("webhook", [""], {"least_priority": "low", "after_minutes": 0}),
    "mail": ("mail", ["ann", "bob"], {"least_priority": "high", "after_minutes": 0}),
    "late": ("webhook", [""], {"least_priority": "low", "after_minutes": ESCALATES_MINUTES}),
}
URGENT = {"high", "critical"}
SEEN = {"acknowledged", "shelved", "suppressed", "out_of_service"}
ROUNDS_MAX = 20
CHANNEL = """
INSERT INTO notification_channels (name, kind, enabled, settings, sealed) VALUES ($1, $2, true, $3, $4) RETURNING id
"""
SUBSCRIPTION = """
INSERT INTO notification_subscriptions (channel_id, name, facility_ids, least_priority, returned, after_minutes, days,
    from_time, to_time, zone)
VALUES ($1, 'all', $2, $3, false, $4, '{1,2,3,4,5,6,7}', $5, $5, 'UTC')
"""
LEFT = """
SELECT (SELECT count(*) FROM notification_entries WHERE group_id IS NULL)
    + (SELECT count(*) FROM notification_messages WHERE state = 'waiting')
"""
JOURNAL = """
SELECT id, facility_id, alarm_key, transition, priority, late, recorded_at FROM alarm_events
WHERE facility_id = ANY($1) ORDER BY id
"""


@dataclass(slots=True)
class Reception:
    """A message that has arrived. `answered`: the sender has heard so; `unnoted`: and could not note it.

    `claimed` and `marked`: when the sender took the message to send it, and noted that it has arrived, as numbers of
    what the run did. `teller`: None after the run.
    """

    channel: str
    recipient: str
    events: tuple[int, ...]
    at_us: int
    teller: Process | None
    answered: bool
    claimed: int
    marked: int | None = None
    unnoted: bool = False

    def is_struck(self) -> bool:
        """Its teller died or stood still."""
        return self.teller is not None and self.teller.died.is_set()

    def may_be_followed_by(self, other: Reception) -> bool:
        """Nobody could know that it has arrived when the other one was taken to be sent."""
        was_noted = self.marked is not None and self.marked < other.claimed
        return not was_noted and (not self.answered or self.unnoted or self.is_struck() or other.is_struck())


class Telling:
    """The errand of a run. `received`: by id of the message, in order."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.received: dict[Any, list[Reception]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.turns = count()
        self.claims: dict[tuple[Any, Process], int] = {}
        self._world = world
        self._chance = chance
        kind = chance.choice(("kill", "pause", "stall"))
        seconds = 0.0 if kind == "kill" else chance.uniform(61, 90)
        self._fault: Fault | None = Fault(kind, POINT, 1, seconds)
        self._away_until_us = 0
        self._after = ManualClock(START_US)
        self._facilities: list[str] = []
        self._run: Run | None = None
        self._tellers = 0

    async def errand(self, run: Run) -> None:
        """From now on somebody tells, and somebody else when he is gone."""
        self._run = run
        self._facilities = list(run.plan.facilities)
        await run.scheduler.call(run.fate, "subscribes", self._subscribe)
        run.fate.spawn_vital(self._keep(run))

    async def check(self) -> None:
        """Everything is told to everybody, once unless nobody can know, and late to whoever hears what nobody saw."""
        await self._tell_the_rest()
        rows = await self._world.db.fetch(JOURNAL, self._facilities)
        for message_id, receptions in self.received.items():
            for first, second in pairwise(receptions):
                assert first.may_be_followed_by(second), f"{message_id} came again: {first}, {second}"
        told = self._told()
        begun = [row for row in rows if row["transition"] in {"activated", "re_alarmed"}]
        for channel, wanted in (("hook", begun), ("mail", [row for row in begun if row["priority"] in URGENT])):
            for recipient in CHANNELS[channel][1]:
                heard, due = told[channel, recipient], Counter(row["id"] for row in wanted)
                assert heard == due, f"{recipient} of {channel}: lost {due - heard}, told too often {heard - due}"
        self._check_escalations(rows, told["late", ""])
        assert self._run is not None
        counts = self._run.history.counts
        counts.update(self.counts)
        counts["told"] += len(self.received)
        counts["told_again"] += sum(len(each) - 1 for each in self.received.values())
        counts["escalated"] += told["late", ""].total()

    def _told(self) -> dict[tuple[str, str], Counter[int]]:
        """How many messages each told each event in; the same message again counts as one."""
        told: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for receptions in self.received.values():
            told[receptions[0].channel, receptions[0].recipient].update(receptions[0].events)
        return told

    def _check_escalations(self, rows: Sequence[Any], told: Counter[int]) -> None:
        """After its time, once, and nothing that somebody had seen by then; what nobody ever saw is told for sure."""
        arrived = {
            event: receptions[0].at_us
            for receptions in self.received.values()
            if receptions[0].channel == "late"
            for event in receptions[0].events
        }
        assert all(count == 1 for count in told.values()), f"escalated more than once: {told}"
        begun_before: set[tuple[str, str]] = set()
        for row in rows:
            alarm = row["facility_id"], row["alarm_key"]
            if row["transition"] != "activated" or row["late"]:
                assert row["id"] not in told, f"{dict(row)} was escalated"
                continue
            due_us = us(row["recorded_at"]) + ESCALATES_MINUTES * 60 * US_PER_S
            seen_us = [
                us(each["recorded_at"])
                for each in rows
                if each["id"] > row["id"]
                and (each["facility_id"], each["alarm_key"]) == alarm
                and each["transition"] in SEEN
            ]
            if row["id"] in told:
                assert arrived[row["id"]] >= due_us, f"{dict(row)} was escalated before its time"
                assert all(at_us >= due_us for at_us in seen_us), f"{dict(row)} was escalated though it was seen"
            else:
                self.counts["seen_in_time"] += any(at_us < due_us for at_us in seen_us)
                assert seen_us or alarm in begun_before, f"{dict(row)} was never escalated"
            begun_before.add(alarm)

    # --- who tells ----------------------------------------------------------------------------------------------------

    def claimed(self, run: Run, teller: Process, messages: Sequence[Claimed]) -> None:
        """Now there is something that can be interrupted: a run of which nobody is told anything has no such fault."""
        turn = next(self.turns)
        self.claims.update(((message.message_id, teller), turn) for message in messages)
        if messages and self._fault is not None and self._chance.random() < 0.5:
            self._fault.visit += run.menu.passed[POINT]
            run.menu.faults.append(self._fault)
            self._fault = None

    async def _keep(self, run: Run) -> None:
        """As the engine that leads: one at a time, unless one that was taken for dead goes on."""
        while True:
            teller = Process(f"teller.{self._tellers}", run.scheduler)
            self._tellers += 1
            run.add(teller)
            outlet = Outlet(self, self._world.historian.outbox, run, teller)
            teller.spawn_vital(self._work(teller, self._deliverer(outlet, teller), self._chance.uniform(3, 10)))
            await run.fate.spawn(teller.died.wait())
            await run.fate.sleep(self._chance.uniform(1, 30))

    async def _work(self, teller: Process, deliverer: Deliverer, every_s: float) -> None:
        while True:
            try:
                await deliverer.step()
            except StoreUnavailable:
                self.counts["store_unavailable"] += 1
            await teller.sleep(every_s)

    def _deliverer(self, outbox: OutboxPort, clock: Clock) -> Deliverer:
        settings = self._world.settings.model_copy(update={"notification_key": SecretStr(KEY)})
        deliverer = Deliverer(outbox, settings, clock, Metrics())
        deliverer._ways = dict.fromkeys(("webhook", "mail"), self._take)
        return deliverer

    async def _tell_the_rest(self) -> None:
        """In time that only passes here; nobody is away any more."""
        assert self._run is not None
        await self._after.advance((self._run.scheduler.now_us - START_US) / US_PER_S)
        deliverer = self._deliverer(self._world.historian.outbox, self._after)
        for _ in range(ROUNDS_MAX):
            await self._after.advance(GROUP_S_MAX)
            await deliverer.step()
            await deliverer.settle()
            if not await self._world.db.fetchval(LEFT):
                return
        raise AssertionError(f"{await self._world.db.fetchval(LEFT)} are still to be told")

    # --- who is told --------------------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        db = self._world.db
        await db.execute("DELETE FROM notification_channels")  # of earlier runs
        for name, (kind, recipients, wanted) in CHANNELS.items():
            settings = json.dumps({"to": recipients} if kind == "mail" else {})
            channel_id = await db.fetchval(CHANNEL, name, kind, settings, seal(KEY, {}))
            facts = (wanted["least_priority"], wanted["after_minutes"], time(0))
            await db.execute(SUBSCRIPTION, channel_id, self._facilities, *facts)

    async def _take(self, letter: Letter) -> None:
        """The other side. Raises NotSent."""
        teller = current_process.get(None)
        if teller is None:
            self._arrives(letter.claimed, self._after.now_us(), None, answered=True)
            return

        async def act() -> None:
            now_us = teller.now_us()
            if now_us < self._away_until_us:
                raise NotSent("nobody is there")
            fate = self._chance.random()
            if fate < 0.1:
                self.counts["receiver_away"] += 1
                self._away_until_us = now_us + round(self._chance.uniform(5, 60) * US_PER_S)
                raise NotSent("nobody is there any more")
            self._arrives(letter.claimed, now_us, teller, answered=fate >= 0.25)
            if fate < 0.25:
                self.counts["receiver_hung_up"] += 1
                raise NotSent("the connection was closed")

        await teller.scheduler.call(teller, f"tells {letter.claimed.channel.name}", act)

    def _arrives(self, message: Claimed, at_us: int, teller: Process | None, *, answered: bool) -> None:
        events = tuple(alarm["event_id"] for alarm in message.content["alarms"])
        assert message.content["total"] == len(events), "more than one message names"
        claimed = next(self.turns) if teller is None else self.claims[message.message_id, teller]
        reception = Reception(message.channel.name, message.recipient, events, at_us, teller, answered, claimed)
        self.received[message.message_id].append(reception)


@dataclass(slots=True)
class Outlet:
    """`OutboxPort` of one process: calls travel, and fail while the database is away."""

    telling: Telling
    real: OutboxPort
    run: Run
    process: Process

    async def plan(self) -> int:
        return await self._call("plans", self.real.plan)

    async def gather(self, now_us: int, compose: Callable[[Group], Draft]) -> int:
        return await self._call("gathers", lambda: self.real.gather(now_us, compose))

    async def claim(self, now_us: int, busy: Sequence[int]) -> list[Claimed]:
        async def act() -> list[Claimed]:
            claimed = await self.real.claim(now_us, busy)
            self.telling.claimed(self.run, self.process, claimed)
            return claimed

        return await self._call("claims", act)

    async def end(self, message: Claimed, state: str, now_us: int, error: str = "") -> None:
        async def act() -> None:
            await self.real.end(message, state, now_us, error)
            self._note(message, marked=next(self.telling.turns))

        try:
            await self._call(f"marks {state}", act)
        except StoreUnavailable:
            self._note(message, unnoted=True)
            raise

    async def later(self, message: Claimed, next_try_us: int, error: str) -> None:
        await self._call("puts off", lambda: self.real.later(message, next_try_us, error))

    async def troubles(self, now_us: int) -> list[ChannelTrouble]:
        return await self._call("asks for troubles", lambda: self.real.troubles(now_us))

    def _note(self, message: Claimed, *, marked: int | None = None, unnoted: bool = False) -> None:
        for reception in self.telling.received.get(message.message_id, ()):
            if reception.teller is self.process and reception.marked is None:
                reception.marked = marked
                reception.unnoted |= unnoted

    async def _call(self, label: str, act: Callable[[], Awaitable[T]]) -> T:
        async def act_if_reachable() -> T:
            if self.process.now_us() < self.run.weather.away_until_us:
                raise StoreUnavailable("connection refused")
            return await act()

        return await self.run.scheduler.call(self.process, label, act_if_reachable)
