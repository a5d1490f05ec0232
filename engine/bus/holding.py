"""The messages a reader holds: their locks are kept alive until each is settled, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from engine.bus.source import BusMessage, BusSource
from engine.clock import US_PER_S, Clock
from engine.errors import BusUnavailable, LockLost
from engine.faultpoints import reached
from engine.metrics import DEAD_LETTERS, INGEST_LAG, MESSAGES, Metrics

SETTLE_AT_ONCE: Final = 64
RENEW_CHECK_S: Final = 2.0
REASON_CHARS_MAX: Final = 128
DESCRIPTION_CHARS_MAX: Final = 1024

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Held:
    """One locked message.

    open     facilities that have not taken in their part of it
    refusal  (reason, description) when it is to be dead-lettered
    """

    message: BusMessage
    received_at_us: int
    locked_until_us: int
    open: set[str] = field(default_factory=set)
    refusal: tuple[str, str] | None = None
    lock_lost: bool = False

    def refuse(self, reason: str, description: str) -> None:
        """Dead-letter it in the end; the first reason stays."""
        if self.refusal is None:
            self.refusal = (reason[:REASON_CHARS_MAX], description[:DESCRIPTION_CHARS_MAX])

    def renewal_due(self, now_us: int) -> bool:
        """Whether half of the lock's time is over."""
        return now_us >= self.locked_until_us - (self.locked_until_us - self.received_at_us) // 2


@dataclass(eq=False, slots=True)
class Batch:
    """What one receive brought. `received_at_us` goes with it into every retry."""

    held: list[Held]
    received_at_us: int


class Holding:
    """Everything of one queue that is received and not settled."""

    def __init__(self, queue: str, source: BusSource, clock: Clock, metrics: Metrics) -> None:
        self._queue = queue
        self._source = source
        self._clock = clock
        self._metrics = metrics
        self._held: set[Held] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self.unsettled: str | None = None  # why the last message could not be settled; None when it was

    def __len__(self) -> int:
        return len(self._held)

    def take(self, messages: Sequence[BusMessage], now_us: int) -> list[Held]:
        """Hold these from now on."""
        held = [Held(message, now_us, message.locked_until_us) for message in messages]
        self._held.update(held)
        return held

    def oldest_open_us(self) -> int | None:
        """When the oldest message that is not wholly taken in came to the broker."""
        return min((held.message.enqueued_at_us for held in self._held if held.open), default=None)

    def settle(self, held: Sequence[Held], settled: Callable[[], object]) -> None:
        """Complete or dead-letter in the background, many at once; `settled` is called when there is room again."""
        if held:
            now_us = self._clock.now_us()
            for each in held:
                if each.refusal is None:
                    self._metrics.observe(INGEST_LAG, max(0.0, (now_us - each.message.enqueued_at_us) / US_PER_S))
            task = asyncio.create_task(self._settle_all(held, settled))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def keep_locks(self) -> None:
        """Renew what is held for long; runs until cancelled."""
        while True:
            await self._clock.sleep(RENEW_CHECK_S)
            now_us = self._clock.now_us()
            due = [held for held in self._held if not held.lock_lost and held.renewal_due(now_us)]
            for start in range(0, len(due), SETTLE_AT_ONCE):
                await asyncio.gather(*(self._renew(held) for held in due[start : start + SETTLE_AT_ONCE]))

    async def wind_up(self) -> None:
        """Wait for what is being settled; give back what is not wholly taken in."""
        while self._settling:
            await asyncio.gather(*self._settling, return_exceptions=True)
        left = list(self._held)
        for start in range(0, len(left), SETTLE_AT_ONCE):
            await asyncio.gather(*(self._abandon(held) for held in left[start : start + SETTLE_AT_ONCE]))

    async def _settle_all(self, held: Sequence[Held], settled: Callable[[], object]) -> None:
        await reached("before_complete")
        for start in range(0, len(held), SETTLE_AT_ONCE):
            await asyncio.gather(*(self._settle_one(each) for each in held[start : start + SETTLE_AT_ONCE]))
            settled()
        await reached("completed")

    async def _settle_one(self, held: Held) -> None:
        message = held.message
        if held.refusal is not None:
            reason, description = held.refusal
            outcome = await self._settled(held, self._source.dead_letter(message, reason, description), "dead_lettered")
            if outcome == "dead_lettered":
                self._metrics.add(DEAD_LETTERS, reason=reason)
                log.warning("message_dead_lettered", queue=self._queue, reason=reason, description=description)
        else:
            await self._settled(held, self._source.complete(message), "completed")
        await reached("between_completes")

    async def _settled(self, held: Held, work: Awaitable[None], outcome: str) -> str:
        """What became of the message; one that could not be settled comes again and then has no effect."""
        try:
            await work
            self.unsettled = None
        except LockLost:
            outcome = "lock_lost"
        except BusUnavailable as error:
            outcome, self.unsettled = "unsettled", str(error)
            log.info("message_not_settled", queue=self._queue, error=str(error))
        self._held.discard(held)
        self._metrics.add(MESSAGES, queue=self._queue, outcome=outcome)
        return outcome

    async def _renew(self, held: Held) -> None:
        now_us = self._clock.now_us()
        try:
            held.locked_until_us = await self._source.renew_lock(held.message)
            held.received_at_us = now_us
        except LockLost:
            held.lock_lost = True
            log.warning("lock_lost_while_held", queue=self._queue, sequence_number=held.message.sequence_number)
        except BusUnavailable as error:
            log.info("lock_not_renewed", queue=self._queue, error=str(error))

    async def _abandon(self, held: Held) -> None:
        await self._settled(held, self._source.abandon(held.message), "abandoned")
