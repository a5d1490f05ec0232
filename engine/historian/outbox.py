"""What is told outside of this system: made from the journal, kept until it is delivered.

The journal is the outbox: a row that is committed is told, because a cursor goes over all of them in order, and once,
because the cursor moves in the transaction of the entries. Commits of readings know nothing of it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from engine.clock import US_PER_S
from engine.historian.queries import SQL

GROUP_S: Final = 30
"""Between two messages of a channel; what is critical waits no longer."""
GROUP_S_MAX: Final = 300
"""The same while it goes on and on: each message in a row doubles the wait."""
LINES_MAX: Final = 50
"""Alarms that one message names; the others are counted."""
EVENTS_AT_ONCE: Final = 2_000
LEASE_S: Final = 60
"""Whoever takes a message to send it has so long, and then it is somebody else's."""
GIVE_UP_S: Final = 86_400
KEPT_DAYS: Final = 90
FORGOTTEN_AT_ONCE: Final = 5_000

Transaction = Callable[[str], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Channel:
    """`settings` as people see them."""

    channel_id: int
    name: str
    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """What one message of a channel is about: its first LINES_MAX alarms, and how many there are of each priority."""

    channel: Channel
    alarms: Sequence[Mapping[str, Any]]
    total: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as it will be sent, whenever that works."""

    subject: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is ours to send until the lease ends."""

    id: int
    message_id: uuid.UUID
    channel: Channel
    sealed: bytes
    recipient: str
    subject: str
    content: Mapping[str, Any]
    made_at_us: int
    attempts: int


@dataclass(frozen=True, slots=True)
class ChannelTrouble:
    """`waiting` messages that could not be sent yet, the oldest made at `since_us`; `given_up` in the last day."""

    channel: str
    waiting: int
    given_up: int
    since_us: int | None
    error: str


class Outbox:
    """Each method is one transaction; several may run, also of several engines."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def plan(self) -> int:
        """Turn the next rows of the journal into entries; how many rows."""
        async with self._transaction("looking for what is to be told") as connection:
            last_id = await connection.fetchval(SQL["notification_turn"])
            upto = await connection.fetchval(SQL["notification_upto"], last_id, EVENTS_AT_ONCE)
            if upto is None:
                return 0
            await connection.execute(SQL["notification_beginnings"], last_id, upto)
            await connection.execute(SQL["notification_returns_untold"], last_id, upto)
            await connection.execute(SQL["notification_escalations_off"], last_id, upto)
            await connection.execute(SQL["notification_escalations_once"], last_id)
            await connection.execute(SQL["notification_advance"], upto)
        return int(upto - last_id)

    async def gather(self, now_us: int, compose: Callable[[Group], Draft]) -> int:
        """Make messages of what is due, one a channel and recipient; how many. `compose` says what is in one."""
        made = 0
        async with self._transaction("gathering what is to be told") as connection:
            await connection.fetchval(SQL["notification_turn"])
            for row in await connection.fetch(SQL["notification_due"], now_us):
                window_s = next_window_s(row["grouped_at"], row["window_s"], now_us, is_critical=row["is_critical"])
                if window_s is None:
                    continue
                channel = Channel(row["id"], row["name"], row["kind"], json.loads(row["settings"]))
                made += await _make(connection, channel, now_us, compose)
                await connection.execute(SQL["notification_grouped"], channel.channel_id, now_us, window_s)
        return made

    async def claim(self, now_us: int, busy: Sequence[int]) -> list[Claimed]:
        """Messages to send now, the oldest of each channel; none of channels that are `busy`."""
        async with self._transaction("taking what is to be sent") as connection:
            lease_us = now_us + LEASE_S * US_PER_S
            rows = await connection.fetch(SQL["notification_claim"], now_us, lease_us, list(busy))
        return [_claimed(row) for row in rows]

    async def end(self, message: Claimed, state: str, now_us: int, error: str = "") -> None:
        """It is delivered, or given_up."""
        async with self._transaction("saying what became of a message") as connection:
            await connection.execute(SQL["notification_end"], message.id, state, now_us, error)

    async def later(self, message: Claimed, next_try_us: int, error: str) -> None:
        """It could not be sent now."""
        async with self._transaction("putting a message off") as connection:
            await connection.execute(SQL["notification_later"], message.id, next_try_us, error)

    async def troubles(self, now_us: int) -> list[ChannelTrouble]:
        """Channels that are not reached, or were given up in the last day."""
        async with self._transaction("asking for what was not sent") as connection:
            rows = await connection.fetch(SQL["notification_state"], now_us - GIVE_UP_S * US_PER_S)
        return [ChannelTrouble(*row) for row in rows]

    async def keep_house(self, now_us: int) -> None:
        """Forget what was told long ago; give up what waits for channels that are off."""
        async with self._transaction("giving up messages") as connection:
            await connection.execute(SQL["notification_give_up_old"], now_us - GIVE_UP_S * US_PER_S, now_us)
        forgotten = 1
        while forgotten:
            async with self._transaction("forgetting what was told") as connection:
                oldest_us = now_us - KEPT_DAYS * 86_400 * US_PER_S
                forgotten = await connection.fetchval(SQL["notification_forget"], oldest_us, FORGOTTEN_AT_ONCE)


def next_window_s(grouped_at_us: int | None, window_s: int, now_us: int, *, is_critical: bool) -> int | None:
    """How long what follows a message that is made now is to wait; None: it is too early for a message.

    The first alarm is told at once. What follows it shares the next message, and while that goes on the wait doubles.
    """
    if grouped_at_us is None:
        return GROUP_S
    passed_us = now_us - grouped_at_us
    wait_s = min(window_s, GROUP_S) if is_critical else window_s
    if passed_us < wait_s * US_PER_S:
        return None
    is_quiet = passed_us >= 2 * window_s * US_PER_S
    return GROUP_S if is_quiet else min(2 * window_s, GROUP_S_MAX)


async def _make(connection: Any, channel: Channel, now_us: int, compose: Callable[[Group], Draft]) -> int:
    group_id = uuid.uuid4()
    rows = await connection.fetch(SQL["notification_group"], channel.channel_id, group_id, now_us, LINES_MAX)
    if not rows:
        return 0
    counted = ("critical", "high", "medium", "low")
    alarms = [{name: row[name] for name in row.keys() if name not in {*counted, "total"}} for row in rows]  # noqa: SIM118
    counts = {name: rows[0][name] for name in counted}
    draft = compose(Group(channel, alarms, rows[0]["total"], counts))
    content = json.dumps(draft.content, ensure_ascii=False)
    recipients = channel.settings.get("to") or [""]
    for recipient in recipients:
        message = uuid.uuid4(), group_id, channel.channel_id, recipient, draft.subject, content, now_us
        await connection.execute(SQL["notification_write"], *message)
    return len(recipients)


def _claimed(row: Any) -> Claimed:
    channel = Channel(row["channel_id"], row["channel"], row["kind"], json.loads(row["settings"]))
    return Claimed(
        id=row["id"],
        message_id=row["message_id"],
        channel=channel,
        sealed=row["sealed"],
        recipient=row["recipient"],
        subject=row["subject"],
        content=json.loads(row["content"]),
        made_at_us=row["made_at"],
        attempts=row["attempts"],
    )
