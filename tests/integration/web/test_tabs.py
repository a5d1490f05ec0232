"""Several tabs of one browser, each with tokens of its own, live on in one sign-in; a copy somewhere else ends it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock
from tests.integration.web.harness import Web, bearer, settings_for, web_server
from web.auth.places import Browser
from web.auth.sessions import Sessions, Subject, TokenPairText
from web.auth.signing import keyring
from web.auth.tokens import Tokens
from web.database import Database
from web.errors import NotAuthenticated

pytestmark = pytest.mark.postgres

HOURS = 8
REUSE_S = 30
HOME = Browser("192.0.2.1", "Mozilla/5.0 (one)")
OTHER_BROWSER = Browser(HOME.address, "Mozilla/5.0 (two)")
ELSEWHERE = Browser("198.51.100.7", HOME.user_agent)


class House:
    """Two web processes at one database, whose time the test moves, and one user of theirs."""

    def __init__(self, database: Database, data_dir: Path, access_life_s: float) -> None:
        self.clock = ManualClock()
        self.database = database
        settings = settings_for("postgresql://unused", data_dir, access_token_expire_minutes=access_life_s / 60)
        self.tokens = Tokens(keyring(settings), self.clock)
        self.processes = [Sessions(database, self.tokens, settings, self.clock) for _ in range(2)]
        self._turn = 0

    async def sign_in(self) -> TokenPairText:
        row = await self.database.row(
            """INSERT INTO users (username, email, hashed_password, role) VALUES ('kim', 'kim@x.org', '-', 'User')
               ON CONFLICT (username) DO UPDATE SET role = 'User' RETURNING id, username, sessions_valid_from"""
        )
        assert row is not None
        async with self.database.transaction() as connection:
            return await self.processes[0].begin(connection, Subject(*row), HOME)

    async def refresh(self, refresh_token: str, browser: Browser = HOME) -> TokenPairText:
        self._turn += 1
        return await self.processes[self._turn % 2].refresh(refresh_token, browser)

    async def audited(self) -> list[str]:
        rows = await self.database.rows("SELECT entry FROM audit_log ORDER BY id")
        return [json.loads(row["entry"])["action"] for row in rows]


@dataclass
class Tab:
    """The front end: asks with its access token, and refreshes when that is refused."""

    house: House
    pair: TokenPairText
    browser: Browser = HOME
    refreshes: int = field(default=0)

    async def ask(self) -> None:
        try:
            self.house.tokens.verify(self.pair.access_token, "access")
        except NotAuthenticated:
            self.pair = await self.house.refresh(self.pair.refresh_token, self.browser)
            self.refreshes += 1
            self.house.tokens.verify(self.pair.access_token, "access")


@pytest_asyncio.fixture
async def house(database_url: str, tmp_path: Path, access_life_s: float) -> AsyncIterator[House]:
    database = Database(database_url, 10, 10)
    await database.open()
    yield House(database, tmp_path, access_life_s)
    await database.close()


access_lives = pytest.mark.parametrize("access_life_s", [30, 300 * 60])


@access_lives
@pytest.mark.parametrize("tabs", [2, 5])
async def test_tabs_live_on_for_eight_hours(house: House, tabs: int) -> None:
    """Each asks now and then, some often and some seldom, sometimes all at once; then the machine sleeps."""
    pair = await house.sign_in()
    opened = [Tab(house, pair) for _ in range(tabs)]
    chance = random.Random(tabs)
    end_us = house.clock.now_us() + HOURS * 3600 * US_PER_S
    while house.clock.now_us() < end_us:
        await house.clock.advance(chance.choice([1, 10, REUSE_S + 1, 60, 300, 1200]))
        asking = opened if chance.random() < 0.1 else chance.sample(opened, 1)
        await asyncio.gather(*(tab.ask() for tab in asking))
    await house.clock.advance(300 * 60)
    for tab in opened:
        await tab.ask()
        assert tab.refreshes >= 2
    assert set(await house.audited()) == {"refresh.followed"}


@access_lives
async def test_tabs_that_wake_at_once_in_two_processes_get_one_pair(house: House, access_life_s: float) -> None:
    pair = await house.sign_in()
    sleepy = [Tab(house, pair) for _ in range(5)]
    awake = Tab(house, pair)
    for _ in range(3):
        await house.clock.advance(access_life_s + REUSE_S + 1)
        await awake.ask()
    await house.clock.advance(access_life_s + 1)
    tabs = [awake, *sleepy]
    await asyncio.gather(*(tab.ask() for tab in tabs))
    assert len({tab.pair for tab in tabs}) == 1
    assert await house.database.value("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL") == 1


@access_lives
@pytest.mark.parametrize("thief", [OTHER_BROWSER, ELSEWHERE])
async def test_a_late_use_from_elsewhere_ends_the_sign_in(house: House, access_life_s: float, thief: Browser) -> None:
    first = await house.sign_in()
    second = await house.refresh(first.refresh_token)
    await house.clock.advance(REUSE_S + 1)
    with pytest.raises(NotAuthenticated):
        await house.refresh(first.refresh_token, thief)
    with pytest.raises(NotAuthenticated):
        await house.refresh(second.refresh_token)
    assert await house.audited() == ["refresh.reused"]


@access_lives
async def test_thirty_seconds_are_late_at_the_microsecond_after(house: House, access_life_s: float) -> None:
    for after_s, ends in ((REUSE_S, False), (REUSE_S + 1e-6, True)):
        first = await house.sign_in()
        await house.refresh(first.refresh_token)
        await house.clock.advance(after_s)
        if ends:
            with pytest.raises(NotAuthenticated):
                await house.refresh(first.refresh_token, ELSEWHERE)
        else:
            await house.refresh(first.refresh_token, ELSEWHERE)
            assert await house.audited() == []


@access_lives
async def test_a_thief_who_was_first_is_found_by_the_owner(house: House, access_life_s: float) -> None:
    """What decides is who got the newest pair, not who got one of the older."""
    first = await house.sign_in()
    stolen = await house.refresh(first.refresh_token, ELSEWHERE)
    await house.clock.advance(REUSE_S + 1)
    with pytest.raises(NotAuthenticated):
        await house.refresh(first.refresh_token, HOME)
    with pytest.raises(NotAuthenticated):
        await house.refresh(stolen.refresh_token, ELSEWHERE)


@access_lives
async def test_a_browser_takes_its_tabs_along_to_another_place(house: House, access_life_s: float) -> None:
    first = await house.sign_in()
    await house.clock.advance(access_life_s)
    moved = Tab(house, await house.refresh(first.refresh_token, ELSEWHERE), ELSEWHERE)
    other = Tab(house, first, ELSEWHERE)
    await house.clock.advance(access_life_s + REUSE_S + 1)
    await other.ask()
    await house.clock.advance(access_life_s + REUSE_S + 1)
    await moved.ask()


@access_lives
async def test_rows_of_before_the_upgrade_know_no_browser(house: House, access_life_s: float) -> None:
    first = await house.sign_in()
    await house.refresh(first.refresh_token)
    await house.database.execute("UPDATE refresh_tokens SET issued_to = NULL")
    await house.clock.advance(REUSE_S + 1)
    with pytest.raises(NotAuthenticated):
        await house.refresh(first.refresh_token)


@access_lives
@pytest.mark.parametrize("forgotten", ["newest", "between"])
async def test_a_chain_with_a_gap_ends(house: House, access_life_s: float, forgotten: str) -> None:
    """As where the life of refresh tokens was made shorter: a later one may be over before an earlier."""
    first = await house.sign_in()
    second = await house.refresh(first.refresh_token)
    await house.refresh(second.refresh_token)
    which = "max(id)" if forgotten == "newest" else "max(id) - 1"
    await house.database.execute(f"DELETE FROM refresh_tokens WHERE id = (SELECT {which} FROM refresh_tokens)")
    await house.clock.advance(REUSE_S + 1)
    async with asyncio.timeout(10):
        with pytest.raises(NotAuthenticated):
            await house.refresh(first.refresh_token)


@access_lives
async def test_a_token_is_followed_so_far_and_no_further(house: House, access_life_s: float) -> None:
    """Each step is a hash on the event loop, and whoever refreshes all the time makes them."""
    first = newest = await house.sign_in()
    for _ in range(4):
        await house.clock.advance(REUSE_S + 1)
        newest = await house.refresh(newest.refresh_token)
    with patch("web.auth.sessions.FOLLOWED_MAX", 3), pytest.raises(NotAuthenticated):
        await house.refresh(first.refresh_token)
    with patch("web.auth.sessions.FOLLOWED_MAX", 4):
        assert await house.refresh(first.refresh_token), "four steps lie between it and the newest"


@access_lives
async def test_each_token_that_is_followed_is_one_row_of_the_audit_log(house: House, access_life_s: float) -> None:
    first = await house.sign_in()
    await house.refresh(first.refresh_token)
    for _ in range(3):
        await house.clock.advance(access_life_s + REUSE_S + 1)
        await house.refresh(first.refresh_token)
    assert await house.audited() == ["refresh.followed"]


@access_lives
async def test_a_logout_ends_all_tabs(house: House, access_life_s: float) -> None:
    first = await house.sign_in()
    second = await house.refresh(first.refresh_token)
    await house.clock.advance(REUSE_S + 1)
    await house.processes[0].end(house.tokens.verify(second.refresh_token, "refresh").family)
    for pair in (first, second):
        with pytest.raises(NotAuthenticated):
            await house.refresh(pair.refresh_token)


@pytest.mark.parametrize("access_life_s", [300 * 60])
async def test_an_ended_sign_in_is_remembered_while_its_access_token_could_live(
    house: House, access_life_s: float
) -> None:
    first = await house.sign_in()
    await house.processes[0].end(house.tokens.verify(first.access_token, "access").family)
    await house.database.execute("UPDATE refresh_tokens SET expires_at = issued_at")
    await house.clock.advance(access_life_s - 1)
    for expected in (2, 3, 3):  # each sign-in adds a row and forgets what is over
        await house.sign_in()
        assert await house.database.value("SELECT count(*) FROM refresh_tokens") == expected
        await house.clock.advance(1)


async def test_over_http_the_address_is_the_clients(database_url: str, tmp_path: Path) -> None:
    changes = {"trusted_proxies": "127.0.0.1"}
    async with (
        web_server(database_url, tmp_path, **changes) as here,
        web_server(database_url, tmp_path, **changes) as there,
    ):

        async def refresh(web: Web, pair: dict[str, Any], address: str, user_agent: str = "one") -> httpx.Response:
            headers = {"X-Forwarded-For": address, "User-Agent": user_agent}
            return await web.client.post("/auth/refresh-token", json=pair, headers=headers)

        async def grow_old() -> None:
            await here.database.execute(
                """UPDATE refresh_tokens SET used_at = used_at - make_interval(secs => 31),
                                             issued_at = issued_at - make_interval(secs => 31)"""
            )

        first = await here.sign_in()
        second = await refresh(here, first, "203.0.113.5")
        await grow_old()
        answers = await asyncio.gather(*(refresh(web, first, "203.0.113.5") for web in (here, there) * 4))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        newest = answers[0].json()
        assert (await there.client.get("/users/me", headers=bearer(newest))).status_code == 200
        await grow_old()
        assert (await refresh(here, second.json(), "203.0.113.5")).status_code == 200
        await grow_old()
        assert (await refresh(here, second.json(), "203.0.113.6")).status_code == 401
        assert (await there.client.get("/users/me", headers=bearer(newest))).status_code == 401
        rows = await here.database.fetch("SELECT entry FROM audit_log ORDER BY id DESC LIMIT 1")
        entry = json.loads(rows[0]["entry"])
        assert (entry["action"], entry["address"]) == ("refresh.reused", "203.0.113.6")
