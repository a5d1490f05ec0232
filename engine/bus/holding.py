"""The messages a reader holds: their locks are kept alive until each is settled, once.

What is dead-lettered is recorded in the store first, so that people find it where they look (docs/decisions/0068).
While the store is away such messages are held like any others that wait for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from engine.bus.source import BusMessage, BusSource
from engine.clock import US_PER_S, Clock
from engine.errors import BusUnavailable, CommitRejected, LockLost, StoreUnavailable
from engine.faultpoints import reached
from engine.metrics import DEAD_LETTERS, INGEST_LAG, MESSAGES, Metrics
from engine.model import DeadLetter

SETTLE_AT_ONCE: Final = 64
RENEW_CHECK_S: Final = 2.0
REASON_CHARS_MAX: Final = 128
DESCRIPTION_CHARS_MAX: Final = 1024
EXCERPT_BYTES_MAX: Final = 4096
RAW_BYTES_MAX: Final = 65_536
"""The largest message that is kept whole with its dead letter, so that it can be redriven."""
RECORD_S_MAX: Final = 10.0
RECORD_AGAIN_S: Final = 1.0

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


class KeepsDeadLetters(Protocol):
    """The part of the store that a reader needs (see HistorianPort)."""

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep each of them once."""


class Holding:
    """Everything of one queue that is received and not settled."""

    def __init__(
        self, queue: str, source: BusSource, letters: KeepsDeadLetters, clock: Clock, metrics: Metrics
    ) -> None:
        self._queue = queue
        self._source = source
        self._letters = letters
        self._clock = clock
        self._metrics = metrics
        self._held: set[Held] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._is_winding_up = False
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
        now_us = self._clock.now_us()
        good = [each for each in held if each.refusal is None]
        for each in good:
            self._metrics.observe(INGEST_LAG, max(0.0, (now_us - each.message.enqueued_at_us) / US_PER_S))
        self._start(self._settle_all, good, settled)
        self._start(self._bury, [each for each in held if each.refusal is not None], settled)

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
        self._is_winding_up = True
        while self._settling:
            await asyncio.gather(*self._settling, return_exceptions=True)
        left = list(self._held)
        for start in range(0, len(left), SETTLE_AT_ONCE):
            await asyncio.gather(*(self._abandon(held) for held in left[start : start + SETTLE_AT_ONCE]))

    def _start(
        self,
        work: Callable[[Sequence[Held], Callable[[], object]], Coroutine[None, None, None]],
        held: Sequence[Held],
        settled: Callable[[], object],
    ) -> None:
        if held:
            task = asyncio.create_task(work(held, settled))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _bury(self, held: Sequence[Held], settled: Callable[[], object]) -> None:
        """Record, then dead-letter: a death in between brings the message again, and its letter is there already."""
        if await self._recorded([_letter(self._queue, each) for each in held]):
            await self._settle_all(held, settled)

    async def _recorded(self, letters: Sequence[DeadLetter]) -> bool:
        """Tries until the store takes them; False when we are to end before."""
        is_told = False
        while True:
            try:
                async with asyncio.timeout(RECORD_S_MAX):
                    await self._letters.record_dead_letters(letters)
            except (StoreUnavailable, TimeoutError) as error:
                if not is_told:
                    log.warning("dead_letters_wait", queue=self._queue, messages=len(letters), error=str(error))
                is_told = True
            except CommitRejected as error:  # the dead-letter queue still has them whole
                log.error("dead_letters_not_recorded", queue=self._queue, messages=len(letters), error=str(error))
                return True
            else:
                return True
            if self._is_winding_up:
                return False
            await self._clock.sleep(RECORD_AGAIN_S)

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


def _letter(queue: str, held: Held) -> DeadLetter:
    message = held.message
    reason, description = held.refusal or ("", "")
    excerpt = message.body[:EXCERPT_BYTES_MAX].decode(errors="replace")
    digest = hashlib.sha256(message.body).hexdigest()
    identity = ("bus", queue, str(message.sequence_number), str(message.enqueued_at_us), digest)
    return DeadLetter("bus", queue, reason, description, excerpt, "", "", identity, _raw(message.body, excerpt))


def _raw(body: bytes, excerpt: str) -> bytes | None:
    """The whole body, where the excerpt does not say it by itself: it is long, or no text that is kept as it is."""
    says_it = len(body) < EXCERPT_BYTES_MAX and not {"\0", "\N{REPLACEMENT CHARACTER}"} & set(excerpt)
    return None if says_it or len(body) > RAW_BYTES_MAX else body
