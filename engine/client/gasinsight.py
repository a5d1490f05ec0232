"""`GasInSight`: one signed-in user or service account, and everything it may ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from engine.client.admin import Admin
from engine.client.alarms import Alarms
from engine.client.asking import Answer, Asking, Part, quoted
from engine.client.connection import Connection
from engine.client.detection import Detection
from engine.client.errors import NotSignedIn
from engine.client.frames import frame_of
from engine.client.groups import Groups
from engine.client.history import SENSORS_AT_ONCE, Wanted, history_query, range_query
from engine.client.notifications import Notifications
from engine.client.replays import Replays
from engine.client.reports import Reports
from engine.client.rules import Rules
from engine.client.session import ApiKey, Caller, Login, Session, TellTokens
from engine.client.set_aside import SetAside
from engine.client.shapes import (
    Alert,
    AlertWithDetails,
    Dashboard,
    Facility,
    LiveAlert,
    Reading,
    Records,
    RecordsOfSensors,
    Sensor,
    StoredReading,
    StoredReadings,
    Tokens,
    User,
)
from engine.client.streams import Streams, TellAway

if TYPE_CHECKING:
    from engine.client.frames import Frame

TIMEOUT_S = 15.0
PAGE_ROWS = 500

AlertKind = TypeVar("AlertKind", bound=Alert)


class GasInSight(Asking):
    """Signs in when it is first asked something, and stays signed in.

    One of: `email` (a user name is taken too) with `password`; `tokens` of an earlier login; `api_key` (`gik_…`) of a
    service account. `on_tokens` is told every new pair, and None after the login's end: keep the newest to start with
    it the next time. `timeout_s` is for one attempt; what only reads is attempted up to three times, or for ten
    seconds while the server may be starting.
    """

    def __init__(
        self,
        url: str,
        email: str | None = None,
        password: str | None = None,
        *,
        tokens: Tokens | None = None,
        api_key: str | None = None,
        on_tokens: TellTokens | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if (email is None) != (password is None):
            raise ValueError("an e-mail address and a password go together")
        if (api_key is None) == (email is None and tokens is None):
            raise ValueError("give e-mail and password, tokens of an earlier login, or an api_key")
        self._connection = Connection(url, timeout_s)
        self._session: Session | None = None
        if api_key is None:
            login = Login(email, password) if email is not None and password is not None else None
            self._session = Session(self._connection, login, tokens, on_tokens or _untold)
        super().__init__(Caller(self._connection, self._session or ApiKey(api_key or "")))
        self._streams = Streams(self._caller)
        self.admin = Admin(self)
        self.detection = Detection(self)
        self.groups = Groups(self)
        self.alarms = Alarms(self, self._streams)
        self.reports = Reports(self)
        self.replays = Replays(self)
        self.notifications = Notifications(self)
        self.set_aside = SetAside(self)
        self.rules = Rules(self)

    async def __aenter__(self) -> GasInSight:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End streams and connections; the login stays good for the tokens that were told."""
        await self._streams.close()
        await self._connection.close()

    @property
    def url(self) -> str:
        return self._connection.url

    @property
    def tokens(self) -> Tokens | None:
        """The pair in use; None before the first call and with an API key."""
        return self._session.tokens if self._session else None

    async def sign_in(self) -> None:
        """Now, with the password: to know at once whether it is right. Calls do it by themselves."""
        if self._session is None:
            raise NotSignedIn("an API key does not sign in")
        await self._session.sign_in()

    async def sign_out(self) -> None:
        """The tokens of this login, told ones too, are void afterwards."""
        if self._session is None:
            raise NotSignedIn("an API key does not sign out; revoke it")
        try:
            await self._caller.ask("POST", "/auth/logout")
        finally:
            self._session.forget()

    async def change_password(self, current: str, new: str) -> None:
        """One's own. All other logins of ours end, this one goes on."""
        if self._session is None:
            raise NotSignedIn("an API key has no password")
        body = {"current_password": current, "new_password": new}
        self._session.password_changed(await self.send(Tokens, "POST", "/auth/password", body), new)

    async def me(self) -> User:
        return await self.get(User, "/users/me")

    # facilities and sensors

    async def facilities(self) -> list[Facility]:
        """All that we may view, by name."""
        return await self._all(Facility, "/facilities")

    async def facility(self, facility_id: str) -> Facility:
        return await self.get(Facility, f"/facilities/{quoted(facility_id)}")

    async def rename_facility(self, facility_id: str, name: str) -> Facility:
        """Needs Edit."""
        return await self.send(Facility, "PUT", f"/facilities/{quoted(facility_id)}", {"name": name})

    async def sensors(self, facility_id: str | None = None, *, latest: bool = False) -> list[Sensor]:
        """Of one facility, or all that we may view, by name; `latest` adds the newest reading of each."""
        query: dict[str, Any] = {} if facility_id is None else {"facility_id": facility_id}
        return await self._all(Sensor, "/sensors", **query, **({"latest": True} if latest else {}))

    async def sensor(self, sensor_id: str) -> Sensor:
        return await self.get(Sensor, f"/sensors/{quoted(sensor_id)}")

    async def change_sensor(
        self, sensor_id: str, *, name: str | None = None, status: str | None = None, expected_freq: str | None = None
    ) -> Sensor:
        """What is None stays. `expected_freq`: 15S, 1T. Needs Edit."""
        changes = {"name": name, "status": status, "expected_freq": expected_freq}
        changes = {key: value for key, value in changes.items() if value is not None}
        return await self.send(Sensor, "PUT", f"/sensors/{quoted(sensor_id)}", changes)

    # history

    async def records(
        self, sensor_id: str, start: datetime, end: datetime | None = None, **wanted: Unpack[Wanted]
    ) -> Records:
        """Readings on a regular grid from `start` to `end` (now, without one), both with a zone.

        Unusable above 100,000 cells. `analytics` is over the readings themselves.
        """
        query = history_query(start, end, wanted)
        return await self.get(Records, f"/sensor-records/{quoted(sensor_id)}", **query)

    async def records_of(
        self, sensor_ids: Sequence[str], start: datetime, end: datetime | None = None, **wanted: Unpack[Wanted]
    ) -> dict[str, Records]:
        """The `records` of several sensors by their ids, 20 in a request; NotPermitted if one may not be viewed."""
        query = history_query(start, end, wanted)
        found: dict[str, Records] = {}
        for place in range(0, len(sensor_ids), SENSORS_AT_ONCE):
            some = list(sensor_ids[place : place + SENSORS_AT_ONCE])
            answer = await self.get(RecordsOfSensors, "/sensor-records", **query, sensor_id=some)
            found |= {one.sensor_id: one for one in answer.grids}
        return found

    async def records_frame(
        self, sensor_id: str, start: datetime, end: datetime | None = None, **wanted: Unpack[Wanted]
    ) -> Frame:
        """The `records` as columns tracked_at (UTC), value (null for text), data. Needs polars."""
        return frame_of((await self.records(sensor_id, start, end, **wanted)).records)

    async def stored_readings(
        self, sensor_id: str, start: datetime, end: datetime | None = None, *, newest_first: bool = False
    ) -> AsyncGenerator[StoredReading, None]:
        """Every reading as it is stored, in order of time; parts are fetched as they are needed."""
        query = range_query(start, end) | {"order": "desc" if newest_first else "asc"}
        after: dict[str, str] = {}
        while True:
            part = await self.get(StoredReadings, f"/sensor-readings/{quoted(sensor_id)}", **query, **after)
            for reading in part.readings:
                yield reading
            if part.next is None:
                return
            after = {"after": part.next}

    async def dashboard(self, facility_id: str | None = None) -> Dashboard:
        """Counts over one facility, or over all that we may view."""
        return await self.get(
            Dashboard, "/dashboard" if facility_id is None else f"/dashboard/facility/{quoted(facility_id)}"
        )

    # alerts

    async def recent_alerts(self, limit: int = 20) -> list[AlertWithDetails]:
        """The newest, newest first."""
        return await self.rows(AlertWithDetails, "/alerts/recent", limit=limit)

    async def alerts_part(self, *, skip: int = 0, limit: int = 100) -> Part[AlertWithDetails]:
        """Some of the alerts that we may view, newest first, and how many there are."""
        return await self.part(AlertWithDetails, "/alerts", skip=skip, limit=limit)

    async def alerts(self) -> AsyncGenerator[AlertWithDetails, None]:
        """Every alert that we may view, newest first; pages are fetched as they are needed."""
        async for alert in self._newest_first(AlertWithDetails, "/alerts"):
            yield alert

    async def facility_alerts(self, facility_id: str) -> AsyncGenerator[Alert, None]:
        """Every alert of one facility, newest first."""
        async for alert in self._newest_first(Alert, f"/alerts/facility/{quoted(facility_id)}"):
            yield alert

    # live

    def readings(self, sensor_id: str, *, on_away: TellAway | None = None) -> AsyncGenerator[Reading, None]:
        """Readings of one sensor as they are committed, until you stop or lose the right.

        A lost connection is opened again, with growing waits; `on_away` is told each time why. What was missed is not
        sent again: the next reading has a `gap`. Whoever reads slowly gets the newest values only.
        """
        path = quoted(sensor_id)
        return self._streams.readings(f"/ws/sensor-data/{path}", f"/sensors/{path}", on_away)

    def facility_readings(self, facility_id: str, *, on_away: TellAway | None = None) -> AsyncGenerator[Reading, None]:
        """The same for every sensor of a facility, over one connection."""
        path = quoted(facility_id)
        return self._streams.readings(f"/ws/facility-data/{path}", f"/facilities/{path}", on_away)

    async def alerts_live(
        self, *, after_id: int | None = None, on_away: TellAway | None = None
    ) -> AsyncGenerator[LiveAlert, None]:
        """Each new alert once and in order, also over lost connections and restarts of the server.

        `after_id`: go on after this `alert_id`, which may be of an earlier run; without it, from now on.
        """
        newest_id = 0
        if after_id is None:
            newest = await self.recent_alerts(1)
            newest_id = newest[0].id if newest else 0
        async for alert in self._streams.alerts(after_id, newest_id, on_away):
            yield alert

    # pages

    async def _all(self, kind: type[Answer], path: str, **query: Any) -> list[Answer]:
        found: list[Answer] = []
        while True:
            page = await self.part(kind, path, skip=len(found), limit=PAGE_ROWS, **query)
            found += page.rows
            if len(page.rows) < PAGE_ROWS or len(found) == page.total:
                return found

    async def _newest_first(self, kind: type[AlertKind], path: str) -> AsyncGenerator[AlertKind, None]:
        """New alerts push the pages along while we turn them: what we had comes again and is left out."""
        skip = 0
        last_id: int | None = None
        while True:
            page = await self.rows(kind, path, skip=skip, limit=PAGE_ROWS)
            for alert in page:
                if last_id is None or alert.id < last_id:
                    last_id = alert.id
                    yield alert
            if len(page) < PAGE_ROWS:
                return
            skip += len(page)


def _untold(tokens: Tokens | None) -> None:
    """Nobody keeps the tokens."""
