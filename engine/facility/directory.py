"""Finds the process that holds a facility, or starts it; parks what belongs to facilities that do not exist.

One directory serves all readers of an engine. It keeps no truth: which facilities exist the database knows, and who may
write for one its epoch decides. A facility stays with the process it was given to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from engine.clock import Clock
from engine.errors import FacilityUnavailable, StoreUnavailable
from engine.facility.mover import Mover, places
from engine.facility.payloads import parked_readings
from engine.facility.port import DONE, Answer, Host, HostStarter, HostStatus, Result, SensorMessage, Share
from engine.facility.refusals import refused_message
from engine.facility.slot import START_S_MAX, Slot
from engine.historian.port import Creation, HistorianPort, Parking
from engine.messages import body_of
from engine.metrics import ACTOR_RESTARTS, DEAD_LETTERS, IGNORED, PARKED, Metrics
from engine.model import AlarmCommand, DeadLetter, EntityMessage, FacilitySetup, ParkedItem, SensorActivation
from engine.placement.nodes import Node

RESTARTS_MAX = 5
RESTARTS_SPAN_S = 60.0
RESTART_PAUSE_S = 30.0
STATUS_S_MAX = 10.0
BACK_S_MAX = 10.0
ASK_AGAIN_S = 0.1
SILENCE_S_MAX = 30.0
STATUSES_S_MAX = 2.0
SILENCE_TOLD_S = 5.0
FACILITIES_TOLD = 3
NOT_MADE = {
    Creation.NO_ROOM: "there are as many facilities as there may be",
    Creation.RETIRED: "the facility was retired after the moment of this setup; one that is dated later revives it",
    Creation.REMOVED: "the facility was removed after the moment of this setup; a later one makes a new facility",
}

log = structlog.get_logger()


class Directory:
    """`Facilities` for the readers, and the supervisor's view of all processes."""

    def __init__(
        self, historian: HistorianPort, starter: HostStarter, clock: Clock, metrics: Metrics, *, per_host: int
    ) -> None:
        self._historian = historian
        self._starter = starter
        self._clock = clock
        self._metrics = metrics
        self._per_host = per_host
        self._slots: dict[int, Slot] = {}
        self._slot_of: dict[str, Slot] = {}
        self._mover = Mover(self._slots, starter, clock)

    async def adopt_living(self) -> None:
        """Take over what an earlier directory placed: ask the processes that still live whom they hold."""
        living = await self._starter.living()
        asked = (asyncio.wait_for(host.status(), STATUS_S_MAX) for host in living.values())
        statuses = await asyncio.gather(*asked, return_exceptions=True)
        for (number, host), status in zip(living.items(), statuses, strict=True):
            slot = self._slots.setdefault(number, Slot(number))
            if isinstance(status, FacilityUnavailable | TimeoutError):
                log.warning("process_not_adopted", slot=number, error=str(status))
                continue
            if isinstance(status, BaseException):
                raise status
            slot.host, slot.incarnation, slot.node_id = host, status.incarnation, status.node_id
            for facility_id, state in status.facilities.items():
                if state == "loaded" and facility_id not in self._slot_of:
                    self._place(facility_id, slot)

    def add_known(self, facility_ids: Iterable[str]) -> None:
        """These facilities exist; those without a process are given one (started when it is first spoken to)."""
        for facility_id in facility_ids:
            if facility_id not in self._slot_of:
                self._place(facility_id, self._slot_with_room())

    async def follow(self, listing: Awaitable[Sequence[str]]) -> None:
        """These facilities exist, and no others: whoever is not among them is asked, and forgotten if it is gone.

        One that came to be while they were listed is not among them, and not asked.
        """
        known = set(self._slot_of)
        facility_ids = await listing
        self.add_known(facility_ids)
        for facility_id in sorted(known - set(facility_ids)):
            await self.reload(facility_id)

    def slot_of(self, facility_id: str) -> int | None:
        """The number of the facility's process; None: no such facility is known."""
        slot = self._slot_of.get(facility_id)
        return None if slot is None else slot.number

    def lane(self, facility_id: str) -> str:
        """Facilities of one process share a lane; each unknown facility has its own."""
        slot = self._slot_of.get(facility_id)
        return f"unknown {facility_id}" if slot is None else f"process {slot.number}"

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        """One call to each process; shares of unknown facilities are parked."""
        strangers = [share for share in shares if share.facility_id not in self._slot_of]
        parked = await asyncio.gather(*(self._park_share(share) for share in strangers))
        done = {share.facility_id: answer for share, answer in zip(strangers, parked, strict=True) if answer}
        by_slot: dict[int, list[Share]] = {}
        for share in shares:
            if share.facility_id not in done:
                by_slot.setdefault(self._slot_of[share.facility_id].number, []).append(share)
        for part in await asyncio.gather(*(self._send(self._slots[n], held) for n, held in by_slot.items())):
            done.update(part)
        return done

    async def apply(self, facility_id: str, messages: Sequence[EntityMessage]) -> Answer:
        """Setups here, the rest in the facility's process; without a facility it is parked."""
        others = [message for message in messages if not isinstance(message, FacilitySetup)]
        try:
            for message in messages:
                if isinstance(message, FacilitySetup):
                    await self._create(message)
            if facility_id not in self._slot_of and (not others or await self._park_messages(others)):
                return DONE
        except StoreUnavailable as error:
            return Answer(Result.UNAVAILABLE, str(error))
        slot = self._slot_of[facility_id]
        if others:
            return self._noted(facility_id, await self._guarded(slot, lambda host: host.apply(facility_id, others)))
        return self._noted(facility_id, await self._guarded(slot, lambda host: host.load(facility_id)))

    async def probe(self, facility_id: str) -> bool:
        """Whether the facility can load and commit now. An unknown one has nothing that could crash."""
        slot = self._slot_of.get(facility_id)
        if slot is None:
            return True
        answer = self._noted(facility_id, await self._guarded(slot, lambda host: host.probe(facility_id)))
        return answer.result is Result.DONE

    async def command(self, command: AlarmCommand) -> Answer:
        """A person's command to an alarm of a facility; GONE: the facility is retired or removed."""
        slot = self._slot_of.get(command.facility_id)
        if slot is None:
            return Answer(Result.UNAVAILABLE, f"facility {command.facility_id} has no process yet")
        answer = await self._guarded(slot, lambda host: host.command(command))
        self._noted(command.facility_id, answer)
        return answer

    async def tick(self, watermark_us: int) -> None:
        """Tell every facility how far the queue has been read; starts and loads what is not running.

        A process that has not answered its last tick gets no other.
        """
        due = [slot for slot in self._slots.values() if not slot.ticking]
        await asyncio.gather(*(self._tick_slot(slot, watermark_us) for slot in due))

    async def statuses(self) -> dict[int, HostStatus | None]:
        """Of every process, by slot; None where it does not answer now. One that hangs does not hold up the others."""
        slots = list(self._slots.values())
        asking = [self._asked(slot) for slot in slots]
        if asking:
            await asyncio.wait(asking, timeout=STATUSES_S_MAX)
        return {slot.number: each.result() if each.done() else None for slot, each in zip(slots, asking, strict=True)}

    def troubles(self) -> list[str]:
        """Processes that do not answer or are left alone for a while, in words."""
        now_s = self._clock.monotonic_s()
        found = []
        for slot in self._slots.values():
            held = ", ".join(slot.facilities[:FACILITIES_TOLD]) + (", …" if slot.facilities[FACILITIES_TOLD:] else "")
            if slot.paused_until_s > now_s:
                pause_s = slot.paused_until_s - now_s
                found.append(f"process {slot.number} ({held}) keeps dying; next try in {pause_s:.0f} s")
            elif slot.heard_at_s is not None and now_s - slot.heard_at_s > SILENCE_TOLD_S:
                found.append(f"process {slot.number} ({held}) has not answered for {now_s - slot.heard_at_s:.0f} s")
        return found

    def arrange(self, nodes: Sequence[Node]) -> None:
        """See Mover.arrange."""
        self._mover.arrange(nodes)

    def places(self) -> dict[int, tuple[str, int]]:
        """Node and number of facilities of every process whose node is known."""
        return places(self._slots.values())

    async def reload(self, facility_id: str) -> Answer:
        """Load a facility again: its configuration or parked rows were changed by somebody else."""
        if (slot := self._slot_of.get(facility_id)) is None:
            return Answer(Result.UNAVAILABLE, f"facility {facility_id} is not known")
        return self._noted(facility_id, await self._guarded(slot, lambda host: host.load(facility_id, again=True)))

    async def reclaim_fenced(self) -> list[str]:
        """For the one leader only: facilities that somebody else had taken are loaded again under a newer epoch."""
        statuses = await self.statuses()
        fenced = [
            facility_id
            for number, status in statuses.items()
            if status is not None
            for facility_id in self._slots[number].facilities
            if status.facilities.get(facility_id) == "fenced"
        ]
        for facility_id in fenced:
            log.warning("facility_reclaimed", facility_id=facility_id)
            await self.reload(facility_id)
        return fenced

    async def close(self) -> None:
        """Let every process write its checkpoints."""
        hosts = [slot.host for slot in self._slots.values() if slot.host is not None]
        for ended in await asyncio.gather(*(host.close() for host in hosts), return_exceptions=True):
            if isinstance(ended, BaseException):
                log.warning("process_not_closed", error=str(ended))

    def _asked(self, slot: Slot) -> asyncio.Task[HostStatus | None]:
        if slot.asking is None or slot.asking.done():
            slot.asking = asyncio.create_task(self._status(slot))
        return slot.asking

    def _slot_with_room(self) -> Slot:
        """One that is not full, else a new one; the emptiest where the processors carry no more processes."""
        slots = self._slots.values()
        if (free := next((slot for slot in slots if len(slot.facilities) < self._per_host), None)) is not None:
            return free
        most = self._mover.processes_max
        if slots and most is not None and len(slots) >= most:
            return min(slots, key=lambda slot: (len(slot.facilities), slot.number))
        number = max(self._slots, default=-1) + 1
        return self._slots.setdefault(number, Slot(number))

    def _place(self, facility_id: str, slot: Slot) -> None:
        slot.facilities.append(facility_id)
        self._slot_of[facility_id] = slot

    def _noted(self, facility_id: str, answer: Answer) -> Answer:
        """Forget a facility that is gone; what came for it is tried again, as input of a stranger.

        Its process is left: the next facility takes the place.
        """
        if answer.result is not Result.GONE:
            return answer
        slot = self._slot_of.pop(facility_id, None)
        if slot is not None:
            slot.facilities.remove(facility_id)
            log.info("facility_forgotten", facility_id=facility_id, slot=slot.number, why=answer.reason)
        return Answer(Result.UNAVAILABLE, answer.reason)

    async def _create(self, setup: FacilitySetup) -> None:
        """A setup that finds no place is a dead letter, and its facility stays unknown."""
        made = await self._historian.create_facility(setup)
        if detail := NOT_MADE.get(made):
            await self._historian.record_dead_letters([refused_message(setup, made.value, detail)])
            self._metrics.add(DEAD_LETTERS, reason=made.value)
            return
        if made is Creation.KNOWN:
            self._metrics.add(IGNORED, reason="known_facility")
        self.add_known([setup.facility_id])

    async def _park_share(self, share: Share) -> Answer | None:
        """DONE when all of it is set aside; None when the facility exists by now."""
        readings = [item for batch in share.batches for item in parked_readings(batch, "unknown_facility")]
        try:
            return DONE if await self._park(share.facility_id, readings, share.refused) else None
        except StoreUnavailable as error:
            return Answer(Result.UNAVAILABLE, str(error))

    async def _park_messages(self, messages: Sequence[SensorMessage]) -> bool:
        kinds = ["activation" if isinstance(message, SensorActivation) else "deactivation" for message in messages]
        items = [
            ParkedItem(
                kind,
                message.facility_id,
                message.sensor_id,
                message.tracked_at_us,
                body_of(message),
                "unknown_facility",
            )
            for kind, message in zip(kinds, messages, strict=True)
        ]
        return await self._park(messages[0].facility_id, items)

    async def _park(self, facility_id: str, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()) -> bool:
        found = await self._historian.park_unknown_facility(items, letters)
        if Parking.KNOWN in found:
            self.add_known([facility_id])
            return False
        for item, parking in zip(items, found, strict=True):
            if parking is Parking.PARKED:
                self._metrics.add(PARKED, kind=item.kind)
            elif parking in {Parking.RETIRED, Parking.REMOVED}:
                self._metrics.add(IGNORED, reason=parking.value)
            else:
                self._metrics.add(DEAD_LETTERS, reason=parking.value)
        for letter in letters:
            self._metrics.add(DEAD_LETTERS, reason=letter.reason)
        return True

    async def _send(self, slot: Slot, shares: Sequence[Share]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}

        async def call(host: Host) -> Answer:
            answers.update(await host.ingest(shares))
            return DONE

        failed = await self._guarded(slot, call)
        if failed.result is not Result.DONE:
            return {share.facility_id: failed for share in shares}
        return {facility_id: self._noted(facility_id, answer) for facility_id, answer in answers.items()}

    async def _tick_slot(self, slot: Slot, watermark_us: int) -> None:
        async def call(host: Host) -> Answer:
            for facility_id, answer in (await host.tick(tuple(slot.facilities), watermark_us)).items():
                self._noted(facility_id, answer)
            return DONE

        slot.ticking = True
        try:
            await self._guarded(slot, call)
        finally:
            slot.ticking = False

    async def _guarded(self, slot: Slot, call: Callable[[Host], Awaitable[Answer]]) -> Answer:
        """Call a process; find out, when it does not answer, whether it died with the call."""
        await slot.admitted()
        with slot.calling():
            return await self._call(slot, call)

    async def _call(self, slot: Slot, call: Callable[[Host], Awaitable[Answer]]) -> Answer:
        pause_s = slot.paused_until_s - self._clock.monotonic_s()
        if pause_s > 0:
            return Answer(Result.UNAVAILABLE, f"process {slot.number} keeps dying; next try in {pause_s:.0f} s")
        before, moves = slot.incarnation, slot.moves
        try:
            host = await self._host(slot)
            before = slot.incarnation
            answer = await call(host)
        except FacilityUnavailable as error:
            slot.host = None
            status = await self._back(slot)
            restarted = status is not None and before is not None and status.incarnation != before
            if restarted and slot.moves == moves:
                return Answer(Result.CRASHED, str(error))
            return Answer(Result.UNAVAILABLE, str(error))
        return answer

    async def _host(self, slot: Slot) -> Host:
        host = await self._started(slot)
        if slot.incarnation is None:
            self._seen(slot, await host.status())
        return host

    async def _started(self, slot: Slot) -> Host:
        if slot.host is None:
            if slot.node_id is None:
                slot.node_id = self._mover.home()
            slot.host = await self._starter.start(slot.number, slot.node_id)
        return slot.host

    async def _back(self, slot: Slot) -> HostStatus | None:
        """How a process is that did not answer, asked until it does: one that died is back in a second or two."""
        deadline_s = self._clock.monotonic_s() + BACK_S_MAX
        while (status := await self._status(slot)) is None and self._clock.monotonic_s() < deadline_s:
            await self._clock.sleep(ASK_AGAIN_S)
        return status

    async def _status(self, slot: Slot) -> HostStatus | None:
        if slot.moving:  # what answers to its name may still be the one that goes
            return None
        moves, asked_at_s = slot.moves, self._clock.monotonic_s()
        try:
            host = await self._started(slot)
            status = await asyncio.wait_for(host.status(), STATUS_S_MAX)
        except FacilityUnavailable as error:
            if not slot.away:
                log.warning("process_unavailable", slot=slot.number, error=str(error))
            slot.away = True
            slot.starts()
            return None
        except TimeoutError:
            await self._silent(slot, asked_at_s)
            return None
        slot.away, slot.heard_at_s = False, self._clock.monotonic_s()
        if slot.moves == moves:
            self._seen(slot, status)
        return status

    async def _silent(self, slot: Slot, asked_at_s: float) -> None:
        """A process that does not even say how it is hangs; after a while it is ended, so that it can start anew."""
        if slot.silent_since_s is None:
            slot.silent_since_s = asked_at_s
        silent_s = self._clock.monotonic_s() - slot.silent_since_s
        log.warning("process_silent", slot=slot.number, seconds=round(silent_s), running=slot.running)
        if silent_s >= (SILENCE_S_MAX if slot.running else START_S_MAX):
            log.error("process_ended", slot=slot.number, facilities=slot.facilities)
            slot.host = None
            slot.starts()
            await self._starter.end(slot.number)

    def _seen(self, slot: Slot, status: HostStatus) -> None:
        """Notice restarts; a process that restarts too often is left alone for a while."""
        if slot.incarnation not in {None, status.incarnation}:
            now_s = self._clock.monotonic_s()
            self._metrics.add(ACTOR_RESTARTS, kind="facility")
            slot.restarts_s = [at_s for at_s in slot.restarts_s if now_s - at_s < RESTARTS_SPAN_S] + [now_s]
            log.warning("process_restarted", slot=slot.number, facilities=slot.facilities, pid=status.pid)
            if len(slot.restarts_s) >= RESTARTS_MAX:
                slot.paused_until_s = now_s + RESTART_PAUSE_S
                slot.restarts_s.clear()
                log.error("process_keeps_dying", slot=slot.number, facilities=slot.facilities, pause_s=RESTART_PAUSE_S)
        slot.incarnation, slot.node_id = status.incarnation, status.node_id
        slot.running, slot.silent_since_s = True, None
