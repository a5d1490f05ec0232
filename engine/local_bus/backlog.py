"""The messages of one queue that nobody holds, in order, in memory only as far as they are needed soon.

A message that came back (abandoned, lock expired, scheduled time reached) and the tail of a long queue are in the store
only; they are read back when somebody wants them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from engine.local_bus.message import Content
from engine.local_bus.store import Row, Store, active_after, numbered

REFILL_MESSAGES_MAX = 1_000
REFILL_BYTES_MAX = 8 * 1024 * 1024


class Message(NamedTuple):
    """A message with its body; `state` is the one it is stored with."""

    sequence_number: int
    enqueued_us: int
    delivery_count: int
    state: int
    content: Content

    @classmethod
    def of(cls, row: Row) -> Message:
        return cls(row.sequence_number, max(row.enqueued_us, row.due_us), row.delivery_count, row.state, row.content)


class Backlog:
    """`on_ready` is called when messages have been read back."""

    def __init__(
        self, queue: int, store: Store, bytes_max: int, messages_max: int, on_ready: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._store = store
        self._bytes_max = bytes_max
        self._messages_max = messages_max
        self._on_ready = on_ready
        self._ready: deque[Message] = deque()
        self._ready_bytes = 0
        self._returned: list[int] = []  # heap of sequence numbers
        self._tail_after = 0  # active messages behind this one are in the store only: _tail_count of them
        self._tail_count = 0
        self._reading: asyncio.Task[None] | None = None
        self._reading_count = 0

    def restore(self, active_count: int) -> None:
        """All of what the store held at start is tail."""
        self._tail_count = active_count

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    def __len__(self) -> int:
        return len(self._ready) + len(self._returned) + self._tail_count + self._reading_count

    @property
    def ready_count(self) -> int:
        """How many can be popped now; none while a message that came back is due before them and not read yet."""
        return 0 if self._returned or self._reading_count else len(self._ready)

    def append(self, row: Row) -> None:
        """A message that has just been stored."""
        if self._tail_count or self._ready_bytes >= self._bytes_max or len(self._ready) >= self._messages_max:
            if not self._tail_count:
                self._tail_after = row.sequence_number - 1
            self._tail_count += 1
            return
        message = Message.of(row)
        self._ready.append(message)
        self._ready_bytes += message.content.size

    def give_back(self, sequence_numbers: Iterable[int]) -> None:
        for sequence_number in sequence_numbers:
            heapq.heappush(self._returned, sequence_number)

    def pop(self, count: int) -> list[Message]:
        messages = [self._ready.popleft() for _ in range(count)]
        self._ready_bytes -= sum(message.content.size for message in messages)
        return messages

    def refill(self) -> None:
        """Start reading for somebody who waits: what came back first, then the tail."""
        if self._reading is not None:
            return
        if self._returned:
            count = min(len(self._returned), REFILL_MESSAGES_MAX)
            numbers = [heapq.heappop(self._returned) for _ in range(count)]
            self._reading_count = count
            self._reading = asyncio.create_task(self._read(numbers))
        elif self._tail_count:
            self._reading = asyncio.create_task(self._read(None))

    async def _read(self, returned: list[int] | None) -> None:
        """No message can become stored between SQLite's answer and its use here, so counts and order stay true."""
        try:
            if returned is not None:
                await self._read_returned(returned)
            else:
                await self._read_tail()
        finally:
            self._reading = None
            self._reading_count = 0
        self._on_ready()

    async def _read_returned(self, numbers: list[int]) -> None:
        try:
            rows = await self._store.read(numbered(numbers, REFILL_BYTES_MAX))
        except BaseException:
            self.give_back(numbers)
            raise
        self.give_back(numbers[len(rows) :])
        self._ready.extendleft(Message.of(row) for row in reversed(rows))
        self._ready_bytes += sum(row.content.size for row in rows)

    async def _read_tail(self) -> None:
        question = active_after(self._queue, self._tail_after, REFILL_MESSAGES_MAX, REFILL_BYTES_MAX)
        rows = await self._store.read(question)
        assert rows, f"{self._tail_count} messages are missing behind {self._tail_after}"
        self._tail_after = rows[-1].sequence_number
        self._tail_count -= len(rows)
        self._ready.extend(Message.of(row) for row in rows)
        self._ready_bytes += sum(row.content.size for row in rows)
