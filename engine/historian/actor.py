"""The Ray edge of the historian: the actor that holds the database connections, and how others reach it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.historian.historian import Historian
from engine.historian.port import DeadLetter, StoredItem
from engine.logs import configure_logging, open_actor_log
from engine.model import CommitAnswer, FacilitySetup, FacilityState, Outcome, ParkedItem, Verdict
from engine.settings import Settings

ACTOR_OPTIONS = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0, "lifetime": "detached"}


def historian_name(number: int) -> str:
    """The Ray name of one of the historian actors."""
    return f"historian-{number}"


class HistorianActor:
    """Historian in a process of its own; opened at the first call, keeps nothing over a restart."""

    def __init__(self, settings: Settings, number: int) -> None:
        configure_logging(settings, historian_name(number), open_actor_log(settings))
        self._settings = settings
        self._historian: Historian | None = None
        self._opening = asyncio.Lock()

    async def call(self, method: str, *arguments: Any) -> Any:
        """A method of HistorianPort by its name."""
        return await getattr(await self._opened(), method)(*arguments)

    async def close(self) -> None:
        """Finish the commits that were asked for."""
        if self._historian is not None:
            await self._historian.close()

    async def _opened(self) -> Historian:
        async with self._opening:
            if self._historian is None:
                assert self._settings.database_url is not None
                self._historian = await Historian.open(self._settings.database_url, self._settings, SystemClock())
            return self._historian


def start_historians(settings: Settings, namespace: str) -> None:
    """Start the historian actors of the settings, or find those that live."""
    actor = ray.remote(HistorianActor)
    for number in range(settings.historian_actors):
        options = actor.options(name=historian_name(number), namespace=namespace, get_if_exists=True, **ACTOR_OPTIONS)
        options.remote(settings, number)


class RemoteHistorian:
    """HistorianPort over the historian actors. A facility always uses the same one, so that neighbours group."""

    def __init__(self, actors: int, namespace: str) -> None:
        self._namespace = namespace
        self._handles: list[Any] = [None] * actors

    async def load(self, facility_id: str) -> FacilityState | None:
        """See HistorianPort; an epoch may have been taken in vain when this raises."""
        state: FacilityState | None = await self._call(facility_id, "load", facility_id)
        return state

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        """See HistorianPort; a historian that dies with the outcome in hand leaves it UNKNOWN."""
        number = self._number(outcome.facility_id)
        try:
            answer: CommitAnswer = await self._handle(number).call.remote("commit", outcome)
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error)) from None
        except RayActorError as error:
            self._handles[number] = None
            return CommitAnswer(Verdict.UNKNOWN, f"the historian did not answer: {str(error)[:200]}")
        return answer

    async def create_facility(self, setup: FacilitySetup) -> bool:
        """See HistorianPort."""
        return bool(await self._call(setup.facility_id, "create_facility", setup))

    async def park_unknown_facility(self, items: Sequence[ParkedItem]) -> list[bool]:
        """See HistorianPort."""
        flags: list[bool] = await self._call(items[0].facility_id if items else "", "park_unknown_facility", items)
        return flags

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        """See HistorianPort."""
        items: list[StoredItem] = await self._call(facility_id, "parked", facility_id, sensor_id)
        return items

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | None:
        """See HistorianPort."""
        number: int | None = await self._call(facility_id, "reserve_sensor", sensor_id, facility_id)
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

    async def _call(self, facility_id: str, method: str, *arguments: Any) -> Any:
        number = self._number(facility_id)
        try:
            return await self._handle(number).call.remote(method, *arguments)
        except StoreUnavailable as error:
            raise StoreUnavailable(str(error)) from None
        except RayActorError as error:
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
