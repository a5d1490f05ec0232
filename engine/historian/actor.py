"""The Ray side of the historian: the actor that holds the database connections, and how others reach it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from engine import faultpoints
from engine.clock import SystemClock
from engine.errors import CommitFenced, StoreError, StoreUnavailable
from engine.historian.port import Creation, Parking, StoredItem, StoredReading, ToldAlarm, Unreserved
from engine.logs import configure_logging, open_actor_log
from engine.model import (
    AlarmCommand,
    CommitAnswer,
    DeadLetter,
    FacilitySetup,
    FacilityState,
    Outcome,
    ParkedItem,
    Redrive,
    Subject,
    Verdict,
)
from engine.placement.departure import Departure
from engine.placement.ray_nodes import ACTOR_GONE, own_node, placed
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.historian.historian import Historian


def historian_name(number: int) -> str:
    """The Ray name of one of the historian actors."""
    return f"historian-{number}"


class HistorianActor:
    """Historian in a process of its own; opened at the first call, keeps nothing over a restart."""

    def __init__(self, settings: Settings, number: int) -> None:
        configure_logging(settings, historian_name(number), open_actor_log(settings))
        faultpoints.install_from_environment()
        self._settings = settings
        self._historian: Historian | None = None
        self._opening = asyncio.Lock()
        self._departure = Departure(self.close)
        self._closed = False

    async def node_id(self) -> str:
        """Where this process is."""
        return own_node()

    async def call(self, method: str, *arguments: Any) -> Any:
        """A method of HistorianPort or RedrivesPort by its name."""
        if self._closed:
            raise StoreUnavailable("this historian is ending; another one follows")
        return await getattr(await self._opened(), method)(*arguments)

    async def status(self) -> dict[str, Any]:
        """For the supervisor: see GroupCommit.status; empty before the first call."""
        return {} if self._historian is None else self._historian.commit_status()

    async def close(self) -> None:
        """Finish the commits that were asked for, take no more."""
        self._closed = True
        if self._historian is not None:
            await self._historian.close()

    async def _opened(self) -> Historian:
        from engine.historian.historian import Historian  # noqa: PLC0415 - callers import this file too, without asyncpg

        async with self._opening:
            if self._historian is None:
                assert self._settings.postgresql_url is not None
                self._historian = await Historian.open(self._settings.postgresql_url, self._settings, SystemClock())
            return self._historian


def start_historian(settings: Settings, namespace: str, number: int, node_id: str | None) -> Any:
    """The handle of one of the historian actors: the living one, or a new one on this node."""
    actor: Any = ray.remote(HistorianActor)
    return actor.options(**placed(historian_name(number), namespace, node_id)).remote(settings, number)


class RemoteHistorian:
    """HistorianPort and RedrivesPort over the historian actors.

    A facility always uses the same one, so that neighbours group.
    """

    def __init__(self, actors: int, namespace: str) -> None:
        self._namespace = namespace
        self._handles: list[Any] = [None] * actors

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        """See HistorianPort; an epoch may have been taken in vain when this raises."""
        try:
            state: FacilityState | None = await self._call(facility_id, "load", facility_id, held_epoch)
        except CommitFenced as error:
            raise CommitFenced(_said(error)) from None
        return state

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        """See HistorianPort."""
        rows: list[StoredReading] = await self._call(
            facility_id, "recent_readings", facility_id, sensor_nos, readings_max
        )
        return rows

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        """See HistorianPort."""
        alarms: list[ToldAlarm] = await self._call(facility_id, "told_alarms", facility_id)
        return alarms

    async def standing_commands(self, facility_id: str) -> list[AlarmCommand]:
        """See HistorianPort."""
        commands: list[AlarmCommand] = await self._call(facility_id, "standing_commands", facility_id)
        return commands

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        """See HistorianPort; a historian that dies with the outcome in hand leaves it UNKNOWN."""
        number = self._number(outcome.facility_id)
        try:
            answer: CommitAnswer = await self._handle(number).call.remote("commit", outcome)
        except StoreUnavailable as error:
            raise StoreUnavailable(_said(error)) from None
        except ACTOR_GONE as error:
            self._handles[number] = None
            return CommitAnswer(Verdict.UNKNOWN, f"the historian did not answer: {str(error)[:200]}")
        return answer

    async def create_facility(self, setup: FacilitySetup) -> Creation:
        """See HistorianPort."""
        made: Creation = await self._call(setup.facility_id, "create_facility", setup)
        return made

    async def park_unknown_facility(
        self, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()
    ) -> list[Parking]:
        """See HistorianPort."""
        facility_id = items[0].facility_id if items else ""
        found: list[Parking] = await self._call(facility_id, "park_unknown_facility", items, letters)
        return found

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        """See HistorianPort."""
        items: list[StoredItem] = await self._call(facility_id, "parked", facility_id, sensor_id)
        return items

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | Unreserved:
        """See HistorianPort."""
        number: int | Unreserved = await self._call(facility_id, "reserve_sensor", sensor_id, facility_id)
        return number

    async def facility_ids(self) -> list[str]:
        """See HistorianPort."""
        ids: list[str] = await self._call("", "facility_ids")
        return ids

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """See HistorianPort."""
        await self._call("", "record_dead_letters", letters)

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        """See HistorianPort."""
        await self._call("", "write_engine_status", component, state)

    async def waiting_redrives(self, kind: str, under_way: Sequence[int], at_most: int) -> list[Redrive]:
        """See RedrivesPort."""
        found: list[Redrive] = await self._call("", "waiting_redrives", kind, under_way, at_most)
        return found

    async def end_redrive(self, row_id: int, subject: Subject | None) -> None:
        """See RedrivesPort."""
        await self._call("", "end_redrive", row_id, subject)

    async def refuse_redrive(self, row_id: int, reason: str, detail: str) -> None:
        """See RedrivesPort."""
        await self._call("", "refuse_redrive", row_id, reason, detail)

    async def _call(self, facility_id: str, method: str, *arguments: Any) -> Any:
        number = self._number(facility_id)
        try:
            return await self._handle(number).call.remote(method, *arguments)
        except StoreUnavailable as error:
            raise StoreUnavailable(_said(error)) from None
        except ACTOR_GONE as error:
            self._handles[number] = None
            raise StoreUnavailable(f"{historian_name(number)} does not answer: {str(error)[:200]}") from error

    def _number(self, facility_id: str) -> int:
        return zlib.crc32(facility_id.encode()) % len(self._handles)

    def _handle(self, number: int) -> Any:
        if self._handles[number] is None:
            try:
                self._handles[number] = ray.get_actor(historian_name(number), namespace=self._namespace)
            except (ValueError, RayError) as error:
                raise StoreUnavailable(f"{historian_name(number)} is not running: {error}") from error
        return self._handles[number]


def _said(error: StoreError) -> str:
    """What the historian said; Ray prints the whole traceback of its process before it."""
    return str(getattr(error, "cause", error))
