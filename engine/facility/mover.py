"""Puts the processes of facilities on nodes: away from lost and drained ones, and spread over the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

import structlog

from engine.clock import Clock
from engine.errors import FacilityUnavailable
from engine.facility.port import HostStarter
from engine.facility.slot import START_S_MAX, Slot
from engine.placement.nodes import Node, carried_by, homes, least_loaded, next_move, processes_max

STEADY_S_MIN = 10.0
"""Nodes come and go for a while when a cluster starts; only then is it worth to move what works."""
QUIET_S_MAX = 10.0

log = structlog.get_logger()


class Mover:
    """Changes where the directory's slots are. What was told to move is started anew, and loads from the database."""

    def __init__(self, slots: Mapping[int, Slot], starter: HostStarter, clock: Clock) -> None:
        self._slots = slots
        self._starter = starter
        self._clock = clock
        self._nodes: tuple[Node, ...] = ()
        self._steady_since_s = clock.monotonic_s()
        self._moving: set[asyncio.Task[None]] = set()

    def arrange(self, nodes: Sequence[Node]) -> None:
        """The nodes as they are now: replace what was on lost ones at once, move off drained ones, balance.

        Only one process moves at a time. Returns at once; what it started goes on by itself.
        """
        if {node.node_id for node in homes(nodes)} != {node.node_id for node in homes(self._nodes)}:
            self._steady_since_s = self._clock.monotonic_s()
        self._nodes = tuple(nodes)
        lost = {node.node_id for node in nodes if not node.alive}
        for slot in self._slots.values():
            if slot.node_id in lost and not slot.moving:
                self._begin(slot, self._replace(slot))
        if not self._moving:
            steady_s = self._clock.monotonic_s() - self._steady_since_s
            if move := next_move(nodes, places(self._slots.values()), balance=steady_s >= STEADY_S_MIN):
                slot = self._slots[move[0]]
                self._begin(slot, self._move(slot, move[1]))

    @property
    def processes_max(self) -> int | None:
        """How many processes there may be now; None: nothing is known of the nodes."""
        return processes_max(self._nodes)

    def home(self) -> str | None:
        """Where a process is best started now; None: wherever Ray likes."""
        return least_loaded(self._nodes, carried_by(places(self._slots.values()).values()))

    def _begin(self, slot: Slot, work: Coroutine[Any, Any, None]) -> None:
        slot.close()
        task = asyncio.create_task(work)
        self._moving.add(task)
        task.add_done_callback(lambda _: slot.open())
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._moving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("process_move_failed", exc_info=error)

    async def _replace(self, slot: Slot) -> None:
        """Its node is lost; what may still run there is fenced by the next load."""
        home = self.home()  # set out for before anything is awaited, so that the next one sees it and goes elsewhere
        log.warning("process_lost_its_node", slot=slot.number, node=slot.node_id, to=home, facilities=slot.facilities)
        await self._start_elsewhere(slot, home)

    async def _move(self, slot: Slot, node_id: str) -> None:
        """Let it finish and write its checkpoints, then start it elsewhere; what cannot finish now stays for now."""
        try:
            async with asyncio.timeout(QUIET_S_MAX):
                await slot.quiet()
                if slot.host is not None:
                    await slot.host.close()
        except (FacilityUnavailable, TimeoutError) as error:
            log.warning("process_not_moved_yet", slot=slot.number, error=f"{type(error).__name__}: {error}")
            return
        log.info("process_moves", slot=slot.number, node=slot.node_id, to=node_id, facilities=slot.facilities)
        await self._start_elsewhere(slot, node_id)

    async def _start_elsewhere(self, slot: Slot, node_id: str | None) -> None:
        slot.set_out(node_id)
        try:
            async with asyncio.timeout(START_S_MAX):
                await self._starter.remove(slot.number)
                slot.host = await self._starter.start(slot.number, node_id)
                await asyncio.gather(*(slot.host.load(facility_id) for facility_id in slot.facilities))
        except (FacilityUnavailable, TimeoutError) as error:  # the next call starts it, or finds that it hangs
            slot.host = None
            log.warning("process_not_started_yet", slot=slot.number, error=f"{type(error).__name__}: {error}")


def places(slots: Iterable[Slot]) -> dict[int, tuple[str, int]]:
    """Node and number of facilities, of the slots whose node is known."""
    return {slot.number: (slot.node_id, len(slot.facilities)) for slot in slots if slot.node_id is not None}
