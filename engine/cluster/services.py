"""The actors of which there is one or a few: historians and intake. Started, found again, and moved between nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from ray.exceptions import RayError

from engine.bus.actor import INTAKE_NAME, start_intake
from engine.cluster.private_ray import NAMESPACE
from engine.historian.actor import historian_name, start_historian
from engine.placement.nodes import Node, homes, least_loaded
from engine.placement.ray_nodes import remove_actors
from engine.settings import Settings

ANSWER_S_MAX: Final = 5.0
LEAVE_S_MAX: Final = 10.0

log = structlog.get_logger()


class Services:
    """Keeps each of them on a node that lives and is not drained. Ray restarts one whose process dies."""

    def __init__(self, settings: Settings) -> None:
        self._starts: dict[str, Callable[[str | None], Any]] = {
            historian_name(number): partial(start_historian, settings, NAMESPACE, number)
            for number in range(settings.historian_actors)
        }
        self._starts[INTAKE_NAME] = partial(start_intake, settings, NAMESPACE)
        self._handles: dict[str, Any] = {}
        self.places: dict[str, str | None] = {}

    @property
    def intake(self) -> Any:
        """The handle of the present intake actor."""
        return self._handles[INTAKE_NAME]

    def start(self, nodes: Sequence[Node], own: str) -> None:
        """Start or find all of them; at first beside the engine's own process, if actors may be there."""
        beside = own if own in {node.node_id for node in homes(nodes)} else least_loaded(nodes, {})
        for name in self._starts:
            self.places[name] = beside
            self.find(name)

    def find(self, name: str) -> None:
        """Take the handle of the living one; one that is gone for good is made anew."""
        self._handles[name] = self._starts[name](self.places[name])

    async def keep(self, nodes: Sequence[Node]) -> None:
        """Replace what was on lost nodes, all at once; move what is on drained ones, one after the other."""
        lost = {node.node_id for node in nodes if not node.alive}
        stranded = [name for name, node_id in self.places.items() if node_id in lost]
        await asyncio.gather(*(self._start_elsewhere(name, nodes) for name in stranded))
        await asyncio.gather(*(self._locate(name) for name in self._starts if name not in stranded))
        allowed = {node.node_id for node in homes(nodes)}
        for name, node_id in self.places.items():
            if allowed and node_id not in allowed and node_id not in lost:
                await self._leave(name)
                await self._start_elsewhere(name, nodes)
                return

    async def _locate(self, name: str) -> None:
        """Where it is by now: Ray may have restarted it on another node."""
        try:
            self.places[name] = await asyncio.wait_for(self._handles[name].node_id.remote(), ANSWER_S_MAX)
        except (RayError, TimeoutError) as error:
            log.info("actor_not_located", actor=name, error=f"{type(error).__name__}: {str(error)[:200]}")
            self.find(name)

    async def _leave(self, name: str) -> None:
        """Finish what is under way. Whatever cannot is taken up again by whoever asked for it."""
        handle = self._handles[name]
        try:
            ending = handle.stop.remote() if name == INTAKE_NAME else handle.close.remote()
            await asyncio.wait_for(ending, LEAVE_S_MAX)
        except (RayError, TimeoutError) as error:
            log.warning("actor_left_in_haste", actor=name, error=f"{type(error).__name__}: {str(error)[:200]}")

    async def _start_elsewhere(self, name: str, nodes: Sequence[Node]) -> None:
        carried = {node.node_id: sum(place == node.node_id for place in self.places.values()) for node in nodes}
        left, self.places[name] = self.places[name], least_loaded(nodes, carried)
        log.warning("actor_moves", actor=name, node=left, to=self.places[name])
        await asyncio.to_thread(remove_actors, {name}, NAMESPACE)
        self.find(name)
