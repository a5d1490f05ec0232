"""Finds out whether a message or something of ours is to blame when a part is rejected or kills its process.

A failure of ours must never dead-letter good data, so a message is condemned only when it failed three times, and other
input of the same facility went through in between; or, when there is no other input, when it has failed for
`ALONE_S` while the facility was well each time we asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from engine.bus.holding import Batch
from engine.bus.message_handlers import Part
from engine.clock import Clock
from engine.facility.port import Answer, Result

CRASHES_MIN: Final = 2
ALONE_S: Final = 90.0
AGAIN_S: Final = 1.0
BAD: Final = frozenset({Result.REJECTED, Result.CRASHED})

log = structlog.get_logger()


class Deliverer(Protocol):
    """What an inquiry asks of the one who delivers the batch (`BusReader`)."""

    @property
    def clock(self) -> Clock: ...

    async def hand_over(self, parts: Sequence[Part]) -> dict[str, Answer]:
        """Try these; the answer is by facility id."""

    async def part_of(self, batch: Batch, part: Part, messages: Sequence[int]) -> Part:
        """The share that some messages of a batch have in `part`."""

    async def probe(self, facility_id: str) -> bool:
        """Whether the facility itself is well."""

    def finish(self, batch: Batch, part: Part) -> None:
        """The part's effects are durable."""


class Blame:
    """The inquiry into one received batch. `remaining` is asked after each failure of a part."""

    def __init__(self, reader: Deliverer, batch: Batch) -> None:
        self._reader = reader
        self._batch = batch
        self._failures: dict[str, int] = {}
        self._first_s: dict[str, float] = {}
        self._spoken_for: set[str] = set()  # facilities for which something else of the batch went through since

    async def remaining(self, part: Part, answer: Answer) -> Part | None:
        """What is to be tried again; None when all of the part is taken in or condemned."""
        if answer.result not in BAD or not await self._inquire(part, answer):
            return part
        left = self._open(part)
        return await self._reader.part_of(self._batch, part, left) if left else None

    async def _inquire(self, part: Part, answer: Answer) -> bool:
        """Whether anything of the part may have been settled."""
        facility_id = part.facility_id
        self._first_s.setdefault(facility_id, self._reader.clock.monotonic_s())
        if not await self._reader.probe(facility_id):
            return False
        self._failures[facility_id] = self._failures.get(facility_id, 0) + 1
        if answer.result is Result.CRASHED and self._failures[facility_id] < CRASHES_MIN:
            return False
        await self._isolate(part)
        return True

    async def _isolate(self, part: Part) -> None:
        """Halve, in order, until the bad messages stand alone; what goes through speaks for the facility."""
        suspects: list[int] = []
        groups = deque(_halves(self._open(part)))
        while groups:
            group = groups.popleft()
            result = (await self._try(part, group)).result
            if result is Result.DONE:
                continue
            if result not in BAD:  # not now: going on from here, or a process that pauses between deaths is never done
                groups.appendleft(group)
                await self._reader.clock.sleep(AGAIN_S)
            elif len(group) == 1:
                suspects += group
            else:
                groups.extendleft(reversed(_halves(group)))
        alone_s = self._reader.clock.monotonic_s() - self._first_s[part.facility_id]
        if part.facility_id in self._spoken_for or alone_s >= ALONE_S:
            await self._judge(part, suspects)

    async def _judge(self, part: Part, suspects: Sequence[int]) -> None:
        """The last try of each suspect, now that the facility is known to be well."""
        for message in suspects:
            answer = await self._try(part, [message])
            if answer.result in BAD and await self._reader.probe(part.facility_id):
                self._condemn(part, message, answer)
            elif answer.result is not Result.DONE:
                return

    async def _try(self, part: Part, messages: Sequence[int]) -> Answer:
        """Hand over what these messages hold for the facility."""
        smaller = await self._reader.part_of(self._batch, part, messages)
        answer = (await self._reader.hand_over([smaller]))[part.facility_id]
        if answer.result is Result.DONE:
            self._spoken_for.add(part.facility_id)
            self._reader.finish(self._batch, smaller)
        elif answer.result is Result.CRASHED and not await self._reader.probe(part.facility_id):
            return Answer(Result.UNAVAILABLE, answer.reason)
        return answer

    def _open(self, part: Part) -> list[int]:
        return [index for index in part.messages if part.facility_id in self._batch.held[index].open]

    def _condemn(self, part: Part, message: int, answer: Answer) -> None:
        held = self._batch.held[message]
        reason = "poisoned" if answer.result is Result.CRASHED else "rejected"
        log.error("message_condemned", facility_id=part.facility_id, reason=reason, detail=answer.reason)
        held.refuse(reason, answer.reason)
        self._reader.finish(self._batch, Part(part.facility_id, (message,), None))


def _halves(messages: Sequence[int]) -> list[Sequence[int]]:
    middle = len(messages) // 2
    return [half for half in (messages[:middle], messages[middle:]) if half]
