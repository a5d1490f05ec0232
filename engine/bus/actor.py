"""The Ray side of the readers: one actor that reads all four queues and knows where each facility is."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
import structlog

from engine import faultpoints
from engine.bus.message_handlers import EntityHandler, MessageHandler, ReadingHandler
from engine.bus.reader import BusReader
from engine.bus.redriven import PARSERS, redriving_reader
from engine.bus.service_bus import ServiceBusSource, tame_sdk_logging
from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.facility.actor import RayHostStarter
from engine.facility.directory import Directory
from engine.facility.port import Answer
from engine.historian.actor import RemoteHistorian
from engine.logs import configure_logging, open_actor_log
from engine.metrics import Metrics
from engine.model import AlarmCommand
from engine.placement.departure import Departure
from engine.placement.nodes import Node
from engine.placement.ray_nodes import own_node, placed
from engine.settings import Settings

INTAKE_NAME = "intake"
CRASH_STATUS = 70
RETRY_S = 1.0

log = structlog.get_logger()


class IntakeActor:
    """Readers, directory and ticks in one process. Does nothing until `start`, which may be called again."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        configure_logging(settings, INTAKE_NAME, open_actor_log(settings))
        tame_sdk_logging()
        faultpoints.install_from_environment()
        self._settings = settings
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._historian = RemoteHistorian(settings.historian_actors, namespace)
        self._directory = Directory(
            self._historian,
            RayHostStarter(settings, namespace),
            self._clock,
            self._metrics,
            per_host=settings.facilities_per_actor,
        )
        self._incarnation = uuid.uuid4().hex
        self._node_id = own_node()
        self._readers: dict[str, BusReader] = {}
        self._redriving: list[BusReader] = []
        self._running: list[asyncio.Task[None]] = []
        self._ticks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._departure = Departure(self._hand_back)

    async def start(self) -> None:
        """Find what lives already, then read. Returns when the readers run."""
        async with self._starting:
            if self._running:
                return
            await self._directory.adopt_living()
            await self._learn_facilities()
            for kind, queue in self._settings.queues.items():
                self._readers[kind] = self._reader(kind, queue)
                self._redriving.append(self._redriving_reader(kind))
            work = [reader.run() for reader in (*self._readers.values(), *self._redriving)]
            self._running = [asyncio.create_task(each) for each in (*work, self._tell_time())]
            for task in self._running:
                task.add_done_callback(_crash_on_error)

    async def status(self) -> dict[str, Any]:
        """For the supervisor: who reads, who is where, what was counted."""
        hosts = await self._directory.statuses()
        return {
            "incarnation": self._incarnation,
            "running": bool(self._running),
            "pid": os.getpid(),
            "readers": {reader.queue: reader.status() for reader in self._readers.values()},
            "watermark_us": self._watermark_us(),
            "metrics": self._metrics.snapshot(),
            "hosts": hosts,
            "troubles": self._directory.troubles(),
            "places": self._directory.places(),
        }

    async def node_id(self) -> str:
        """Where this process is."""
        return self._node_id

    async def slot_of(self, facility_id: str) -> int | None:
        """The actor slot that a facility has; None: not known."""
        return self._directory.slot_of(facility_id)

    async def arrange(self, nodes: Sequence[Node]) -> None:
        """See Directory.arrange."""
        self._directory.arrange(nodes)

    async def reload(self, facility_ids: list[str]) -> None:
        """Load these again: somebody else changed their configuration or parked rows."""
        for facility_id in facility_ids:
            await self._directory.reload(facility_id)

    async def command(self, command: AlarmCommand) -> Answer:
        """See Directory.command."""
        return await self._directory.command(command)

    async def reclaim_fenced(self) -> list[str]:
        """See Directory.reclaim_fenced; asked by the leader only."""
        return await self._directory.reclaim_fenced()

    async def stop(self) -> None:
        """Finish what is under way, give back the rest, write checkpoints."""
        await self._hand_back()
        await self._directory.close()

    async def _hand_back(self) -> None:
        """Finish what is under way and give the rest back, so that the next reader has it at once."""
        if not self._running:
            return
        for reader in (*self._readers.values(), *self._redriving):
            reader.stop()
        *reading, telling = self._running
        telling.cancel()
        await asyncio.gather(*reading, telling, return_exceptions=True)

    def _reader(self, kind: str, queue: str) -> BusReader:
        connection = self._settings.servicebus_connection_string
        assert connection is not None
        source = ServiceBusSource(
            connection.get_secret_value(), queue, self._clock, silence_s_max=self._settings.receive_silence_s_max
        )
        return BusReader(
            queue,
            source,
            self._handler(kind),
            self._directory,
            self._historian,
            clock=self._clock,
            metrics=self._metrics,
            messages_max=self._settings.receive_messages_max,
            wait_s=self._settings.receive_wait_s_max,
        )

    def _redriving_reader(self, kind: str) -> BusReader:
        handler, historian = self._handler(kind), self._historian
        return redriving_reader(kind, handler, self._directory, historian, clock=self._clock, metrics=self._metrics)

    def _handler(self, kind: str) -> MessageHandler:
        if kind == "data":
            decoding = ThreadPoolExecutor(1, "decode")
            return ReadingHandler(self._directory, future_s_max=self._settings.future_s_max, executor=decoding)
        return EntityHandler(self._directory, PARSERS[kind], future_s_max=self._settings.future_s_max)

    def _watermark_us(self) -> int | None:
        reader = self._readers.get("data")
        return None if reader is None else reader.watermark_us()

    async def _tell_time(self) -> None:
        """Every `tick_s`: see that each facility in the database has a process, and tell it how far we have read."""
        while True:
            try:
                await self._directory.follow(self._historian.facility_ids())
            except StoreUnavailable as error:
                log.info("facilities_not_listed", error=str(error))
            tick = asyncio.create_task(self._directory.tick(self._watermark_us() or 0))
            self._ticks.add(tick)
            tick.add_done_callback(self._ticks.discard)
            await self._clock.sleep(self._settings.tick_s)

    async def _learn_facilities(self) -> None:
        while True:
            try:
                self._directory.add_known(await self._historian.facility_ids())
                return
            except StoreUnavailable as error:
                log.warning("waiting_for_the_store", error=str(error))
                await self._clock.sleep(RETRY_S)


def start_intake(settings: Settings, namespace: str, node_id: str | None) -> Any:
    """The handle of the one intake actor: the living one, or a new one on this node."""
    actor: Any = ray.remote(IntakeActor)
    return actor.options(**placed(INTAKE_NAME, namespace, node_id)).remote(settings, namespace)


def _crash_on_error(task: asyncio.Task[None]) -> None:
    """A reader that fails in a way nobody foresaw takes the process with it; Ray starts it anew, the bus redelivers."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("reader_failed", exc_info=error)
        os._exit(CRASH_STATUS)
