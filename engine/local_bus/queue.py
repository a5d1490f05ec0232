"""What a queue does with its messages: peek-lock, delivery count, dead letters, deferring, scheduling.

Every change is written before it is answered: `done` is called once it is on disk.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from engine.clock import US_PER_S, Clock
from engine.local_bus.alarm import Alarm
from engine.local_bus.backlog import Backlog, Message
from engine.local_bus.errors import ARGUMENT_ERROR, LIMIT_EXCEEDED, MESSAGE_NOT_FOUND, AmqpError
from engine.local_bus.locks import Delivery, Lock, Locks, fresh_tokens
from engine.local_bus.message import Content, with_annotation, with_application_properties
from engine.local_bus.store import BusStoreError, Done, Row, State, Store, StoredQueue, browse, numbered

TURN_MESSAGES_MAX = 64
BROWSE_MESSAGES_MAX = 250
DUE_LOOK_S_MAX = 60.0  # scheduled times are wall time, which may be set while we wait
BROWSE_BYTES_MAX = 256 * 1024
DEFERRED_BYTES_MAX = 4 * 1024 * 1024
CONSUMERS_MAX = 1_000
REASON_CHARACTERS_MAX = 4_096  # Azure's own
CANCELLED_MAX = 1_000


@dataclass(frozen=True)
class Rules:
    """Azure's own limits unless a test says otherwise; the memory is each queue's."""

    lock_s: float = 60.0
    deliveries_max: int = 10
    memory_bytes_max: int = 64 * 1024 * 1024
    memory_messages_max: int = 50_000


class Consumer(Protocol):
    """A receiving link."""

    @property
    def peek_lock(self) -> bool: ...

    def wants(self) -> int:
        """How many messages it can take right now."""

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Never more than it wants."""


class Counts(NamedTuple):
    active: int
    locked: int
    deferred: int
    scheduled: int
    dead_lettered: int


class Queue:
    """One queue, or the dead letters of one (then it has none of its own)."""

    def __init__(
        self,
        name: str,
        dead_letters: Queue | None,
        *,
        number: int,
        store: Store,
        clock: Clock,
        rules: Rules,
        sequence: Iterator[int],
    ) -> None:
        self.name = name
        self.dead_letters = dead_letters
        self._number = number
        self._store = store
        self._clock = clock
        self._rules = rules
        self._sequence = sequence
        self._backlog = Backlog(number, store, rules.memory_bytes_max, rules.memory_messages_max, self.wake)
        self._locks = Locks(clock, rules.lock_s, self._expired)
        self._deferred: dict[int, int] = {}  # sequence number: delivery count
        self._scheduled: dict[int, int] = {}  # sequence number: due_us
        self._due: list[tuple[int, int]] = []  # heap of (due_us, sequence number), cancelled ones included
        self._due_alarm = Alarm(clock, self._activate_due)
        self._consumers: deque[Consumer] = deque()
        self._dispatch_due = False
        self._moves: set[asyncio.Task[None]] = set()

    def restore(self, stored: StoredQueue) -> None:
        """Take up what the store held at start."""
        self._backlog.restore(stored.active)
        for message in stored.inactive:
            if message.state == State.DEFERRED:
                self._deferred[message.sequence_number] = message.delivery_count
            else:
                self._schedule(message.sequence_number, message.due_us)

    def close(self) -> None:
        """Stop all timers and readers; what was submitted to the store is still written."""
        self._locks.close()
        self._due_alarm.cancel()
        self._backlog.close()

    async def finish_moves(self) -> None:
        """Wait for dead-lettering under way."""
        while self._moves:
            await asyncio.wait(self._moves)

    @property
    def counts(self) -> Counts:
        dead_lettered = sum(self.dead_letters.counts[:2]) if self.dead_letters else 0
        active = len(self._backlog) + len(self._moves)
        return Counts(active, len(self._locks), len(self._deferred), len(self._scheduled), dead_lettered)

    # In

    def put(self, contents: Sequence[Content], done: Done) -> list[int]:
        """Store all of them or none; they can be received once they are stored. Returns their sequence numbers."""
        now_us = self._clock.now_us()
        rows = [self._row(content, now_us) for content in contents]
        self._store.submit(partial(self._stored, rows, done), insert=rows)
        return [row.sequence_number for row in rows]

    def _row(self, content: Content, now_us: int) -> Row:
        due_us = (content.scheduled_ms or 0) * 1_000
        later = due_us > now_us
        return Row(
            next(self._sequence),
            self._number,
            State.SCHEDULED.value if later else State.ACTIVE.value,
            0,
            now_us,
            due_us if later else 0,
            content.ttl_ms,
            content.annotation_items,
            content.annotations,
            content.sections,
        )

    def _stored(self, rows: list[Row], done: Done, error: BusStoreError | None) -> None:
        if error is None:
            for row in rows:
                if row.due_us:
                    self._schedule(row.sequence_number, row.due_us)
                else:
                    self._backlog.append(row)
            self.wake()
        done(error)

    # Scheduled

    def cancel_scheduled(self, sequence_numbers: Sequence[int], done: Done) -> None:
        for number in sequence_numbers:
            if number not in self._scheduled:
                raise AmqpError(MESSAGE_NOT_FOUND, f"no scheduled message has sequence number {number}")
        for number in sequence_numbers:
            self._scheduled.pop(number, None)
        self._forget_cancelled()
        self._store.submit(done, delete=sequence_numbers)

    def _forget_cancelled(self) -> None:
        """Those that were cancelled stay in the heap until their time, which may be in the year 9999."""
        if len(self._due) > 2 * len(self._scheduled) + CANCELLED_MAX:
            self._due = [(due_us, number) for number, due_us in self._scheduled.items()]
            heapq.heapify(self._due)

    def _schedule(self, sequence_number: int, due_us: int) -> None:
        self._scheduled[sequence_number] = due_us
        heapq.heappush(self._due, (due_us, sequence_number))
        self._set_due_alarm()

    def _set_due_alarm(self) -> None:
        if self._due:
            wait_s = (self._due[0][0] - self._clock.now_us()) / US_PER_S
            self._due_alarm.set(self._clock.monotonic_s() + min(max(wait_s, 0.001), DUE_LOOK_S_MAX))

    def _activate_due(self) -> None:
        now_us = self._clock.now_us()
        while self._due and self._due[0][0] <= now_us:
            _, number = heapq.heappop(self._due)
            if self._scheduled.pop(number, None) is not None:
                self._backlog.give_back([number])
        self._set_due_alarm()
        self.wake()

    # Out

    def attach(self, consumer: Consumer) -> None:
        """AmqpError when there are too many; each costs a look for every message that is handed out."""
        if len(self._consumers) >= CONSUMERS_MAX:
            raise AmqpError(LIMIT_EXCEEDED, f"{CONSUMERS_MAX} receivers are attached to '{self.name}'")
        self._consumers.append(consumer)

    def detach(self, consumer: Consumer) -> None:
        """What the consumer holds stays locked until its locks expire."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def wake(self) -> None:
        """Dispatch soon, once for all that happens in this turn of the event loop."""
        if self._consumers and not self._dispatch_due:
            self._dispatch_due = True
            asyncio.get_running_loop().call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Hand ready messages to those who want some, in turns."""
        self._dispatch_due = False
        consumer = self._next_consumer()
        while consumer is not None and self._backlog.ready_count:
            messages = self._backlog.pop(min(consumer.wants(), TURN_MESSAGES_MAX, self._backlog.ready_count))
            if consumer.peek_lock:
                consumer.deliver(self._locks.take(messages))
            else:
                self._give_for_good(consumer, messages)
            consumer = self._next_consumer()
        if consumer is not None:
            self._backlog.refill()

    def _next_consumer(self) -> Consumer | None:
        for _ in range(len(self._consumers)):
            self._consumers.rotate(-1)
            if self._consumers[-1].wants() > 0:
                return self._consumers[-1]
        return None

    def _give_for_good(self, consumer: Consumer, messages: list[Message]) -> None:
        """Receive and delete: a kill within the next few milliseconds brings them again."""
        tokens = fresh_tokens(len(messages))
        consumer.deliver([Delivery(message, token, None) for message, token in zip(messages, tokens, strict=True)])
        self._store.submit(_unheard, delete=[message.sequence_number for message in messages])

    async def receive_deferred(self, sequence_numbers: Sequence[int], peek_lock: bool) -> list[Delivery]:
        """Lock (or take for good) messages that were deferred; AmqpError when one of them is not."""
        for number in sequence_numbers:
            if number not in self._deferred:
                raise AmqpError(MESSAGE_NOT_FOUND, f"no deferred message has sequence number {number}")
        counts = {number: self._deferred.pop(number) for number in sequence_numbers}
        try:
            rows = await self._store.read(numbered(sequence_numbers, DEFERRED_BYTES_MAX))
            if len(rows) < len(counts):
                too_many = f"{len(counts)} messages are more than {DEFERRED_BYTES_MAX} bytes; ask for some at a time"
                raise AmqpError(ARGUMENT_ERROR, too_many)
        except BaseException:
            self._deferred.update(counts)
            raise
        messages = [Message.of(row) for row in rows]
        if peek_lock:
            return self._locks.take(messages)
        await self._written(partial(self._store.submit, delete=sequence_numbers))
        tokens = fresh_tokens(len(messages))
        return [Delivery(message, token, None) for message, token in zip(messages, tokens, strict=True)]

    async def peek(self, from_sequence_number: int, count: int) -> list[tuple[Message, int]]:
        """Messages in any state from a sequence number on, each with its state; nothing is locked."""
        question = browse(self._number, from_sequence_number, min(count, BROWSE_MESSAGES_MAX), BROWSE_BYTES_MAX)
        rows = await self._store.read(question)
        return [(Message.of(row), self._state_now(row)) for row in rows]

    def _state_now(self, row: Row) -> int:
        """A scheduled message is stored as such to its end; once its time has come it is active."""
        due = row.state == State.SCHEDULED and row.sequence_number not in self._scheduled
        return State.ACTIVE.value if due else row.state

    # Settled

    def renew(self, token: bytes) -> int:
        return self._locks.renew(token)

    def complete(self, token: bytes, done: Done) -> None:
        lock = self._locks.give_up(token)
        self._store.submit(partial(self._deleted, token, lock, done), delete=(lock.sequence_number,))

    def _deleted(self, token: bytes, lock: Lock, done: Done, error: BusStoreError | None) -> None:
        """What could not be deleted stays locked: handed out again at once, it would come round and round."""
        if error is not None:
            self._locks.restore(token, lock)
        done(error)

    def release(self, token: bytes, done: Done) -> None:
        """Back to the queue as if it had never been handed out."""
        self._return(self._locks.give_up(token))
        done(None)

    def abandon(self, token: bytes, done: Done) -> None:
        self._failed(self._locks.give_up(token), done)

    def defer(self, token: bytes, done: Done) -> None:
        """Set aside: only `receive_deferred` finds it."""
        lock = self._locks.give_up(token)
        lock.state = State.DEFERRED.value
        self._return(lock)
        self._store.submit(done, update=((lock.sequence_number, lock.state, lock.delivery_count),))

    def dead_letter(self, token: bytes, reason: str | None, description: str | None, done: Done) -> None:
        if self.dead_letters is None:
            raise AmqpError(MESSAGE_NOT_FOUND, "a dead letter cannot be dead-lettered again")
        self._move(self._locks.give_up(token), reason, description, done)

    def _expired(self, locks: list[Lock]) -> None:
        for lock in locks:
            self._failed(lock, _unheard)

    def _failed(self, lock: Lock, done: Done) -> None:
        lock.delivery_count += 1
        if self.dead_letters is not None and lock.delivery_count >= self._rules.deliveries_max:
            description = f"Message could not be consumed after {lock.delivery_count} delivery attempts."
            self._move(lock, "MaxDeliveryCountExceeded", description, done)
            return
        self._return(lock)
        self._store.submit(done, update=((lock.sequence_number, lock.state, lock.delivery_count),))

    def _return(self, lock: Lock) -> None:
        if lock.state == State.DEFERRED:
            self._deferred[lock.sequence_number] = lock.delivery_count
            return
        self._backlog.give_back([lock.sequence_number])
        self.wake()

    def _move(self, lock: Lock, reason: str | None, description: str | None, done: Done) -> None:
        move = asyncio.create_task(self._move_to_dead_letters(lock, reason, description, done))
        self._moves.add(move)
        move.add_done_callback(self._moves.discard)

    async def _move_to_dead_letters(self, lock: Lock, reason: str | None, description: str | None, done: Done) -> None:
        target = self.dead_letters
        assert target is not None

        def finish(error: BusStoreError | None) -> None:
            if error is not None:
                self._return(lock)
            done(error)

        try:
            (row,) = await self._store.read(numbered((lock.sequence_number,)))
        except BusStoreError as error:
            finish(error)
            return
        content = _as_dead_letter(row.content, self.name, reason, description)
        moved = row._replace(
            sequence_number=next(self._sequence),
            queue=target._number,
            state=State.ACTIVE.value,
            due_us=0,
            delivery_count=lock.delivery_count,
            annotation_items=content.annotation_items,
            annotations=content.annotations,
            sections=content.sections,
        )
        stored = partial(target._stored, [moved], finish)
        self._store.submit(stored, insert=(moved,), delete=(lock.sequence_number,))

    async def _written(self, submit: partial[None]) -> None:
        """Wait until a submission is on disk; raises BusStoreError when it cannot be."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BusStoreError | None) -> None:
            if written.cancelled():
                return
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

        submit(done)
        await written


def _as_dead_letter(content: Content, source: str, reason: str | None, description: str | None) -> Content:
    explained = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
    content = with_application_properties(
        content, {name: text[:REASON_CHARACTERS_MAX] for name, text in explained.items() if text is not None}
    )
    return with_annotation(content, "x-opt-deadletter-source", source)


def _unheard(error: BusStoreError | None) -> None:
    """Nobody waits for this write; a failing store has said so to whoever did wait."""
