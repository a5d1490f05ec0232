"""A broker in memory with exact peek-lock: what Service Bus promises, and on request what it does on a bad day.

`ModelBroker` is the truth (queues, locks, delivery counts, dead letters) and never waits. `ModelSource` is one
receiver on one queue and implements `engine.bus.source.BusSource`; it passes the same contract suite as the real one
(tests/contract/test_bus_source.py).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.bus.source import BusMessage
from engine.clock import US_PER_S, Clock
from engine.errors import BusUnavailable, LockLost

DELIVERIES_MAX = 10
LOCK_S = 60.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that will not be delivered any more, and why."""

    queue: str
    body: bytes
    sequence_number: int
    delivery_count: int
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Chaos:
    """How often the broker misbehaves, as probabilities of one call.

    lost_answer      a settle took effect, but the caller is told that the connection died
    lost_settle      a settle did not reach the broker; the caller is told that the connection died
    forgotten        a complete was answered, but the message comes again (a broker that failed over)
    receive_error    a receive raises instead of answering; nothing is locked
    lost_delivery    messages were locked, but the answer did not reach the receiver
    """

    lost_answer: float = 0.0
    lost_settle: float = 0.0
    forgotten: float = 0.0
    receive_error: float = 0.0
    lost_delivery: float = 0.0


@dataclass(slots=True)
class _Held:
    """A message on a queue. Locked while `lock_token` is set and `locked_until_us` is ahead."""

    body: bytes
    sequence_number: int
    enqueued_at_us: int
    deliveries_failed: int = 0
    lock_token: int | None = None
    locked_until_us: int = 0


@dataclass(slots=True)
class _Queue:
    held: dict[int, _Held] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def wake(self) -> None:
        """Tell the receivers that wait that there is something to look at."""
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()


class ModelBroker:
    """Named queues with peek-lock. `counts` says how often each rule and each kind of chaos bit.

    `running`: False between `stop` and `start`; then no receiver gets through.
    """

    def __init__(self, clock: Clock, *, lock_s: float = LOCK_S, deliveries_max: int = DELIVERIES_MAX) -> None:
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self.running = True
        self._lock_us = round(lock_s * US_PER_S)
        self._deliveries_max = deliveries_max
        self._queues: dict[str, _Queue] = {}
        self._sequence = 0
        self._tokens = 0

    def source(self, queue: str, chaos: Chaos | None = None, chance: random.Random | None = None) -> ModelSource:
        """A receiver of its own on `queue`; several on one queue compete."""
        return ModelSource(self, queue, chaos or Chaos(), chance or random.Random(0))

    def stop(self) -> None:
        """Who waits for a message hears of it at once. Locks end with the broker; that is no failed delivery."""
        self.running = False
        for queue in self._queues.values():
            for held in queue.held.values():
                held.lock_token = None
            queue.wake()

    def start(self) -> None:
        """Receivers get through again."""
        self.running = True

    def send(self, queue: str, body: bytes) -> int:
        """Accept a message; returns its sequence number."""
        self._sequence += 1
        self._queue(queue).held[self._sequence] = _Held(body, self._sequence, self.clock.now_us())
        self._queue(queue).wake()
        self.counts["sent"] += 1
        return self._sequence

    def waiting(self, queue: str) -> int:
        """Messages on the queue, locked ones included; dead letters not."""
        self._expire(queue)
        return len(self._queue(queue).held)

    def deliverable(self, queue: str) -> int:
        """Messages that a receiver would get now."""
        self._expire(queue)
        return sum(1 for held in self._queue(queue).held.values() if held.lock_token is None)

    def dead_letters(self, queue: str) -> Sequence[DeadLetter]:
        """In the order in which they died."""
        self._expire(queue)
        return tuple(self._queue(queue).dead)

    async def something_to_deliver(self, queue: str, wait_s: float) -> bool:
        """Wait until a message is free, at most `wait_s` of the clock; returns whether one is."""
        end_us = self.clock.now_us() + round(wait_s * US_PER_S)
        while self.running and not self.deliverable(queue) and self.clock.now_us() < end_us:
            arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue(queue).waiting.append(arrived)
            expiries = [held.locked_until_us for held in self._queue(queue).held.values()]
            until_us = min([end_us, *expiries])
            timer = asyncio.ensure_future(self.clock.sleep((until_us - self.clock.now_us()) / US_PER_S))
            await asyncio.wait({arrived, timer}, return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            arrived.cancel()
        return self.deliverable(queue) > 0

    def take(self, queue: str, max_messages: int) -> list[BusMessage]:
        """Lock the first `max_messages` free messages in the order of the queue."""
        self._expire(queue)
        free = [held for held in self._queue(queue).held.values() if held.lock_token is None]
        taken = sorted(free, key=lambda held: held.sequence_number)[:max_messages]
        for held in taken:
            self._tokens += 1
            held.lock_token = self._tokens
            held.locked_until_us = self.clock.now_us() + self._lock_us
            self.counts["deliveries"] += 1
            self.counts["redeliveries"] += held.deliveries_failed > 0
        return [
            BusMessage(
                body=held.body,
                sequence_number=held.sequence_number,
                delivery_count=held.deliveries_failed,
                enqueued_at_us=held.enqueued_at_us,
                locked_until_us=held.locked_until_us,
                token=held.lock_token,
            )
            for held in taken
        ]

    def complete(self, queue: str, message: BusMessage) -> None:
        """The message is gone for good."""
        del self._queue(queue).held[self._locked(queue, message).sequence_number]
        self.counts["completed"] += 1

    def abandon(self, queue: str, message: BusMessage) -> None:
        """The message is free again at its old place, one failed delivery more."""
        self._give_back(queue, self._locked(queue, message))
        self.counts["abandoned"] += 1

    def dead_letter(self, queue: str, message: BusMessage, reason: str, description: str) -> None:
        """The message moves to the dead letters."""
        self._bury(queue, self._locked(queue, message), reason, description)
        self.counts["dead_lettered"] += 1

    def renew_lock(self, queue: str, message: BusMessage) -> int:
        """A full lock duration from now; returns its end."""
        held = self._locked(queue, message)
        held.locked_until_us = self.clock.now_us() + self._lock_us
        self.counts["renewed"] += 1
        return held.locked_until_us

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue())

    def _locked(self, queue: str, message: BusMessage) -> _Held:
        self._expire(queue)
        held = self._queue(queue).held.get(message.sequence_number)
        if held is None or held.lock_token != message.token:
            self.counts["locks_lost"] += 1
            raise LockLost(f"message {message.sequence_number} of {queue} is not locked by this receiver any more")
        return held

    def _expire(self, queue: str) -> None:
        now_us = self.clock.now_us()
        for held in list(self._queue(queue).held.values()):
            if held.lock_token is not None and held.locked_until_us <= now_us:
                self.counts["locks_expired"] += 1
                self._give_back(queue, held)

    def _give_back(self, queue: str, held: _Held) -> None:
        held.lock_token = None
        held.deliveries_failed += 1
        if held.deliveries_failed >= self._deliveries_max:
            self.counts["deliveries_exceeded"] += 1
            text = f"not settled within {self._deliveries_max} deliveries"
            self._bury(queue, held, "MaxDeliveryCountExceeded", text)
        else:
            self._queue(queue).wake()

    def _bury(self, queue: str, held: _Held, reason: str, description: str) -> None:
        of = self._queue(queue)
        del of.held[held.sequence_number]
        of.dead.append(DeadLetter(queue, held.body, held.sequence_number, held.deliveries_failed, reason, description))


class ModelSource:
    """One receiver. What it locked stays locked to its expiry when it is closed, as with a connection that died."""

    def __init__(self, broker: ModelBroker, queue: str, chaos: Chaos, chance: random.Random) -> None:
        self._broker = broker
        self.queue = queue
        self._chaos = chaos
        self._chance = chance
        self._open = True

    async def receive(self, max_messages: int, wait_s: float) -> list[BusMessage]:
        self._reach()
        self._fail_sometimes(self._chaos.receive_error, "receive_errors")
        await self.wait(wait_s)
        self._reach()
        messages = self._broker.take(self.queue, max_messages)
        if messages:
            self._fail_sometimes(self._chaos.lost_delivery, "lost_deliveries")
        return messages

    async def wait(self, wait_s: float) -> bool:
        """Until there is something to receive, at most `wait_s`; returns whether there is."""
        return await self._broker.something_to_deliver(self.queue, wait_s)

    async def complete(self, message: BusMessage) -> None:
        self._reach()
        self._fail_sometimes(self._chaos.lost_settle, "lost_settles")
        if self._bites(self._chaos.forgotten, "forgotten"):
            return
        self._broker.complete(self.queue, message)
        self._fail_sometimes(self._chaos.lost_answer, "lost_answers")

    async def abandon(self, message: BusMessage) -> None:
        self._reach()
        self._broker.abandon(self.queue, message)

    async def dead_letter(self, message: BusMessage, reason: str, description: str) -> None:
        self._reach()
        self._fail_sometimes(self._chaos.lost_settle, "lost_settles")
        self._broker.dead_letter(self.queue, message, reason, description)
        self._fail_sometimes(self._chaos.lost_answer, "lost_answers")

    async def renew_lock(self, message: BusMessage) -> int:
        self._reach()
        self._fail_sometimes(self._chaos.lost_settle, "lost_settles")
        return self._broker.renew_lock(self.queue, message)

    async def close(self) -> None:
        self._open = False

    def _reach(self) -> None:
        if not self._open:
            raise BusUnavailable(f"the receiver of {self.queue} is closed")
        if not self._broker.running:
            raise BusUnavailable(f"nothing answers for {self.queue}")

    def _bites(self, probability: float, name: str) -> bool:
        if probability and self._chance.random() < probability:
            self._broker.counts[name] += 1
            return True
        return False

    def _fail_sometimes(self, probability: float, name: str) -> None:
        if self._bites(probability, name):
            raise BusUnavailable(f"the connection of {self.queue} died ({name})")
