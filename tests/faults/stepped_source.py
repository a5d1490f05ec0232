"""A receiver of the model broker whose every call is a step of the scheduler."""

from __future__ import annotations

from engine.bus.source import BusMessage
from tests.fakes.broker import ModelSource
from tests.faults.scheduler import Process


class SteppedSource:
    """`BusSource` of one process."""

    def __init__(self, process: Process, source: ModelSource) -> None:
        self._process = process
        self._source = source

    async def receive(self, max_messages: int, wait_s: float) -> list[BusMessage]:
        """Waits for a message in the run's time; then the delivery is a step of its own."""
        if not await self._source.wait(wait_s):
            return []
        return await self._process.scheduler.call(
            self._process,
            f"receives {max_messages} of {self._source.queue}",
            lambda: self._source.receive(max_messages, 0),
        )

    async def complete(self, message: BusMessage) -> None:
        await self._process.scheduler.call(
            self._process, f"completes {message.sequence_number}", lambda: self._source.complete(message)
        )

    async def abandon(self, message: BusMessage) -> None:
        await self._process.scheduler.call(
            self._process, f"abandons {message.sequence_number}", lambda: self._source.abandon(message)
        )

    async def dead_letter(self, message: BusMessage, reason: str, description: str) -> None:
        await self._process.scheduler.call(
            self._process,
            f"dead-letters {message.sequence_number} ({reason})",
            lambda: self._source.dead_letter(message, reason, description),
        )

    async def renew_lock(self, message: BusMessage) -> int:
        return await self._process.scheduler.call(
            self._process, f"renews {message.sequence_number}", lambda: self._source.renew_lock(message)
        )

    async def close(self) -> None:
        await self._source.close()
