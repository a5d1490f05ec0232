"""What one queue carries: how its bodies become parts for facilities, and how a part is handed over.

`BusReader` is the same for all queues; it is given a ReadingHandler or an EntityHandler.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import native
from engine.errors import InputRefused
from engine.facility.facility import AT_ONCE_BYTES_MAX
from engine.facility.port import Answer, Facilities, Share
from engine.messages import refuse_ahead
from engine.model import DeadLetter, EntityMessage


@dataclass(frozen=True, slots=True)
class Part:
    """What some messages of a received batch hold for one facility. `messages` are indices into the batch."""

    facility_id: str
    messages: tuple[int, ...]
    content: Any


@dataclass(frozen=True, slots=True)
class Refused:
    """A message none of which can be accepted."""

    message: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    parts: tuple[Part, ...]
    refused: tuple[Refused, ...]


class MessageHandler(Protocol):
    """The part of a reader that knows what its messages mean."""

    async def decode(self, bodies: Sequence[bytes], received_at_us: int) -> Decoded:
        """Parts in order of first appearance, and whole messages that are refused. Never raises for a body."""

    async def deliver(self, parts: Sequence[Part]) -> dict[str, Answer]:
        """Hand over parts in one go; those of one facility in their order, with one answer for all of them.

        The answer is by facility id.
        """


class ReadingHandler:
    """sensor-data: bodies straight to columns in native code, one share a facility."""

    def __init__(self, facilities: Facilities, *, future_s_max: float, executor: Executor | None = None) -> None:
        self._facilities = facilities
        self._future_s_max = future_s_max
        self._executor = executor

    async def decode(self, bodies: Sequence[bytes], received_at_us: int) -> Decoded:
        """One native call for all bodies; a little is decoded here and now, a change of threads costs more."""
        if sum(map(len, bodies)) <= AT_ONCE_BYTES_MAX:
            decoded = native.decode(bodies, received_at_us, self._future_s_max)
        else:
            loop = asyncio.get_running_loop()
            decoded = await loop.run_in_executor(
                self._executor, native.decode, bodies, received_at_us, self._future_s_max
            )
        sources = [tuple(int(index) for index in decoded.messages(i)) for i in range(len(decoded.facility_ids))]
        refused_rows = _by_facility(decoded, sources)
        parts = tuple(
            Part(facility_id, sources[i], Share(facility_id, (decoded.batch(i),), refused_rows.get(facility_id, ())))
            for i, facility_id in enumerate(decoded.facility_ids)
        )
        whole = (refusal for refusal in decoded.refused if refusal.row is None)
        return Decoded(parts, tuple(Refused(each.message, each.reason, each.detail) for each in whole))

    async def deliver(self, parts: Sequence[Part]) -> dict[str, Answer]:
        """One call to the facilities, with one share for each."""
        return await self._facilities.ingest([_joined(shares) for shares in _contents(parts).values()])


class EntityHandler:
    """The three entity queues: one object a message, applied in the order of the queue."""

    def __init__(self, facilities: Facilities, parse: Callable[[bytes], EntityMessage], *, future_s_max: float) -> None:
        self._facilities = facilities
        self._parse = parse
        self._future_s_max = future_s_max

    async def decode(self, bodies: Sequence[bytes], received_at_us: int) -> Decoded:
        """Messages of one facility become one part."""
        refused: list[Refused] = []
        found: dict[str, list[tuple[int, EntityMessage]]] = defaultdict(list)
        for index, body in enumerate(bodies):
            try:
                message = self._parse(body)
                refuse_ahead(message, received_at_us, self._future_s_max)
            except InputRefused as error:
                refused.append(Refused(index, error.reason, error.detail))
            else:
                found[message.facility_id].append((index, message))
        parts = [
            Part(facility_id, tuple(index for index, _ in held), tuple(message for _, message in held))
            for facility_id, held in found.items()
        ]
        return Decoded(tuple(parts), tuple(refused))

    async def deliver(self, parts: Sequence[Part]) -> dict[str, Answer]:
        """Facilities side by side, each message list in order."""
        lists = {facility_id: tuple(chain(*found)) for facility_id, found in _contents(parts).items()}
        answers = await asyncio.gather(*(self._facilities.apply(each, messages) for each, messages in lists.items()))
        return dict(zip(lists, answers, strict=True))


def _contents(parts: Sequence[Part]) -> dict[str, list[Any]]:
    """What the parts hold, by facility, in their order."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        found.setdefault(part.facility_id, []).append(part.content)
    return found


def _joined(shares: Sequence[Share]) -> Share:
    """Shares of one facility as one."""
    if len(shares) == 1:
        return shares[0]
    batches = tuple(batch for share in shares for batch in share.batches)
    return Share(shares[0].facility_id, batches, tuple(item for share in shares for item in share.refused))


def _by_facility(decoded: native.Decoded, sources: Sequence[tuple[int, ...]]) -> dict[str, tuple[DeadLetter, ...]]:
    """Bad rows of good bodies, each with a facility that its body has good rows for: its own, or the first by id.

    The body alone decides, so that a redelivery among other messages finds the row kept already.
    """
    rows = [refusal for refusal in decoded.refused if refusal.row is not None]
    if not rows:
        return {}
    homes: dict[int, set[str]] = defaultdict(set)
    for facility_id, indices in zip(decoded.facility_ids, sources, strict=True):
        for index in indices:
            homes[index].add(facility_id)
    found: dict[str, list[DeadLetter]] = defaultdict(list)
    for refusal in rows:
        home = homes[refusal.message]
        facility_id = refusal.facility_id if refusal.facility_id in home else min(home)
        found[facility_id].append(_letter_of_row(refusal, facility_id))
    return {facility_id: tuple(letters) for facility_id, letters in found.items()}


def _letter_of_row(refusal: native.Refusal, facility_id: str) -> DeadLetter:
    # As earlier versions told parked rows apart: what they parked is met again after an upgrade.
    identity = ("refused", facility_id, refusal.sensor_id, "None", refusal.body)
    return DeadLetter("row", "", refusal.reason, refusal.detail, refusal.body, facility_id, refusal.sensor_id, identity)
