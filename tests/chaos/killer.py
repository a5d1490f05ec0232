"""Carries out a plan of blows against a house and keeps the record of those that hit."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from tests.chaos.house import AWAY, House
from tests.chaos.plan import Blow, point_of
from tests.chaos.points import arm, disarm, taken
from tests.chaos.proxy import Fault
from tests.chaos.report import Kill
from tests.chaos.victims import find

TURN_S = 0.2
POSTPONED_S = 4.0
POSTPONED_MAX = 20
END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""


class Killer:
    """`hits` in the order in which they were seen; `missed`: blows whose victim never was there."""

    def __init__(self, house: House, plan: Sequence[Blow]) -> None:
        self.hits: list[Kill] = []
        self.missed: Counter[str] = Counter()
        self._house = house
        self._order = itertools.count()
        self._waiting = [(blow.at_s, next(self._order), 0, blow) for blow in plan]
        heapq.heapify(self._waiting)
        self._paused: Counter[int] = Counter()
        self._armed: dict[str, Blow] = {}
        self._seen: set[tuple[str, int, float]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._started_s = 0.0

    async def run(self, until_s: float) -> None:
        """Strike when it is time, until `until_s` after the start; then let go of everything."""
        self._started_s = time.time()
        try:
            while (now_s := time.time() - self._started_s) < until_s:
                while self._waiting and self._waiting[0][0] <= now_s:
                    _, _, tries, blow = heapq.heappop(self._waiting)
                    self._begin(blow, tries)
                self._read_points()
                await asyncio.sleep(TURN_S)
                self._raise_failures()
        finally:
            await self._let_go()

    def _begin(self, blow: Blow, tries: int) -> None:
        """A blow whose victim is not there is put off; what overlaps, overlaps."""
        act = self._prepared(blow)
        if act is not None:
            self._running.add(asyncio.create_task(act()))
        elif tries < POSTPONED_MAX:
            later_s = time.time() - self._started_s + POSTPONED_S
            heapq.heappush(self._waiting, (later_s, next(self._order), tries + 1, blow))
        else:
            self.missed[f"{blow.kind}: {blow.means}"] += 1

    def _prepared(self, blow: Blow) -> Callable[[], Coroutine[Any, Any, None]] | None:
        if (point := point_of(blow)) is not None:
            return None if point in self._armed else lambda: self._arm(blow, point)
        if blow.kind.startswith("way to"):
            return lambda: self._weather(blow)
        if blow.kind == "disk":
            return None if self._house.disk.why_not else lambda: self._fill_disk(blow)
        victims = self._victims(blow.kind)
        if not victims:
            return None
        if blow.means == "connections terminated":
            return lambda: self._end_sessions(blow)
        victim = victims[int(blow.choice * len(victims))]
        if blow.means == "SIGSTOP":
            return lambda: self._pause(blow, victim)
        return lambda: self._signal(blow, victim)

    def _victims(self, kind: str) -> list[int]:
        """Those that a blow can hit now; what is stopped already gets no second one."""
        found = self._house.pids(kind) if kind in {"up", "bus", "PostgreSQL"} else find(kind)
        return [pid for pid in found if not self._paused[pid]]

    async def _signal(self, blow: Blow, pid: int) -> None:
        try:
            os.kill(pid, getattr(signal, blow.means))
        except ProcessLookupError:  # it ended by itself a moment ago
            self.missed[f"{blow.kind}: {blow.means}"] += 1
        else:
            self._hit(blow)

    async def _pause(self, blow: Blow, pid: int) -> None:
        pids = {pid} | (self._house.sessions() if blow.kind == "PostgreSQL" else set())
        self._hit(replace(blow, means=f"SIGSTOP for {blow.seconds:.0f} s"))
        for each in pids:
            self._paused[each] += 1
            _send(each, signal.SIGSTOP)
        try:
            await asyncio.sleep(blow.seconds)
        finally:
            self._resume(pids)

    def _resume(self, pids: Iterable[int]) -> None:
        for pid in pids:
            self._paused[pid] -= 1
            _send(pid, signal.SIGCONT)

    async def _weather(self, blow: Blow) -> None:
        house = self._house
        proxy = house.bus_proxy if blow.kind == "way to the bus" else house.database_proxy
        self._hit(replace(blow, means=f"{blow.means} for {blow.seconds:.0f} s"))
        await proxy.apply(Fault(blow.means, blow.seconds))  # type: ignore[arg-type]

    async def _fill_disk(self, blow: Blow) -> None:
        self._hit(replace(blow, means=f"full for {blow.seconds:.0f} s"))
        self._house.disk.fill()
        try:
            await asyncio.sleep(blow.seconds)
        finally:
            self._house.disk.free()

    async def _end_sessions(self, blow: Blow) -> None:
        try:
            async with asyncio.timeout(5):
                connection = await asyncpg.connect(self._house.database_url)
                try:
                    await connection.fetchval(END_SESSIONS)
                finally:
                    connection.terminate()
        except AWAY:
            self.missed["PostgreSQL: connections terminated"] += 1  # it was away itself
        else:
            self._hit(blow)

    async def _arm(self, blow: Blow, point: str) -> None:
        self._armed[point] = blow
        order = "kill" if blow.means == "kill" else f"pause {blow.seconds:.1f}"
        arm(self._house.points, point, order)

    def _read_points(self) -> None:
        """Orders that a process has taken since the last look."""
        for order in taken(self._house.points):
            if order in self._seen:
                continue
            self._seen.add(order)
            point, _, at_s = order
            blow = self._armed.pop(point)
            pause = f" for {blow.seconds:.0f} s" if blow.means == "pause" else ""
            self._hit(replace(blow, means=f"{blow.means} at {point}{pause}"), at_s)

    def _hit(self, blow: Blow, at_s: float | None = None) -> None:
        since_s = (time.time() if at_s is None else at_s) - self._started_s
        kill = Kill(at_s=since_s, kind=blow.kind, means=blow.means, recovered_s=None)
        self.hits.append(kill)

    def _raise_failures(self) -> None:
        for task in [task for task in self._running if task.done()]:
            self._running.discard(task)
            task.result()

    async def _let_go(self) -> None:
        """Nothing stays stopped, armed or full; bad weather ends by itself within seconds."""
        for task in self._running:
            if not task.done():
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for point, blow in list(self._armed.items()):
            if disarm(self._house.points, point):
                del self._armed[point]
                self.missed[f"{blow.kind}: {blow.means}"] += 1
        self._read_points()
        for _, _, _, blow in self._waiting:
            self.missed[f"{blow.kind}: {blow.means}"] += 1


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
