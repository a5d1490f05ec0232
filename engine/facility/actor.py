"""The Ray side of the facilities: the actor that hosts some of them, and how others call it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from engine import faultpoints
from engine.clock import SystemClock
from engine.errors import FacilityUnavailable
from engine.facility.host import FacilityHost
from engine.facility.port import Answer, Cursor, Host, HostStatus, SensorMessage, Share
from engine.historian.actor import RemoteHistorian
from engine.live import LiveChunk
from engine.logs import configure_logging, open_actor_log
from engine.metrics import Metrics
from engine.model import AlarmCommand
from engine.placement.departure import Departure
from engine.placement.ray_nodes import ACTOR_GONE, own_node, placed, remove_actors
from engine.settings import Settings

NAME_PREFIX = "facilities-"
WATCHERS_MAX = 2000

log = structlog.get_logger()


class FacilityActor(FacilityHost):
    """FacilityHost in a process of its own, native calls in one thread, watchers in an event loop of their own."""

    def __init__(self, settings: Settings, namespace: str, slot: int) -> None:
        configure_logging(settings, host_name(slot), open_actor_log(settings))
        faultpoints.install_from_environment()
        super().__init__(
            RemoteHistorian(settings.historian_actors, namespace),
            settings,
            SystemClock(),
            Metrics(),
            executor=ThreadPoolExecutor(1, "native"),
        )
        self._departure = Departure(self.close)
        self.node_id = own_node()


def host_name(slot: int) -> str:
    """The Ray name of a slot's actor."""
    return f"{NAME_PREFIX}{slot}"


class RayHost:
    """Host over an actor handle. A process that cannot be reached raises FacilityUnavailable."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        """See Host."""
        answers: dict[str, Answer] = await _answered(self._handle.ingest.remote(shares))
        return answers

    async def apply(self, facility_id: str, messages: Sequence[SensorMessage]) -> Answer:
        """See Host."""
        answer: Answer = await _answered(self._handle.apply.remote(facility_id, messages))
        return answer

    async def tick(self, facility_ids: Sequence[str], watermark_us: int) -> dict[str, Answer]:
        """See Host."""
        answers: dict[str, Answer] = await _answered(self._handle.tick.remote(facility_ids, watermark_us))
        return answers

    async def load(self, facility_id: str, *, again: bool = False) -> Answer:
        """See Host."""
        answer: Answer = await _answered(self._handle.load.remote(facility_id, again=again))
        return answer

    async def probe(self, facility_id: str) -> Answer:
        """See Host."""
        answer: Answer = await _answered(self._handle.probe.remote(facility_id))
        return answer

    async def command(self, command: AlarmCommand) -> Answer:
        """See Host."""
        answer: Answer = await _answered(self._handle.command.remote(command))
        return answer

    async def watch(
        self, facility_id: str, cursor: Cursor | None, wait_s: float
    ) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        """See Host."""
        watching = self._handle.watch.options(concurrency_group="watch")
        found: tuple[Cursor, tuple[LiveChunk, ...]] = await _answered(watching.remote(facility_id, cursor, wait_s))
        return found

    async def status(self) -> HostStatus:
        """See Host."""
        status: HostStatus = await _answered(self._handle.status.remote())
        return status

    async def close(self) -> None:
        """See Host."""
        await _answered(self._handle.close.remote())


class RayHostStarter:
    """HostStarter on Ray. Actors outlive whoever started them, so that a restarted reader finds them again."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self._settings = settings
        self._namespace = namespace
        remote: Any = ray.remote
        self._actor = remote(concurrency_groups={"watch": WATCHERS_MAX})(FacilityActor)

    async def start(self, slot: int, node_id: str | None) -> Host:
        """The actor of a slot: the living one, or a new one on this node."""
        options = self._actor.options(**placed(host_name(slot), self._namespace, node_id))
        try:
            return RayHost(options.remote(self._settings, self._namespace, slot))
        except (ValueError, RayError) as error:
            raise FacilityUnavailable(f"{host_name(slot)} cannot be started: {error}") from error

    async def living(self) -> dict[int, Host]:
        """Actors that an earlier reader has started."""
        named = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
        names = [each["name"] for each in named if each["namespace"] == self._namespace]
        slots = sorted(int(name.removeprefix(NAME_PREFIX)) for name in names if name.startswith(NAME_PREFIX))
        return {slot: RayHost(ray.get_actor(host_name(slot), namespace=self._namespace)) for slot in slots}

    async def end(self, slot: int) -> None:
        """Kill the slot's process; Ray starts it anew."""
        try:
            ray.kill(ray.get_actor(host_name(slot), namespace=self._namespace), no_restart=False)
        except (ValueError, RayError) as error:
            log.info("process_gone_already", slot=slot, error=str(error))

    async def remove(self, slot: int) -> None:
        """Kill the slot's process, and Ray lets it be."""
        try:
            await asyncio.to_thread(remove_actors, {host_name(slot)}, self._namespace)
        except RayError as error:
            raise FacilityUnavailable(f"{host_name(slot)} cannot be removed: {error}") from error


async def _answered(reference: Any) -> Any:
    try:
        return await reference
    except ACTOR_GONE as error:
        raise FacilityUnavailable(str(error).splitlines()[0][:300]) from error
