"""People outside who are told of alarms while everything is killed, and who go away and come back themselves.

A webhook and a mailbox are told of everything, a second webhook of what nobody has acknowledged after a minute. At the
end each row of the journal that was to be told was told in one message of each channel; the same message may have come
again, where somebody hung up, went or was struck.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.client import Mail, NewChannel, NewSubscription, Webhook
from engine.processes.polling import until
from tests.chaos.house import House
from tests.chaos.people import Alarm, database, signed_in
from tests.faults.checks import us
from tests.integration.notify.receivers import PASSWORD, USER, HttpsReceiver, Mailbox, Received, server_tls

US_PER_S: Final = 1_000_000
CALM_S: Final = (1.0, 6.0)
AWAY_S: Final = (0.5, 5.0)
ESCALATES_MINUTES: Final = 1
SEEN_SLACK_S: Final = 30.0
"""What people did so shortly before an escalation may have been on its way when that was told."""
TOLD_S_MAX: Final = 180.0
HOOK, MAIL, LATE = "hook", "mail", "late"
BEGINS: Final = {"activated", "re_alarmed"}
SEEN: Final = {"acknowledged", "shelved", "suppressed", "out_of_service"}
LAST: Final = "SELECT coalesce(max(id), 0) FROM alarm_events"
PEACE: Final = "UPDATE notification_channels SET grouped_at = NULL"
"""Nobody waits here for what gathers for minutes."""
LEFT: Final = """
    SELECT (SELECT last_event_id < $1 FROM notification_cursor)
        OR EXISTS (SELECT FROM notification_entries WHERE group_id IS NULL AND due_at <= $2 AND event_id <= $1)
        OR EXISTS (SELECT FROM notification_messages JOIN notification_entries USING (group_id)
            WHERE state = 'waiting' AND event_id <= $1)
"""
JOURNAL: Final = """
    SELECT id, facility_id, alarm_key, transition, late, recorded_at FROM alarm_events WHERE id > $1 ORDER BY id
"""
ENTRIES: Final = """
    SELECT name, event_id, group_id, due_at FROM notification_entries JOIN notification_channels c ON c.id = channel_id
    WHERE event_id > $1
"""
MESSAGES: Final = "SELECT group_id, message_id::text, state FROM notification_messages"


@dataclass(frozen=True, slots=True)
class Row:
    """Of the journal."""

    event_id: int
    alarm: Alarm
    transition: str
    late: bool
    recorded_us: int


@dataclass(frozen=True, slots=True)
class Entry:
    """That a channel is to be told of a row; `group` None: not yet."""

    channel: str
    event_id: int
    group: str | None
    due_us: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that has arrived, by its id. `digest` of what it says."""

    message_id: str
    digest: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Account:
    """What the end of a run is judged by: rows up to `last_id` and what was due by `until_us`.

    messages        (group, message, state)
    interruptions   how often a message may have come again
    """

    rows: Sequence[Row]
    entries: Sequence[Entry]
    messages: Sequence[tuple[str, str, str]]
    arrivals: Sequence[Arrival]
    last_id: int
    until_us: int
    interruptions: int


class Told:
    """`counts` of what the other side did; `problems` in words."""

    def __init__(self, house: House, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._house = house
        self._chance = random.Random(f"{seed} told")
        tls = server_tls(house.folder)
        self._hooks = {HOOK: HttpsReceiver(tls), LATE: HttpsReceiver(tls)}
        self._mailbox = Mailbox(tls)
        self._first_id = 0
        self._over = asyncio.Event()

    async def begin(self) -> None:
        """Before anybody strikes."""
        for server in self._servers:
            await server.start()
        async with signed_in(self._house) as gis:
            for name, hook in self._hooks.items():
                await self._subscribe(
                    gis, NewChannel(name=name, webhook=Webhook(url=hook.url, secret="of the run " * 2))
                )
            there = Mail(
                host="127.0.0.1",
                port=self._mailbox.port,
                user=USER,
                password=PASSWORD,
                sender="gas@plant.example",
                to=["ann@plant.example"],
            )
            await self._subscribe(gis, NewChannel(name=MAIL, mail=there))
        async with database(self._house) as db:
            self._first_id = int(await db.fetchval(LAST))

    async def _subscribe(self, gis: Any, channel: NewChannel) -> None:
        made = await gis.notifications.create_channel(channel)
        minutes = ESCALATES_MINUTES if channel.name == LATE else 0
        await gis.notifications.create_subscription(
            NewSubscription(channel_id=made.id, name="all", after_minutes=minutes)
        )

    @property
    def _servers(self) -> list[HttpsReceiver | Mailbox]:
        return [*self._hooks.values(), self._mailbox]

    async def run(self) -> None:
        """Until `finish`; then all are there."""
        while not await self._is_over(self._chance.uniform(*CALM_S)):
            server = self._chance.choice(self._servers)
            how = self._chance.choice(("goes", "goes", "refuses", "hangs up"))
            self.counts[f"receiver {how}"] += 1
            if how == "goes":
                await server.stop()
                await self._is_over(self._chance.uniform(*AWAY_S))
                await server.start()
            elif isinstance(server, Mailbox):
                server.refusals.append("451 not now")
            else:
                server.answers.append(503 if how == "refuses" else None)
        for server in self._servers:
            (server.refusals if isinstance(server, Mailbox) else server.answers).clear()

    def finish(self) -> None:
        """Go away no more."""
        self._over.set()

    async def _is_over(self, after_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), after_s)
        return self._over.is_set()

    # --- the end ------------------------------------------------------------------------------------------------------

    async def judge(self, blows: int) -> None:
        """When nobody strikes any more and the engine still runs."""
        async with database(self._house) as db:
            last_id, now = int(await db.fetchval(LAST)), await db.fetchval("SELECT now()")

            async def told() -> bool:
                await db.execute(PEACE)
                return not await db.fetchval(LEFT, last_id, now)

            with contextlib.suppress(TimeoutError):  # what is not told is found below
                await until(told, TOLD_S_MAX, "the notifications")
            account = Account(
                [
                    Row(
                        row["id"],
                        (row["facility_id"], row["alarm_key"]),
                        row["transition"],
                        row["late"],
                        us(row["recorded_at"]),
                    )
                    for row in await db.fetch(JOURNAL, self._first_id)
                ],
                [
                    Entry(row["name"], row["event_id"], row["group_id"] and str(row["group_id"]), us(row["due_at"]))
                    for row in await db.fetch(ENTRIES, self._first_id)
                ],
                [(str(row["group_id"]), row["message_id"], row["state"]) for row in await db.fetch(MESSAGES)],
                list(self._arrivals()),
                last_id,
                us(now),
                blows + sum(self.counts.values()),
            )
        for server in self._servers:
            await server.stop()
        self.problems += problems_of(account)
        channels = Counter(entry.channel for entry in account.entries if entry.group)
        self.counts.update({f"told to {name}": channels[name] for name in (HOOK, MAIL, LATE)})
        self.counts["messages"] = len({arrival.message_id for arrival in account.arrivals})
        self.counts["messages that came again"] = len(account.arrivals) - self.counts["messages"]
        self.problems += [f"{name} was told nothing" for name in (HOOK, MAIL, LATE) if not channels[name]]

    def _arrivals(self) -> Iterator[Arrival]:
        for hook in self._hooks.values():
            for received in hook.received:
                yield _posted(received)
        for mail in self._mailbox.mails:
            message_id = str(mail["Message-ID"]).strip("<>").partition("@")[0]
            yield Arrival(message_id, hashlib.sha256(mail.as_bytes()).hexdigest(), 0)

    def notes(self) -> list[str]:
        """For the report."""
        return ["notifications: " + ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items()))]


def _posted(received: Received) -> Arrival:
    return Arrival(received.document["id"], hashlib.sha256(received.body).hexdigest(), received.at_us)


def problems_of(account: Account) -> Iterator[str]:
    """What is lost, told too often, before its time or to nobody's use."""
    known = {message_id for _, message_id, _ in account.messages}
    arrived: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in account.arrivals:
        arrived[arrival.message_id].append(arrival)
    for message_id, arrivals in arrived.items():
        if message_id not in known:
            yield f"message {message_id} is of nobody"
        if len({each.digest for each in arrivals}) > 1:
            yield f"message {message_id} has come {len(arrivals)} times, and not alike"
    again = len(account.arrivals) - len(arrived)
    if again > account.interruptions:
        yield f"{again} messages came again, after {account.interruptions} interruptions"
    delivered: dict[str, bool] = {}
    for group, message_id, state in account.messages:
        delivered[group] = delivered.get(group, True) and state == "delivered"
        if state == "delivered" and message_id not in arrived:
            yield f"message {message_id} is delivered, and nobody has it"
    entries: dict[str, dict[int, list[Entry]]] = {name: defaultdict(list) for name in (HOOK, MAIL, LATE)}
    for entry in account.entries:
        entries[entry.channel][entry.event_id].append(entry)
    for row in account.rows:
        if row.event_id > account.last_id:
            continue
        for channel in (HOOK, MAIL):
            told = [
                each.group is not None and delivered.get(each.group, False) for each in entries[channel][row.event_id]
            ]
            if told != [True] * (row.transition in BEGINS):
                yield f"{row} was to be told to {channel}, and is: {told}"
    yield from _late_problems(account, entries[LATE], delivered, arrived)


def _late_problems(
    account: Account,
    entries: Mapping[int, Sequence[Entry]],
    delivered: Mapping[str, bool],
    arrived: Mapping[str, Sequence[Arrival]],
) -> Iterator[str]:
    first_us: dict[str, int] = {}
    for group, message_id, _ in account.messages:
        for arrival in arrived.get(message_id, ())[:1]:
            first_us[group] = arrival.at_us
    seen: dict[Alarm, list[Row]] = defaultdict(list)
    for row in account.rows:
        if row.transition in SEEN:
            seen[row.alarm].append(row)
    begun_before: set[Alarm] = set()
    for row in account.rows:
        due_us = row.recorded_us + ESCALATES_MINUTES * 60 * US_PER_S
        told_in = next((entry.group for entry in entries.get(row.event_id, ()) if entry.group is not None), None)
        seen_us = [each.recorded_us for each in seen[row.alarm] if each.event_id > row.event_id]
        if told_in is not None:
            if row.transition != "activated" or row.late:
                yield f"{row} was escalated"
            if first_us.get(told_in, due_us) < due_us:
                yield f"{row} was escalated before its time"
            if any(at_us < due_us - SEEN_SLACK_S * US_PER_S for at_us in seen_us):
                yield f"{row} was escalated though it was seen"
        is_owed = row.transition == "activated" and not row.late and row.event_id <= account.last_id
        is_due = is_owed and due_us <= account.until_us and not seen_us and row.alarm not in begun_before
        if is_due and not (told_in is not None and delivered.get(told_in, False)):
            yield f"{row} was never escalated"
        if row.transition == "activated" and not row.late:
            begun_before.add(row.alarm)
