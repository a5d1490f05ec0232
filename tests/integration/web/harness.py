"""A real web server for tests: hypercorn on loopback, a real PostgreSQL, live values from a feed the test holds."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import argon2
import asyncpg
import httpx
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

import web.app
from engine.errors import ClusterUnavailable
from engine.live import LiveChunk
from engine.processes.polling import answers, trust
from engine.processes.ports import free_port
from engine.settings import Settings
from web.app import create_app
from web.auth.passwords import Passwords
from web.edge.server import set_server_defaults
from web.preparation import Preparation

ADMIN_EMAIL = "boss@plant.example"
ADMIN_PASSWORD = "correct horse battery"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
PAST = datetime(2026, 1, 1, tzinfo=UTC)


class HeldFeed:
    """Live values as the test publishes them."""

    def __init__(self) -> None:
        self.watching: dict[str, list[asyncio.Queue[LiveChunk | None]]] = {}
        self.is_away = False
        self.stands = asyncio.Event()
        self.stands.set()

    async def watch(self, facility_id: str) -> AsyncIterator[LiveChunk]:
        if self.is_away:
            raise ClusterUnavailable("the test took it away")
        queue: asyncio.Queue[LiveChunk | None] = asyncio.Queue()
        self.watching.setdefault(facility_id, []).append(queue)
        try:
            await self.stands.wait()
            yield LiveChunk(facility_id, ())
            while (chunk := await queue.get()) is not None:
                yield chunk
            raise ClusterUnavailable("the test ended it")
        finally:
            self.watching[facility_id].remove(queue)

    def publish(self, facility_id: str, *readings: tuple[str, str, str], snapshot: bool = False) -> list[str]:
        """(sensor_id, tracked_at, data) to all who watch; returns the frames."""
        frames = []
        for sensor_id, tracked_at, data in readings:
            body = {"sensor_id": sensor_id, "facility_id": facility_id, "tracked_at": tracked_at, "data": data}
            tracked_at_us = round(datetime.fromisoformat(tracked_at).replace(tzinfo=UTC).timestamp() * 1e6)
            frames.append((sensor_id, tracked_at_us, json.dumps(body).encode()))
        for queue in self.watching.get(facility_id, []):
            queue.put_nowait(LiveChunk(facility_id, tuple(frames), snapshot=snapshot))
        return [frame.decode() for _, _, frame in frames]

    def interrupt(self, facility_id: str) -> None:
        for queue in self.watching.get(facility_id, []):
            queue.put_nowait(None)

    async def until_watched(self, facility_id: str, watchers: int = 1) -> None:
        async with asyncio.timeout(5):
            while len(self.watching.get(facility_id, [])) != watchers:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(app: Quart, port: int = 0) -> AsyncIterator[int]:
    """The port on which hypercorn serves `app`; 0: a free one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    set_server_defaults()
    config = Config()
    port = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.graceful_timeout = 0.2
    config.errorlog = None
    config.accesslog = "-"
    config.access_log_format = "%(R)s %(s)s"
    stop = asyncio.Event()
    task = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        await _until_served(port)
        yield port
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def _until_served(port: int) -> None:
    """Wait until there is an answer, whichever."""
    async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False, verify=trust()) as client:
        while True:
            with suppress(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/livez")
                return
            await asyncio.sleep(0.02)


async def until_answered(url: str, seconds: float = 20) -> None:
    """Wait until a GET is answered with 200."""
    async with asyncio.timeout(seconds):
        while not await answers(url):
            await asyncio.sleep(0.02)


def settings_for(database_url: str, data_dir: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "database_url": database_url,
        "data_dir": data_dir,
        "secret_key": "a key of this test, long enough to sign with",
        "notification_key": "another key of this test, to seal with",
        "admin_email": ADMIN_EMAIL,
        "admin_password": ADMIN_PASSWORD,
    }
    return Settings(_env_file=None, **{**values, **changes})  # type: ignore[arg-type]


class Prepared(Preparation):
    """As if there had been a database with an admin in it."""

    async def check_schema(self) -> None: ...

    async def _prepare(self) -> None: ...


def app_beside_no_database(data_dir: Path, **changes: object) -> Quart:
    """For what is decided without one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web.app, "Preparation", Prepared)
        settings = settings_for("postgresql://127.0.0.1:1/none", data_dir, **changes)
        return create_app(settings, HeldFeed(), passwords=Passwords(CHEAP))


@dataclass
class Web:
    """A running server, a client of it, a way into its database and its feed."""

    port: int
    client: httpx.AsyncClient
    database: asyncpg.Connection
    feed: HeldFeed
    settings: Settings

    def ws(self, path: str, **query: object) -> str:
        return f"ws://127.0.0.1:{self.port}{path}?{httpx.QueryParams({k: str(v) for k, v in query.items()})}"

    async def sign_in(self, username: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> dict[str, Any]:
        answer = await self.client.post("/auth/token", data={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        pair: dict[str, Any] = answer.json()
        return pair

    async def admin(self) -> dict[str, str]:
        return bearer(await self.sign_in())

    async def user(self, name: str, *permitted: tuple[str, str]) -> tuple[int, dict[str, str], str]:
        """A new User with permissions: id, headers, access token."""
        admin = await self.admin()
        made = await self.client.post(
            "/users", headers=admin, json={"username": name, "email": f"{name}@plant.example", "password": "pw " + name}
        )
        assert made.status_code == 200, made.text
        for facility_id, kind in permitted:
            granted = await self.client.post(
                "/permissions",
                headers=admin,
                json={"user_id": made.json()["id"], "facility_id": facility_id, "permission_type": kind},
            )
            assert granted.status_code == 200, granted.text
        pair = await self.sign_in(f"{name}@plant.example", "pw " + name)
        return made.json()["id"], bearer(pair), pair["access_token"]

    async def api_key(self, name: str, *permitted: tuple[str, str], days: int = 7) -> dict[str, Any]:
        """A new API key with permissions, shown as to its maker."""
        facilities = [{"facility_id": facility_id, "permission_type": kind} for facility_id, kind in permitted]
        body = {"name": name, "facilities": facilities, "days": days}
        answer = await self.client.post("/api-keys", headers=await self.admin(), json=body)
        assert answer.status_code == 200, answer.text
        key: dict[str, Any] = answer.json()
        return key

    async def facility(
        self, facility_id: str, name: str = "North", kind: str = "TankFarm", status: str = "Active"
    ) -> None:
        await self.database.execute(
            """WITH place AS (
                   INSERT INTO locations (address, longitude, latitude) VALUES ('Road 1', 7.5, 51.25) RETURNING id)
               INSERT INTO facilities (id, name, status, type, location_id, created_at)
               SELECT $1, $2, $4, $3, id, $5 FROM place""",
            facility_id,
            name,
            kind,
            status,
            PAST,
        )

    async def sensor(
        self,
        sensor_id: str,
        facility_id: str,
        kind: str = "Temperature",
        freq: str = "15S",
        expected_interval_s: int = 15,
    ) -> int:
        number: int = await self.database.fetchval(
            """INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
                                    status_changed_at)
               VALUES ($1, $2, 'Sensor ' || $1, 'Active', $3, $4, $5, $6, $6) RETURNING sensor_no""",
            sensor_id,
            facility_id,
            kind,
            freq,
            expected_interval_s,
            PAST,
        )
        return number

    async def readings(self, sensor_no: int, *readings: tuple[datetime, str]) -> None:
        """Stored as the engine stores them: the text only where it differs from Python's spelling; rollups marked."""
        rows = []
        for tracked_at, text in readings:
            try:
                value: float | None = float(text)
            except ValueError:
                value = None
            rows.append((sensor_no, tracked_at, value, None if value is not None and repr(value) == text else text))
        await self.database.executemany(
            "INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, flags) VALUES ($1, $2, $3, $4, 0)",
            rows,
        )
        await self.database.execute(
            """INSERT INTO rollup_dirty (facility_id, minute)
               SELECT DISTINCT facility_id, date_trunc('minute', at)
                 FROM sensors CROSS JOIN unnest($2::timestamptz[]) at WHERE sensor_no = $1""",
            sensor_no,
            [tracked_at for tracked_at, _ in readings],
        )

    async def alarm(
        self, facility_id: str, alarm_id: str, sensor_no: int | None = None, since: datetime = PAST, **columns: object
    ) -> int:
        """An unacknowledged alarm of the present and the row of the journal that it comes from, but for `columns`."""
        rule = alarm_id.rpartition(":")[2]
        event_id: int = await self.database.fetchval(
            """INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition,
                   event_time, recorded_at, priority, alert_type, message, value, limit_value, explanation, late, actor,
                   reason)
               VALUES (nextval('alarm_events_id_seq'), $1, $2, $3, $4, 1, 'activated', $5, $5, 'high', 'Anomaly',
                   'too high', 26, 25, '{}', false, 'system', '') RETURNING id""",
            facility_id,
            alarm_id,
            sensor_no,
            rule,
            since,
        )
        row = {
            "facility_id": facility_id,
            "alarm_key": alarm_id,
            "sensor_no": sensor_no,
            "rule": rule,
            "active": True,
            "acknowledged": False,
            "suppression": "none",
            "latched": False,
            "priority": "high",
            "since": since,
            "last_event_id": event_id,
            "message": "too high",
            "value": 26.0,
            "limit_value": 25.0,
            **columns,
        }
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.database.execute(f"INSERT INTO alarms ({', '.join(row)}) VALUES ({places})", *row.values())
        return event_id

    async def decide(self, refusal: str | None = None) -> None:
        """What waits is in force, or refused, as the engine would write it."""
        await self.database.execute(
            """UPDATE alarm_commands SET state = CASE WHEN $1::text IS NULL THEN 'done' ELSE 'refused' END,
                   refusal = coalesce($1, ''), decided_at = now() WHERE state = 'waiting'""",
            refusal,
        )

    async def alert(
        self,
        facility_id: str,
        sensor_no: int | None,
        message: str,
        transition: str = "activated",
        explanation: dict[str, Any] | None = None,
    ) -> int:
        """A row of the journal, committed with its notification."""
        async with self.database.transaction():
            await self.database.execute("SELECT pg_advisory_xact_lock(1)")
            alert_id: int = await self.database.fetchval(
                """INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition,
                       event_time, recorded_at, priority, alert_type, message, explanation, late, actor, reason)
                   VALUES (nextval('alarm_events_id_seq'), $1, gen_random_uuid()::text, $2, 'high', 1, $4,
                       now(), now(), 'high', 'Anomaly', $3, $5::text::jsonb, false, 'system', '') RETURNING id""",
                facility_id,
                sensor_no,
                message,
                transition,
                json.dumps(explanation or {}),
            )
            await self.database.execute("SELECT pg_notify('alarm_events', '')")
        return alert_id


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


@asynccontextmanager
async def web_server(database_url: str, data_dir: Path, **changes: object) -> AsyncIterator[Web]:
    settings = settings_for(database_url, data_dir, **changes)
    feed = HeldFeed()
    database = await asyncpg.connect(database_url)
    try:
        async with (
            serving(create_app(settings, feed, passwords=Passwords(CHEAP))) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, verify=trust()) as client,
        ):
            await until_answered(f"http://127.0.0.1:{port}/readyz?part=web")
            yield Web(port, client, database, feed, settings)
    finally:
        await database.close()


class Restarting:
    """The server of a `Web` once more, on a port of its own, to be stopped and started."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.port = free_port("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.port}"
        self._running = AsyncExitStack()

    async def start(self) -> None:
        app = create_app(self.web.settings, self.web.feed, passwords=Passwords(CHEAP))
        await self._running.enter_async_context(serving(app, self.port))
        await until_answered(f"{self.url}/readyz?part=web")

    async def stop(self) -> None:
        await self._running.aclose()
