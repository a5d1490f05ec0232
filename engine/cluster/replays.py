"""Works through the replays that people asked for: each facility of one is a task of Ray, on whichever node has room.

The tables are the truth. What a task tells it writes itself; here is only which tasks there are, so that what ended
with its process, its node or its engine is begun again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog
from ray.exceptions import RayError

from engine.clock import Clock
from engine.errors import StoreError
from engine.historian.replays import ReplayPart
from engine.placement.nodes import Node, homes, least_loaded

AT_ONCE_MAX: Final = 8
"""On all nodes together: each reads the database."""

Run = Callable[[ReplayPart, str], Awaitable[None]]
"""Work at a part on a node, until it has ended."""

log = structlog.get_logger()


class Parts(Protocol):
    """See engine.historian.replays.Replays."""

    async def begin_again(self) -> None: ...

    async def claim(self, parts_max: int) -> list[ReplayPart]: ...

    async def put_back(self, part: ReplayPart) -> None: ...

    async def sum_up(self, now_us: int) -> None: ...


class ReplayTasks:
    """As many at once as the nodes have processors, each behind all other work there."""

    def __init__(self, parts: Parts, clock: Clock, run: Run) -> None:
        self._parts = parts
        self._clock = clock
        self._run = run
        self._is_begun = False
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._lost: list[ReplayPart] = []

    async def step(self, nodes: Sequence[Node]) -> None:
        """Begin what there is room for; raises StoreUnavailable."""
        if not self._is_begun:
            await self._parts.begin_again()
            self._is_begun = True
        while self._lost:
            await self._parts.put_back(self._lost[0])
            self._lost.pop(0)
        self._under_way = {task: node_id for task, node_id in self._under_way.items() if not task.done()}
        if room := self._room(nodes):
            for part in await self._parts.claim(len(room)):
                node_id = room.pop(0)
                task = asyncio.create_task(self._follow(part, node_id), name=f"replay {part.facility_id}")
                self._under_way[task] = node_id
        await self._parts.sum_up(self._clock.now_us())

    def stop(self) -> None:
        """The tasks end with this process; who leads next begins them again."""
        for task in self._under_way:
            task.cancel()

    def _room(self, nodes: Sequence[Node]) -> list[str]:
        """Where parts can be begun now, one after the other."""
        carried = Counter(self._under_way.values())
        places = {node.node_id: max(1, int(node.cpus)) for node in homes(nodes)}
        found: list[str] = []
        while len(self._under_way) + len(found) < AT_ONCE_MAX:
            with_room = [node for node in homes(nodes) if carried[node.node_id] < places[node.node_id]]
            node_id = least_loaded(with_room, carried)
            if node_id is None:
                break
            carried[node_id] += 1
            found.append(node_id)
        return found

    async def _follow(self, part: ReplayPart, node_id: str) -> None:
        try:
            await self._run(part, node_id)
        except (RayError, StoreError) as error:
            said = f"{type(error).__name__}: {str(error)[:200]}"
            log.warning("replay_interrupted", replay=part.replay_id, facility=part.facility_id, error=said)
            self._lost.append(part)
