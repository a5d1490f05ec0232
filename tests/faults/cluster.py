"""Processes of a run without Ray: hosts of facilities that die, pause and come back, and calls between processes.

What is real here: Directory, FacilityHost, Facility and below. What is played: the process boundary.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import native
from engine.errors import FacilityUnavailable
from engine.facility.host import FacilityHost
from engine.facility.port import Answer, Cursor, Host, HostStatus, SensorMessage, Share
from engine.historian.port import HistorianPort
from engine.live import LiveChunk
from engine.metrics import Metrics
from engine.model import AlarmCommand
from engine.settings import Settings
from tests.faults.scheduler import Process, Scheduler, current_process

RESTART_S = 1.5


class Hosts:
    """`HostStarter` for the directory; `every` host that ever ran, newest last in its slot."""

    def __init__(self, scheduler: Scheduler, settings: Settings, store_of: Callable[[Process], HistorianPort]) -> None:
        self.every: list[tuple[Process, FacilityHost]] = []
        self._scheduler = scheduler
        self._settings = settings
        self._store_of = store_of
        self._current: dict[int, tuple[Process, FacilityHost]] = {}
        self._given: dict[str, list[bytes]] = defaultdict(list)

    async def start(self, slot: int, node_id: str | None) -> Host:
        """The living process of the slot, or a new one after the time a start takes."""
        await current_process.get().sleep(RESTART_S)
        if slot not in self._current or self._current[slot][0].state != "running" or self._taken_for_dead(slot):
            process = Process(f"host-{slot}.{len(self.every)}", self._scheduler)
            host = FacilityHost(self._store_of(process), self._settings, process, Metrics())
            self._current[slot] = (process, host)
            self.every.append((process, host))
        return HostFace(self, slot)

    async def living(self) -> dict[int, Host]:
        return {slot: HostFace(self, slot) for slot in self._current}

    async def end(self, slot: int) -> None:
        self._current[slot][0].kill()

    async def remove(self, slot: int) -> None:
        self._current[slot][0].kill()

    def holds(self, process: Process, data: str) -> bool:
        """Whether a batch that `process` was given and has not answered holds this value."""
        return any(data == row["data"] for batch in self._given[process.name] for row in native.batch_rows(batch))

    def given(self, process: Process, batches: list[bytes]) -> None:
        """Remember what a process works on."""
        self._given[process.name] = batches

    def current(self, slot: int) -> tuple[Process, FacilityHost]:
        """Raises FacilityUnavailable when nobody answers for the slot."""
        if self._taken_for_dead(slot):
            raise FacilityUnavailable(f"process {slot} is gone")
        return self._current[slot]

    def _taken_for_dead(self, slot: int) -> bool:
        return self._current[slot][0].died.is_set()


class HostFace:
    """`Host` as another process sees it: calls travel, and fail when the other side dies."""

    def __init__(self, hosts: Hosts, slot: int) -> None:
        self._hosts = hosts
        self._slot = slot

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        return await self._call("ingest", shares)  # type: ignore[no-any-return]

    async def apply(self, facility_id: str, messages: Sequence[SensorMessage]) -> Answer:
        return await self._call("apply", facility_id, messages)  # type: ignore[no-any-return]

    async def tick(self, facility_ids: Sequence[str], watermark_us: int) -> dict[str, Answer]:
        return await self._call("tick", facility_ids, watermark_us)  # type: ignore[no-any-return]

    async def load(self, facility_id: str, *, again: bool = False) -> Answer:
        return await self._call("load", facility_id, again=again)  # type: ignore[no-any-return]

    async def probe(self, facility_id: str) -> Answer:
        return await self._call("probe", facility_id)  # type: ignore[no-any-return]

    async def command(self, command: AlarmCommand) -> Answer:
        return await self._call("command", command)  # type: ignore[no-any-return]

    async def watch(
        self, facility_id: str, cursor: Cursor | None, wait_s: float
    ) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        return await self._call("watch", facility_id, cursor, wait_s)  # type: ignore[no-any-return]

    async def status(self) -> HostStatus:
        return await self._call("status")  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self._call("close")

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        caller = current_process.get()
        await caller.scheduler.step(caller, f"asks {self._slot} to {name}")
        process, host = self._hosts.current(self._slot)
        if name == "ingest":
            self._hosts.given(process, [batch for share in arguments[0] for batch in share.batches])
        work = process.spawn(getattr(host, name)(*arguments, **options))
        died = asyncio.ensure_future(process.died.wait())
        await asyncio.wait({work, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not work.done():
            raise FacilityUnavailable(f"{process.name} died while it had the call")
        if name == "ingest":
            self._hosts.given(process, [])
        await caller.scheduler.step(caller, f"hears {self._slot} did {name}")
        return work.result()
