"""Keeps what is told going: the journal into entries, entries into messages, messages to where they belong.

Runs in the engine that leads, one in a cluster. A message is marked after it was sent: who dies in between sends it
again under the same id, so what cannot be lost may come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog

from engine.clock import US_PER_S, Clock
from engine.errors import SettingsError, StoreError
from engine.faultpoints import reached
from engine.historian.outbox import GIVE_UP_S, ChannelTrouble, Claimed, Draft, Group
from engine.metrics import NOTIFICATIONS, Metrics
from engine.notify import mail, teams, webhook
from engine.notify.links import new_link
from engine.notify.sealing import NO_KEY, unseal
from engine.notify.sending import SEND_S_MAX, Letter, NotSent
from engine.notify.words import compose
from engine.settings import Settings

RETRY_S_MIN: Final = 5
RETRY_S_MAX: Final = 300
TROUBLE_AFTER_S: Final = 60
"""How long a channel may fail before the state of the engine says so."""
ERROR_CHARS_MAX: Final = 300

Send = Callable[[Letter], Awaitable[None]]

log = structlog.get_logger(__name__)


class OutboxPort(Protocol):
    """See engine.historian.outbox.Outbox."""

    async def plan(self) -> int: ...

    async def gather(self, now_us: int, compose: Callable[[Group], Draft]) -> int: ...

    async def claim(self, now_us: int, busy: Sequence[int]) -> list[Claimed]: ...

    async def end(self, message: Claimed, state: str, now_us: int, error: str = "") -> None: ...

    async def later(self, message: Claimed, next_try_us: int, error: str) -> None: ...

    async def troubles(self, now_us: int) -> list[ChannelTrouble]: ...


class Deliverer:
    """One channel never waits for another; the messages of one go one after the other."""

    def __init__(self, outbox: OutboxPort, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._key = settings.notification_key
        self._public_url = settings.public_url
        networks = settings.networks_of_notifications
        self._ways: Mapping[str, Send] = {
            "webhook": partial(webhook.send, networks=networks),
            "mail": partial(mail.send, networks=networks),
            "teams": partial(teams.send, networks=networks),
        }
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._troubles: list[str] = []

    async def step(self) -> None:
        """Everything that is due now is on its way when this returns; raises StoreUnavailable."""
        while await self._outbox.plan():
            pass
        await self._outbox.gather(self._clock.now_us(), compose)
        self._under_way = {each: task for each, task in self._under_way.items() if not task.done()}
        for message in await self._outbox.claim(self._clock.now_us(), list(self._under_way)):
            sending = asyncio.create_task(self._send(message), name=f"notify {message.channel.channel_id}")
            self._under_way[message.channel.channel_id] = sending

    async def settle(self) -> None:
        """Until what is under way has ended."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def look(self) -> None:
        """Remember what is wrong, for `troubles`."""
        now_us = self._clock.now_us()
        found = await self._outbox.troubles(now_us)
        self._troubles = [said for trouble in found if (said := _in_words(trouble, now_us))]

    @property
    def troubles(self) -> list[str]:
        """Channels that do not take what they are to be told, in words."""
        return self._troubles

    def stop(self) -> None:
        """What is under way is sent again by the next engine, after its lease."""
        for task in self._under_way.values():
            task.cancel()

    async def _send(self, message: Claimed) -> None:
        try:
            error = await self._try(message)
            await reached("notification_sent")
            await self._tell(message, error)
        except StoreError as away:  # the lease ends, and it is sent again
            log.warning("notification_not_marked", message_id=str(message.message_id), error=str(away))

    async def _try(self, message: Claimed) -> str | None:
        """What went wrong; None: it has arrived."""
        try:
            letter = self._letter(message)
            async with asyncio.timeout(SEND_S_MAX):
                await self._ways[message.channel.kind](letter)
        except (NotSent, SettingsError) as error:
            return str(error)[:ERROR_CHARS_MAX]
        except TimeoutError:
            return f"no answer within {SEND_S_MAX:.0f} s"
        except Exception as error:  # a channel of odd settings must not end the engine
            log.exception("notification_failed", channel=message.channel.name)
            return f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
        return None

    def _letter(self, message: Claimed) -> Letter:
        if self._key is None:
            raise SettingsError(NO_KEY)
        key = self._key.get_secret_value()
        has_link = self._public_url and message.channel.settings.get("acknowledge") and message.content.get("alarms")
        made_at_s = message.made_at_us // US_PER_S
        link = new_link(str(self._public_url), key, message.message_id, made_at_s) if has_link else None
        return Letter(message, unseal(key, message.sealed), link)

    async def _tell(self, message: Claimed, error: str | None) -> None:
        now_us = self._clock.now_us()
        about: dict[str, Any] = {"channel": message.channel.name, "message_id": str(message.message_id)}
        if error is None:
            await self._outbox.end(message, "delivered", now_us)
            self._count("delivered", message)
            return
        log.warning("notification_not_sent", **about, attempts=message.attempts, error=error)
        if now_us - message.made_at_us >= GIVE_UP_S * US_PER_S:
            await self._outbox.end(message, "given_up", now_us, error)
            self._count("given_up", message)
            log.error("notification_given_up", **about, error=error)
            return
        wait_s = retry_s(message.attempts)
        await self._outbox.later(message, now_us + wait_s * US_PER_S, error)
        self._count("failed", message)

    def _count(self, outcome: str, message: Claimed) -> None:
        self._metrics.add(NOTIFICATIONS, kind=message.channel.kind, outcome=outcome)


def retry_s(attempts: int) -> int:
    """After so many tries: twice as long each time, up to RETRY_S_MAX."""
    return min(RETRY_S_MIN << min(attempts - 1, 10), RETRY_S_MAX)


def _in_words(trouble: ChannelTrouble, now_us: int) -> str | None:
    waits_s = 0 if trouble.since_us is None else (now_us - trouble.since_us) / US_PER_S
    if trouble.given_up:
        return (
            f"notifications to {trouble.channel}: {trouble.given_up} were given up within a day, {trouble.waiting} wait"
            f" ({trouble.error})"
        )
    if waits_s < TROUBLE_AFTER_S:
        return None
    return (
        f"notifications to {trouble.channel}: {trouble.waiting} wait, the oldest for {waits_s:.0f} s ({trouble.error})"
    )
