"""Behind PgBouncer, as docs/operations.md says: the web server's questions go through it, whatever its mode; what needs
a session goes to PostgreSQL itself, and a pooler that nobody spoke of is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio

from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.historian import audit, drained, overview, restored, web_role
from engine.historian.connecting import POOLER_ADVICE
from engine.historian.historian import Historian
from engine.historian.leadership import try_lead
from engine.historian.notifications import CONFIGURATION, News
from engine.settings import Settings
from migrations import upgrade
from tests.integration.historian.outcomes import load, outcome, setup
from tests.integration.historian.pooler import needs_pgbouncer, pgbouncer
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, CHEAP, HeldFeed, serving, settings_for
from web.app import create_app
from web.auth.passwords import Passwords
from web.database import Database

pytestmark = [pytest.mark.postgres, needs_pgbouncer]
MODES = ("session", "transaction")
LETS_PASS = (
    "ignore_startup_parameters = jit,lock_timeout,statement_timeout,idle_in_transaction_session_timeout,"
    "tcp_user_timeout,tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,work_mem"
)
WHO = "SELECT current_user::text || ' ' || coalesce(current_setting('gasinsight.principal', true), '')"


@pytest_asyncio.fixture(params=MODES)
async def pooled(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Database]:
    """Four connections of ours on two sessions of PostgreSQL."""
    sessions = 4 if request.param == "session" else 2
    async with pgbouncer(database_url, request.param, sessions=sessions) as url:
        database = Database(f"{url}?pgbouncer=true", 4, 7.0, direct_url=database_url)
        await database.open()
        yield database
        await database.close()


async def test_questions_go_through_a_pooler_of_any_mode(pooled: Database) -> None:
    async def ask(number: int) -> None:
        viewer = pooled.bound_to(f"user:{number}", read_only=True)
        assert await pooled.value("SELECT $1::int + $2::int", number, 1) == number + 1
        assert [dict(row) for row in await pooled.rows(f"SELECT $1::text AS text_{number % 7}", str(number))] == [
            {f"text_{number % 7}": str(number)}
        ]
        assert await viewer.value(WHO) == f"gasinsight_web user:{number}"
        async with pooled.transaction() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            assert await connection.fetchval("SELECT pg_backend_pid()") == first

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert await pooled.value(WHO) == "gasinsight "


async def test_each_transaction_has_our_settings_and_leaves_none_behind(pooled: Database, database_url: str) -> None:
    for asked in (pooled, pooled.bound_to("user:1", read_only=True)):
        for name, value in {"statement_timeout": "7s", "work_mem": "16MB", "jit": "off", "timezone": "UTC"}.items():
            assert await asked.value(f"SHOW {name}") == value
    for _ in range(8):
        async with pooled.bare_connection() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "0"


async def test_a_wrong_statement_is_rolled_back(pooled: Database) -> None:
    for asked in (pooled, pooled.bound_to("user:1", read_only=False)):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await asked.value("SELECT 1 / 0")
        assert await asked.value("SELECT 1") == 1
    with pytest.raises(RuntimeError):
        async with pooled.transaction() as connection:
            await connection.execute("INSERT INTO drained_nodes VALUES ('n', 'a', now())")
            raise RuntimeError
    assert await pooled.value("SELECT count(*) FROM drained_nodes") == 0


async def test_who_listens_has_a_session_of_its_own(pooled: Database, database_url: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with pooled.own_connection() as connection:
        await connection.add_listener("alarm_events", lambda *message: heard.put_nowait(str(message[3])))
        for word in ("one", "two"):
            await pooled.execute("SELECT pg_notify('alarm_events', $1)", word)
            assert await asyncio.wait_for(heard.get(), 5) == word


@pytest.mark.parametrize("mode", MODES)
async def test_a_web_server_behind_a_pooler_serves(mode: str, database_url: str, tmp_path: Path) -> None:
    sessions = 8 if mode == "session" else 2
    async with pgbouncer(database_url, mode, sessions=sessions) as url:
        settings = settings_for(f"{url}?pgbouncer=true", tmp_path, database_direct_url=database_url)
        async with (
            serving(create_app(settings, HeldFeed(), passwords=Passwords(CHEAP))) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
        ):
            form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
            async with asyncio.timeout(20):
                while (answer := await client.post("/auth/token", data=form)).status_code != 200:
                    await asyncio.sleep(0.2)
            admin = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            new = {"username": "ann", "email": "ann@plant.example", "password": "a long password"}
            assert (await client.post("/users", headers=admin, json=new)).status_code == 200
            asked = [client.get(path, headers=admin) for path in ("/users", "/facilities", "/alerts", "/audit") * 10]
            assert {each.status_code for each in await asyncio.gather(*asked)} == {200}


def historian_settings(url: str) -> Settings:
    return Settings(_env_file=None, database_url=url, group_commit_wait_ms=0)


async def lead(url: str) -> None:
    await try_lead(url, historian_settings(url), "an engine")


async def commit(url: str) -> None:
    historian = await Historian.open(url, historian_settings(url), SystemClock())
    await historian.facility_ids()


async def listen(url: str) -> None:
    await News.open(url, historian_settings(url), CONFIGURATION)


async def ask_as_web(url: str) -> None:
    database = Database(url, 2, 5.0)
    await database.open()
    await database.value("SELECT 1")


ALL_THAT_CONNECT: list[Callable[[str], Awaitable[object]]] = [
    lead,
    commit,
    listen,
    ask_as_web,
    upgrade.refuse_older_schema,
    restored.server_major,
    web_role.problem_with_roles,
    lambda url: audit.read_last(url, 1),
    lambda url: drained.withdraw_drain(url, "n"),
    lambda url: overview.read_overview(url, 1),
]


@pytest.mark.parametrize("mode", MODES)
async def test_a_pooler_that_nobody_spoke_of_is_noticed_by_all_that_connect(mode: str, database_url: str) -> None:
    async with pgbouncer(database_url, mode, sessions=8) as url:
        for connects in ALL_THAT_CONNECT:
            with pytest.raises(StoreUnavailable, match="add pgbouncer=true to DATABASE_URL and name PostgreSQL itself"):
                await connects(url)


async def test_nobody_leads_through_sessions_that_are_not_theirs(database_url: str) -> None:
    async with pgbouncer(database_url, "transaction", LETS_PASS) as url:
        with pytest.raises(StoreUnavailable) as refused:
            await try_lead(url, historian_settings(url), "an engine")
        assert str(refused.value) == POOLER_ADVICE
    leader = await try_lead(database_url, historian_settings(database_url), "an engine")
    assert leader is not None, "no lock is left with the pooler"
    await leader.release()


async def test_a_lead_ends_when_another_session_answers(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.historian.leadership.PING_S", 0.1)
    leader = await try_lead(database_url, historian_settings(database_url), "an engine")
    assert leader is not None
    await asyncio.sleep(0.5)
    assert leader.held
    await leader._connection.fetchval("SELECT pg_advisory_unlock_all()")
    async with asyncio.timeout(5):
        while leader.held:
            await asyncio.sleep(0.01)


async def test_a_pooler_that_keeps_sessions_and_takes_our_settings_is_as_good_as_postgresql(database_url: str) -> None:
    async with pgbouncer(database_url, "session", LETS_PASS, sessions=8) as url:
        first = await try_lead(url, historian_settings(url), "an engine")
        assert first is not None
        assert await try_lead(url, historian_settings(url), "another") is None
        historian = await Historian.open(url, historian_settings(url), SystemClock())
        await historian.create_facility(setup("f"))
        state = await load(historian, "f")
        await historian.commit(outcome(state, 1))
        await historian.close()
        await first.release()
