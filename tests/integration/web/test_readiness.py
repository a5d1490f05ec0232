"""Whoever asks before the server can know the answer is told to ask again, never that they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from quart import Quart
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.client import GasInSight, NotSignedIn
from engine.errors import SettingsError
from tests.integration.web.harness import (
    ADMIN_EMAIL,
    ADMIN_PASSWORD,
    CHEAP,
    HeldFeed,
    serving,
    settings_for,
    until_answered,
)
from tests.integration.web.test_hostile import ORIGIN, Relay
from web.app import create_app
from web.auth.first_admin import LOCK, LOCK_KEY
from web.auth.password_line import Asker
from web.auth.passwords import Passwords

pytestmark = pytest.mark.postgres

FORM = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
OLDER = "UPDATE alembic_version SET version_num = '0010'"


class SlowPasswords(Passwords):
    """Hashes nothing until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.go_on = asyncio.Event()

    async def hash(self, password: str, asker: Asker) -> str:
        await self.go_on.wait()
        return await super().hash(password, asker)


@dataclass
class Starting:
    """A server that answers HTTP, prepared or not."""

    port: int
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def sign_in(self, password: str = ADMIN_PASSWORD) -> httpx.Response:
        return await self.client.post("/auth/token", data={**FORM, "password": password}, headers=ORIGIN)

    async def part(self) -> httpx.Response:
        return await self.client.get("/readyz", params={"part": "web"})

    async def refuses_all_for_now(self, because: str) -> None:
        """503 on everything that has to know something; probes and pages are answered."""
        for method, path in (("POST", "/auth/token"), ("GET", "/users/me"), ("POST", "/auth/refresh-token")):
            answer = await self.client.request(method, path, data=FORM, headers=ORIGIN)
            assert answer.status_code == 503, (path, answer.text)
            assert answer.json() == {"detail": "The server is starting; ask again soon"}
            assert float(answer.headers["retry-after"]) > 0
            assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{self.port}/ws/notifications?token=x"):
                pass
        assert refused.value.response.status_code == 503
        part = await self.part()
        assert part.status_code == 503
        assert because in part.json()["checks"]["web"]["detail"], part.text
        assert (await self.client.get("/readyz")).json()["checks"]["web"]["ready"] is False
        for path in ("/livez", "/", "/openapi.json"):
            assert (await self.client.get(path)).status_code == 200
        assert (await self.client.get("/not-there")).status_code == 404

    async def answers_truly(self) -> None:
        """From the moment on at which it says so."""
        await until_answered(f"{self.url}/readyz?part=web")
        assert (await self.sign_in("not the password")).status_code == 401
        assert (await self.sign_in()).status_code == 200


@asynccontextmanager
async def starting(app: Quart) -> AsyncIterator[Starting]:
    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield Starting(port, client)


async def test_nobody_is_called_wrong_before_the_first_admin_is_made(database_url: str, tmp_path: Path) -> None:
    passwords = SlowPasswords()
    async with starting(create_app(settings_for(database_url, tmp_path), HeldFeed(), passwords=passwords)) as server:
        await server.refuses_all_for_now("first admin")
        passwords.go_on.set()
        await server.answers_truly()


async def test_an_ordinary_start_refuses_nobody(database_url: str, tmp_path: Path) -> None:
    """Not even the first who asks: it listens when all is prepared."""
    app = create_app(settings_for(database_url, tmp_path), HeldFeed(), passwords=Passwords(CHEAP))
    async with starting(app) as server:
        assert (await server.sign_in()).status_code == 200


async def test_every_process_waits_for_the_one_that_makes_the_first_admin(database_url: str, tmp_path: Path) -> None:
    maker = await asyncpg.connect(database_url)
    try:
        async with AsyncExitStack() as running:
            async with maker.transaction():
                await maker.execute(LOCK, LOCK_KEY)
                begun = [
                    starting(create_app(settings_for(database_url, tmp_path), HeldFeed(), passwords=Passwords(CHEAP)))
                    for _ in range(2)
                ]
                servers = await asyncio.gather(*(running.enter_async_context(one) for one in begun))
                for server in servers:
                    await server.refuses_all_for_now("first admin")
            for server in servers:
                await server.answers_truly()
    finally:
        await maker.close()


async def test_a_schema_that_turns_out_to_be_older_is_waited_for(database_url: str, tmp_path: Path) -> None:
    """The database was away at the start; one that is there and older keeps the process from starting."""
    relay = Relay(database_url)
    rows = await asyncpg.connect(database_url)
    newest = await rows.fetchval("SELECT version_num FROM alembic_version")
    await rows.execute(OLDER)
    try:
        with pytest.raises(SettingsError, match="gasinsight db upgrade"):
            await create_app(settings_for(database_url, tmp_path), HeldFeed()).startup()
        async with relay.running() as url:
            app = create_app(settings_for(url, tmp_path), HeldFeed(), passwords=Passwords(CHEAP))
            async with starting(app) as server:
                await server.refuses_all_for_now("asking the database for its revision")
                relay.is_up = True
                await eventually(lambda: says(server, "run `gasinsight db upgrade` first"))
                await server.refuses_all_for_now("run `gasinsight db upgrade` first")
                await rows.execute("UPDATE alembic_version SET version_num = $1", newest)
                await server.answers_truly()
    finally:
        await rows.close()


async def test_a_database_in_recovery_is_waited_for(database_url: str, tmp_path: Path) -> None:
    """It answers, and takes no changes; nobody could sign in."""
    name = urlsplit(database_url).path.strip("/")
    rows = await asyncpg.connect(database_url)
    await rows.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        app = create_app(settings_for(database_url, tmp_path), HeldFeed(), passwords=Passwords(CHEAP))
        async with starting(app) as server:
            await server.refuses_all_for_now("takes no changes")
            await rows.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            await rows.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
                name,
            )  # unlike the end of a recovery, the setting is taken at the beginning of a session
            await server.answers_truly()
    finally:
        await rows.close()


async def test_a_start_that_can_never_come_to_its_end_is_no_life(database_url: str, tmp_path: Path) -> None:
    """What nobody foresaw is not waited for: the process is to be restarted, and its log read."""
    rows = await asyncpg.connect(database_url)
    await rows.execute("ALTER TABLE users RENAME COLUMN role TO no_longer_there")
    await rows.close()
    async with starting(create_app(settings_for(database_url, tmp_path), HeldFeed())) as server:
        alive = await server.client.get("/livez")
        assert (alive.status_code, alive.json()["detail"]) == (503, "crashed: preparation")
        part = await server.part()
        assert (part.status_code, "crashed: preparation" in part.json()["detail"]) == (503, True)
        assert (await server.sign_in()).status_code == 503


async def test_a_client_gets_over_the_start_and_is_told_a_wrong_password(database_url: str, tmp_path: Path) -> None:
    passwords = SlowPasswords()
    app = create_app(settings_for(database_url, tmp_path), HeldFeed(), passwords=passwords)
    async with starting(app) as server, GasInSight(server.url, ADMIN_EMAIL, ADMIN_PASSWORD) as gis:
        asking = asyncio.create_task(gis.me())
        await asyncio.sleep(0.5)
        assert not asking.done()
        passwords.go_on.set()
        assert (await asking).email == ADMIN_EMAIL
        await until_answered(f"{server.url}/readyz?part=web")
        async with GasInSight(server.url, ADMIN_EMAIL, "not the password") as other:
            with pytest.raises(NotSignedIn):
                await other.me()


async def says(server: Starting, words: str) -> bool:
    return words in (await server.part()).json()["detail"]


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.05)
