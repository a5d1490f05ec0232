"""What was set aside and Admins send through the engine again, as a source that a reader takes messages from.

To the reader it is a queue like the others, so that a redriven message is decoded, delivered, tried again and refused
exactly as one of the bus. The table is the queue (docs/decisions/0110): whoever takes a row twice, after a death, ends
it once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Final

import native
from engine.bus.message_handlers import MessageHandler
from engine.bus.reader import BusReader
from engine.bus.source import BusMessage
from engine.clock import US_PER_S, Clock
from engine.errors import BusUnavailable, InputRefused, StoreUnavailable
from engine.facility.port import Facilities
from engine.historian.port import RedrivesPort
from engine.messages import activation_of, deactivation_of, setup_of
from engine.metrics import Metrics
from engine.model import DeadLetter, EntityMessage, FacilitySetup, Redrive, Subject

LOOK_S: Final = 1.0
AT_ONCE_MAX: Final = 50
LOCKED_US: Final = 3_600 * US_PER_S
PARSERS: Final[dict[str, Callable[[bytes], EntityMessage]]] = {
    "setup": setup_of,
    "activation": activation_of,
    "deactivation": deactivation_of,
}


class NoLetters:
    """KeepsDeadLetters of a redrive: what is refused is the dead letter that it was, and no new one."""

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """The source puts it back."""


class RedrivenSource:
    """BusSource of the rows of one `kind`: setup, activation, deactivation or data."""

    def __init__(self, kind: str, redrives: RedrivesPort, clock: Clock) -> None:
        self._kind = kind
        self._redrives = redrives
        self._clock = clock
        self._under_way: set[int] = set()

    async def receive(self, max_messages: int, wait_s: float) -> list[BusMessage]:
        """Looks at once, and again after a while when there was nothing."""
        found = await self._waiting(max_messages)
        if not found:
            await self._clock.sleep(min(wait_s, LOOK_S))
        return found

    async def complete(self, message: BusMessage) -> None:
        """It was taken in; what became of it is written down."""
        try:
            await self._redrives.end_redrive(message.sequence_number, _subject(self._kind, message.body))
        except StoreUnavailable as error:
            raise BusUnavailable(str(error)) from error
        finally:
            self._under_way.discard(message.sequence_number)

    async def abandon(self, message: BusMessage) -> None:
        """It waits in its table as before."""
        self._under_way.discard(message.sequence_number)

    async def dead_letter(self, message: BusMessage, reason: str, description: str) -> None:
        """Back to where it was."""
        try:
            await self._redrives.refuse_redrive(message.sequence_number, reason, description)
        except StoreUnavailable as error:
            raise BusUnavailable(str(error)) from error
        finally:
            self._under_way.discard(message.sequence_number)

    async def renew_lock(self, message: BusMessage) -> int:
        """Nobody else takes it: there is one intake."""
        return self._clock.now_us() + LOCKED_US

    async def close(self) -> None:
        """Nothing is open."""

    async def _waiting(self, at_most: int) -> list[BusMessage]:
        try:
            rows = await self._redrives.waiting_redrives(self._kind, sorted(self._under_way), at_most)
        except StoreUnavailable as error:
            raise BusUnavailable(str(error)) from error
        self._under_way |= {row.id for row in rows}
        until_us = self._clock.now_us() + LOCKED_US
        return [BusMessage(_completed(row), row.id, 0, row.asked_at_us, until_us, None) for row in rows]


def redriving_reader(
    kind: str,
    handler: MessageHandler,
    facilities: Facilities,
    redrives: RedrivesPort,
    *,
    clock: Clock,
    metrics: Metrics,
) -> BusReader:
    """Reads the rows of one kind, beside the reader of the bus's queue of that kind."""
    source = RedrivenSource(kind, redrives, clock)
    return BusReader(
        f"redriven {kind}",
        source,
        handler,
        facilities,
        NoLetters(),
        clock=clock,
        metrics=metrics,
        messages_max=AT_ONCE_MAX,
    )


def _completed(row: Redrive) -> bytes:
    """A reading of before the retention was kept without its facility, which the row knows."""
    if not (row.facility_id and row.sensor_id):
        return row.body
    try:
        fields = json.loads(row.body)
    except ValueError:
        return row.body
    if not isinstance(fields, dict) or "facility_id" in fields:
        return row.body
    return json.dumps({**fields, "facility_id": row.facility_id}, ensure_ascii=False).encode()


def _subject(kind: str, body: bytes) -> Subject | None:
    """What a body of one row is about; None: of many."""
    if kind != "data":
        try:
            message = PARSERS[kind](body)
        except InputRefused:
            return None
        sensor_id = "" if isinstance(message, FacilitySetup) else message.sensor_id
        return Subject(message.facility_id, sensor_id, message.tracked_at_us)
    decoded = native.decode([body], 0, math.inf)
    rows = [row for place in range(len(decoded.facility_ids)) for row in native.batch_rows(decoded.batch(place))]
    if len(rows) != 1 or decoded.refused:
        return None
    return Subject(rows[0]["facility_id"], rows[0]["sensor_id"], rows[0]["tracked_at_us"])
