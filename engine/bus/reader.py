"""Takes messages from one queue to the facilities: receive -> decode -> route -> ingest -> settle.

Receiving, ingesting and settling overlap, but a facility never has two parts in flight: parts wait in lanes, one a
process of facilities. A message is completed once everything in it is committed (or parked), and not before.

When something of ours fails, the reader keeps what it holds: it renews the locks, tries the same part again in order
with back-off, and receives no more than its window. It gives messages back only at shutdown. A message that nothing of
ours can be blamed for (see `engine.bus.blame`) is dead-lettered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from engine.bus.blame import Blame
from engine.bus.holding import Batch, Held, Holding, KeepsDeadLetters
from engine.bus.message_handlers import MessageHandler, Part
from engine.bus.source import BusMessage, BusSource
from engine.clock import US_PER_S, Clock
from engine.errors import BusUnavailable
from engine.facility.port import Answer, Facilities, Result
from engine.faultpoints import reached
from engine.metrics import REDELIVERIES, Metrics

RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 1.0
RECONNECT_S_MIN: Final = 0.5
RECONNECT_S_MAX: Final = 2.0
WAIT_SLICE_S: Final = 1.0  # a receive is asked to return this often, so that a stop is quick and the watermark fresh
STOP_GRACE_S: Final = 5.0

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Lane:
    """Parts for one process, in order; the worker lives while there are any."""

    waiting: deque[tuple[Batch, list[Part]]] = field(default_factory=deque)
    worker: asyncio.Task[None] | None = None


class BusReader:
    """The one reader of `queue`; `handler` knows what its messages mean, `letters` keeps those that mean nothing."""

    def __init__(
        self,
        queue: str,
        source: BusSource,
        handler: MessageHandler,
        facilities: Facilities,
        letters: KeepsDeadLetters,
        *,
        clock: Clock,
        metrics: Metrics,
        messages_max: int = 500,
        wait_s: float = WAIT_SLICE_S,
    ) -> None:
        self.queue = queue
        self._source = source
        self._handler = handler
        self._facilities = facilities
        self._clock = clock
        self._metrics = metrics
        self._wait_s = min(wait_s, WAIT_SLICE_S)
        self._window = 2 * messages_max
        self._messages_max = messages_max
        self._holding = Holding(queue, source, letters, clock, metrics)
        self._lanes: dict[str, _Lane] = {}
        self._lane_of: dict[str, tuple[str, int]] = {}  # facility -> (lane, parts in it)
        self._failing: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self._room = asyncio.Event()
        self._read_to_us: int | None = None
        self._received_at_s: float | None = None
        self._error: str | None = None
        self._bug: BaseException | None = None

    async def run(self) -> None:
        """Read until `stop`. Returns when everything held is settled or given back; raises what a lane died of."""
        keeper = asyncio.create_task(self._holding.keep_locks())
        try:
            while not self._stopping.is_set():
                await self._wait_for_room()
                messages = await self._receive()
                if messages:
                    await self._accept(messages)
        finally:
            await self._wind_up()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._source.close()
        if self._bug is not None:
            raise self._bug

    def stop(self) -> None:
        """Receive no more; `run` finishes what it can within a few seconds and gives the rest back."""
        self._stopping.set()
        self._room.set()

    def watermark_us(self) -> int | None:
        """The time up to which the queue has been read and taken in; None before the first receive.

        It stands still while something received is not committed, and while nothing can be received.
        """
        if self._read_to_us is None:
            return None
        oldest_us = self._holding.oldest_open_us()
        return self._read_to_us if oldest_us is None else min(oldest_us, self._read_to_us)

    def status(self) -> dict[str, Any]:
        """For people (`engine.diagnosis` says it in words): is it connected, what does it hold, what is wrong."""
        now_s = self._clock.monotonic_s()
        age_s = None if self._received_at_s is None else round(now_s - self._received_at_s, 3)
        return {
            "connected": self._error is None and age_s is not None,
            "last_receive_age_s": age_s,
            "error": self._error,
            "held": len(self._holding),
            "held_s": self._held_s(),
            "full": len(self._holding) >= self._window,
            "unsettled": self._holding.unsettled,
            "failing": dict(self._failing),
        }

    def _held_s(self) -> float | None:
        """How long the oldest batch is here that is not wholly taken in."""
        oldest = [lane.waiting[0][0].received_at_us for lane in self._lanes.values() if lane.waiting]
        return round((self._clock.now_us() - min(oldest)) / US_PER_S, 3) if oldest else None

    async def _wait_for_room(self) -> None:
        while len(self._holding) >= self._window and not self._stopping.is_set():
            self._room.clear()
            await self._room.wait()

    async def _receive(self) -> list[BusMessage]:
        asked = min(self._messages_max, self._window - len(self._holding))
        retry_s = RECONNECT_S_MIN
        while not self._stopping.is_set():
            try:
                messages = await self._source.receive(asked, self._wait_s)
            except BusUnavailable as error:
                if self._error is None:
                    log.warning("bus_unavailable", queue=self.queue, error=str(error))
                self._error = str(error) or type(error).__name__
                await self._pause(retry_s)
                retry_s = min(2 * retry_s, RECONNECT_S_MAX)
                continue
            self._note_received(messages)
            return messages
        return []

    def _note_received(self, messages: Sequence[BusMessage]) -> None:
        if self._error is not None:
            log.info("bus_available_again", queue=self.queue)
        self._error = None
        self._received_at_s = self._clock.monotonic_s()
        now_us = self._clock.now_us()
        read_to_us = max(message.enqueued_at_us for message in messages) if messages else now_us
        self._read_to_us = max(self._read_to_us or 0, min(read_to_us, now_us))

    async def _accept(self, messages: Sequence[BusMessage]) -> None:
        """Decode a received batch and put its parts into their lanes."""
        received_at_us = self._clock.now_us()
        batch = Batch(self._holding.take(messages, received_at_us), received_at_us)
        self._metrics.add(REDELIVERIES, sum(message.delivery_count > 0 for message in messages), queue=self.queue)
        await reached("received")
        decoded = await self._handler.decode([message.body for message in messages], received_at_us)
        await reached("decoded")
        for part in decoded.parts:
            for index in part.messages:
                batch.held[index].open.add(part.facility_id)
        for refused in decoded.refused:
            batch.held[refused.message].refuse(refused.reason, refused.detail)
        self._settle(held for held in batch.held if not held.open)
        by_lane: dict[str, list[Part]] = {}
        for part in decoded.parts:
            by_lane.setdefault(self._lane_for(part.facility_id), []).append(part)
        for name, parts in by_lane.items():
            self._put(name, batch, parts)

    def _lane_for(self, facility_id: str) -> str:
        """Where the facility's earlier parts still are, else where it belongs: never two in flight."""
        name, parts = self._lane_of.get(facility_id) or (self._facilities.lane(facility_id), 0)
        self._lane_of[facility_id] = (name, parts + 1)
        return name

    def _put(self, name: str, batch: Batch, parts: list[Part]) -> None:
        lane = self._lanes.setdefault(name, _Lane())
        lane.waiting.append((batch, parts))
        if lane.worker is None:
            lane.worker = asyncio.create_task(self._work(name, lane))
            lane.worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        """A lane that died of a bug of ours must not stand still unseen: the reader ends, and whoever runs it knows."""
        if not worker.cancelled() and (bug := worker.exception()) is not None:
            self._bug = bug
            self.stop()

    async def _work(self, name: str, lane: _Lane) -> None:
        """Whatever waits goes together, until the lane is empty: the more is behind, the larger the commits."""
        while lane.waiting:
            group = self._next_group(lane)
            for batch, parts in group if len(group) == 1 else await self._deliver_together(group):
                await self._deliver(name, batch, parts)
            for _, parts in group:
                lane.waiting.popleft()
                self._leave_lane(parts)
        self._lanes.pop(name, None)

    def _next_group(self, lane: _Lane) -> list[tuple[Batch, list[Part]]]:
        """The oldest in the lane, no more messages than one receive may bring."""
        group: list[tuple[Batch, list[Part]]] = []
        messages = 0
        for batch, parts in lane.waiting:
            messages += sum(len(part.messages) for part in parts)
            if group and messages > self._messages_max:
                break
            group.append((batch, parts))
        return group

    def _leave_lane(self, parts: Sequence[Part]) -> None:
        for part in parts:
            lane_name, count = self._lane_of[part.facility_id]
            if count > 1:
                self._lane_of[part.facility_id] = (lane_name, count - 1)
            else:
                del self._lane_of[part.facility_id]

    async def _deliver_together(self, group: Sequence[tuple[Batch, list[Part]]]) -> list[tuple[Batch, list[Part]]]:
        """One try for all of them; what is left is for `_deliver`, one received batch at a time.

        So that whoever is to blame for a failure is looked for among the messages of one batch.
        """
        answers = await self.hand_over([part for _, parts in group for part in parts])
        left: list[tuple[Batch, list[Part]]] = []
        for batch, parts in group:
            for part in parts:
                if answers[part.facility_id].result is Result.DONE:
                    self.finish(batch, part)
            if rest := [part for part in parts if answers[part.facility_id].result is not Result.DONE]:
                left.append((batch, rest))
        return left

    async def _deliver(self, name: str, batch: Batch, parts: Sequence[Part]) -> None:
        """Hand the parts over until each is done, in the same order, however long it takes."""
        blame = Blame(self, batch)
        pending = list(parts)
        retry_s = RETRY_S_MIN
        while pending:
            answers = await self.hand_over(pending)
            rest: list[Part] = []
            for part in pending:
                answer = answers[part.facility_id]
                if answer.result is Result.DONE:
                    self.finish(batch, part)
                elif (left := await blame.remaining(part, answer)) is not None:
                    rest.append(left)
                    self._note_failing(name, answer)
            pending = rest
            if pending:
                await self._clock.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_S_MAX)
        if self._failing.pop(name, None) is not None:
            log.info("intake_works_again", queue=self.queue, lane=name)

    async def hand_over(self, parts: Sequence[Part]) -> dict[str, Answer]:
        """Deliver; a failure that is nobody's answer counts as a crash with the parts in hand."""
        try:
            return await self._handler.deliver(parts)
        except Exception as error:
            log.exception("delivery_failed", queue=self.queue)
            return {part.facility_id: Answer(Result.CRASHED, f"{type(error).__name__}: {error}") for part in parts}

    async def part_of(self, batch: Batch, part: Part, messages: Sequence[int]) -> Part:
        """The share that some messages of a batch have in `part`."""
        decoded = await self._handler.decode([batch.held[i].message.body for i in messages], batch.received_at_us)
        found = next(each for each in decoded.parts if each.facility_id == part.facility_id)
        return Part(found.facility_id, tuple(messages[i] for i in found.messages), found.content)

    async def probe(self, facility_id: str) -> bool:
        """Whether the facility itself is well."""
        return await self._facilities.probe(facility_id)

    @property
    def clock(self) -> Clock:
        """The reader's clock."""
        return self._clock

    def finish(self, batch: Batch, part: Part) -> None:
        """The part's effects are durable: settle the messages of which nothing else is open."""
        done = [batch.held[index] for index in part.messages]
        for held in done:
            held.open.discard(part.facility_id)
        self._settle(held for held in done if not held.open)

    def _settle(self, held: Iterable[Held]) -> None:
        self._holding.settle(list(held), self._room.set)

    def _note_failing(self, name: str, answer: Answer) -> None:
        if name not in self._failing:
            log.warning("intake_waits", queue=self.queue, lane=name, result=answer.result.value, reason=answer.reason)
        self._failing[name] = f"{answer.result.value}: {answer.reason}"

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        stop = asyncio.create_task(self._stopping.wait())
        await self._wait_at_most([stop], seconds)
        stop.cancel()

    async def _wait_at_most(self, tasks: Sequence[asyncio.Task[Any]], seconds: float) -> None:
        """Until all are done, or so much time of our clock has passed."""
        together = asyncio.ensure_future(asyncio.gather(*tasks, return_exceptions=True))
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        await asyncio.wait([asyncio.shield(together), sleep], return_when=asyncio.FIRST_COMPLETED)
        sleep.cancel()

    async def _wind_up(self) -> None:
        """Finish what is under way, a bounded time; give back what is not taken in."""
        workers = [lane.worker for lane in self._lanes.values() if lane.worker is not None]
        await self._wait_at_most(workers, STOP_GRACE_S)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await self._holding.wind_up()
