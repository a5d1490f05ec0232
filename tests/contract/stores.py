"""The two stores that the contract of the historian is held against, and what the suite needs beside the port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any, NamedTuple, Protocol

import asyncpg

from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.historian.port import HistorianPort
from engine.model import DeadLetter, Detection, SensorType, Verdict
from engine.settings import Settings
from tests.fakes.historian import FakeHistorian
from tests.integration.historian.cutting_proxy import CuttingProxy


class Journaled(NamedTuple):
    """A row of the journal, as far as its place in it goes."""

    id: int
    facility_id: str
    alarm_key: str
    transition: str
    event_time_us: int


class Store(Protocol):
    """A database with a historian on it. What people and housekeeping see and do is no business of the port's."""

    historian: HistorianPort

    async def another(self) -> HistorianPort:
        """A second historian on the same database."""

    async def limited(self, **limits: int) -> HistorianPort:
        """A historian on the same database for which these settings are so."""

    async def go_away(self) -> None:
        """Nobody gets through until `come_back`."""

    def come_back(self) -> None: ...

    def lose_answer(self, *, arrived: bool) -> None:
        """The next COMMIT is sent and its answer lost; `arrived`: the database has heard it."""

    async def withdraw(self, deed: str, facility_id: str, sensor_id: str | None = None) -> int:
        """`retire` or `remove` a facility or one of its sensors as an Admin does; the moment."""

    async def journal(self) -> Sequence[Journaled]:
        """In the order of the ids."""

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """As they are shown, without what they are told apart by."""

    async def engine_status(self, component: str) -> Any: ...

    async def set_detection(self, facility_id: str, subject: SensorType | str, settings: Detection) -> None:
        """What people set for a type of a facility's sensors, or for one sensor by its id."""


class FakeStore:
    """The historian in memory is its own database."""

    def __init__(self) -> None:
        self.historian = FakeHistorian(clock=SystemClock())

    async def another(self) -> HistorianPort:
        return self.historian

    async def limited(self, **limits: int) -> HistorianPort:
        self.historian.limits = Settings(_env_file=None, **limits)  # type: ignore[arg-type]
        return self.historian

    async def go_away(self) -> None:
        self.historian.away = True

    def come_back(self) -> None:
        self.historian.away = False

    def lose_answer(self, *, arrived: bool) -> None:
        if arrived:
            self.historian.lost_answers += 1
        else:
            self.historian.faults.append(Verdict.UNKNOWN)

    async def withdraw(self, deed: str, facility_id: str, sensor_id: str | None = None) -> int:
        at_us = SystemClock().now_us()
        (self.historian.retire if deed == "retire" else self.historian.remove)(facility_id, at_us, sensor_id)
        return at_us

    async def journal(self) -> Sequence[Journaled]:
        return [
            Journaled(number, owner, event.alarm_key, event.transition, event.event_time_us)
            for number, (owner, event) in enumerate(self.historian.events, start=1)
        ]

    async def dead_letters(self) -> Sequence[DeadLetter]:
        return [replace(letter, identity=()) for letter in self.historian.dead_letters]

    async def engine_status(self, component: str) -> Any:
        return self.historian.engine_status[component]

    async def set_detection(self, facility_id: str, subject: SensorType | str, settings: Detection) -> None:
        if isinstance(subject, SensorType):
            self.historian.detection[facility_id, subject] = settings
        else:
            self.historian.sensors[subject] = replace(self.historian.sensors[subject], detection=settings)


class RealStore:
    """PostgreSQL, reached through a proxy that can be cut; the suite looks at it past the proxy."""

    def __init__(self, historian: Historian, proxy: CuttingProxy, database: Any) -> None:
        self.historian = historian
        self._proxy = proxy
        self._database = database
        self._others: list[Historian] = []

    @classmethod
    @asynccontextmanager
    async def on(cls, database_url: str) -> AsyncIterator[RealStore]:
        database = await asyncpg.connect(database_url)
        await database.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)
        async with CuttingProxy(database_url) as proxy:
            store = cls(await _opened(proxy.url), proxy, database)
            yield store
            for each in (store.historian, *store._others):
                await each.close()
        await database.close()

    async def another(self) -> HistorianPort:
        return await self.limited()

    async def limited(self, **limits: int) -> HistorianPort:
        self._others.append(await _opened(self._proxy.url, **limits))
        return self._others[-1]

    async def go_away(self) -> None:
        await self._proxy.go_away()

    def come_back(self) -> None:
        self._proxy.come_back()

    def lose_answer(self, *, arrived: bool) -> None:
        self._proxy.cut_once(word=b"COMMIT", pass_on=arrived)

    async def withdraw(self, deed: str, facility_id: str, sensor_id: str | None = None) -> int:
        await withdraw(self._database, deed, facility_id, sensor_id)
        return SystemClock().now_us()

    async def journal(self) -> Sequence[Journaled]:
        rows = await self._database.fetch(
            "SELECT id, facility_id, alarm_key, transition, (extract(epoch FROM event_time) * 1000000)::int8"
            " FROM alarm_events ORDER BY id"
        )
        return [Journaled(*row) for row in rows]

    async def dead_letters(self) -> Sequence[DeadLetter]:
        names = [each.name for each in fields(DeadLetter) if each.name != "identity"]
        rows = await self._database.fetch(f"SELECT {', '.join(names)} FROM dead_letters ORDER BY id")
        return [DeadLetter(**dict(row), identity=()) for row in rows]

    async def engine_status(self, component: str) -> Any:
        return await self._database.fetchval("SELECT state FROM engine_status WHERE component = $1", component)

    async def set_detection(self, facility_id: str, subject: SensorType | str, settings: Detection) -> None:
        said = {each.name: getattr(settings, each.name) for each in fields(settings)}
        column = "sensor_type" if isinstance(subject, SensorType) else "sensor_id"
        row = {"facility_id": facility_id, column: str(subject), **said}
        await self._database.execute(
            f"INSERT INTO detection_settings ({', '.join(row)})"
            f" VALUES ({', '.join(f'${number}' for number in range(1, len(row) + 1))})",
            *row.values(),
        )


async def withdraw(database: Any, deed: str, facility_id: str, sensor_id: str | None = None) -> None:
    """Through the function that the web server calls, as its Admin."""
    admin_id = await database.fetchval(
        "INSERT INTO users (username, email, hashed_password, role) VALUES ('a', 'a@b', '-', 'Admin')"
        " ON CONFLICT (username) DO UPDATE SET role = 'Admin' RETURNING id"
    )
    await database.execute("SELECT set_config('gasinsight.principal', $1, false)", f"user:{admin_id}")
    kind = "facility" if sensor_id is None else "sensor"
    assert await database.fetchval(f"SELECT {kind}_{deed}($1)", sensor_id or facility_id)


async def _opened(url: str, **limits: int) -> Historian:
    settings = Settings(_env_file=None, group_commit_wait_ms=0, **limits)  # type: ignore[arg-type]
    return await Historian.open(url, settings, SystemClock())
