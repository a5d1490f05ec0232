"""Who fails to sign in waits; who owns the account does not; nobody learns whether an account exists."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import ManualClock
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, web_server
from web.auth.password_line import Asker
from web.auth.passwords import Passwords, Verification
from web.auth.throttle import (
    FORGET,
    FREE_AT_ADDRESS,
    FREE_OF_ACCOUNT,
    FREE_OF_ADDRESS,
    HOLD_S_MAX,
    KNOWN,
    Throttle,
)
from web.database import Database
from web.errors import HttpRefusal

pytestmark = pytest.mark.postgres

HOME, ABROAD = "192.0.2.1", "198.51.100.7"


class Door:
    """Two web processes at one database, whose time the test moves."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self._processes = [Throttle(database, self.clock), Throttle(database, self.clock)]
        self._turn = 0

    async def attempt(self, account: str, address: str, *, succeeds: bool = False) -> int:
        """Seconds to wait; 0: the password was looked at."""
        self._turn += 1
        throttle = self._processes[self._turn % 2]
        try:
            async with throttle.attempt(Asker.of(address, account)) as attempt:
                await (throttle.succeeded if succeeds else throttle.failed)(attempt)
        except HttpRefusal as refused:
            assert refused.status == 429
            seconds = int(refused.headers["Retry-After"])
            assert refused.detail == f"Too many failed sign-ins; try again in {seconds} s"
            return seconds
        return 0

    async def fail(self, account: str, address: str, times: int) -> None:
        for _ in range(times):
            assert await self.attempt(account, address) == 0

    async def fail_at_once(self, *attempts: tuple[str, str]) -> None:
        """Failures that no wait stands between, in any order."""
        await asyncio.gather(*(self.fail(account, address, 1) for account, address in attempts))


@pytest_asyncio.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    database = Database(database_url, 4, 10)
    await database.open()
    yield Door(database)
    await database.close()


async def test_the_first_failures_cost_nothing_and_each_further_one_doubles_the_wait(door: Door) -> None:
    await door.fail("a", HOME, FREE_AT_ADDRESS)
    for n in range(12):
        expected_s = min(2**n, HOLD_S_MAX)
        assert await door.attempt("a", HOME) == expected_s
        assert await door.attempt("a", HOME, succeeds=True) == expected_s, "the right password is not looked at either"
        await door.clock.advance(expected_s - 0.5)
        assert await door.attempt("a", HOME) == 1
        await door.clock.advance(0.5)
        await door.fail("a", HOME, 1)


async def test_attempts_at_the_same_moment_win_nothing_past_what_is_free(database_url: str) -> None:
    database = Database(database_url, 4, 10)
    await database.open()
    clock = ManualClock()
    throttle = Throttle(database, clock)
    looked_at = 0

    async def attempt() -> None:
        nonlocal looked_at
        with contextlib.suppress(HttpRefusal):
            async with throttle.attempt(Asker.of(HOME, "a")) as attempt:
                looked_at += 1
                await together.wait()
                await throttle.failed(attempt)

    async def burst() -> int:
        nonlocal looked_at
        looked_at = 0
        together.clear()
        tasks = [asyncio.create_task(attempt()) for _ in range(40)]
        while looked_at + sum(task.done() for task in tasks) < len(tasks):  # each looks, or is refused
            await asyncio.sleep(0.01)
        together.set()
        await asyncio.gather(*tasks)
        return looked_at

    together = asyncio.Event()
    assert await burst() == 40, "nothing tells them from many good sign-ins; the line for passwords bounds them"
    assert await burst() == 0
    for _ in range(3):
        await clock.advance(HOLD_S_MAX)
        assert await burst() == 1
    await database.close()


async def test_a_good_sign_in_begins_anew(door: Door) -> None:
    for _ in range(3):
        await door.fail("a", HOME, FREE_AT_ADDRESS - 1)
        assert await door.attempt("a", HOME, succeeds=True) == 0


async def test_an_hour_without_failures_begins_anew(door: Door) -> None:
    await door.fail("a", HOME, FREE_AT_ADDRESS)
    await door.clock.advance(FORGET.total_seconds() + 1)
    await door.fail("a", HOME, FREE_AT_ADDRESS)
    assert await door.attempt("a", HOME) == 1


async def test_strangers_slow_each_other_down_and_not_the_owner_at_home(door: Door) -> None:
    assert await door.attempt("a", HOME, succeeds=True) == 0
    await door.fail_at_once(*(("a", f"203.0.113.{n}") for n in range(FREE_OF_ACCOUNT)))
    assert await door.attempt("a", ABROAD) == 1
    assert await door.attempt("b", ABROAD) == 0, "other accounts are not concerned"
    for _ in range(FREE_AT_ADDRESS):
        assert await door.attempt("a", HOME) == 0
    assert await door.attempt("a", HOME) == 1, "at home, one's own failures count"
    await door.clock.advance(KNOWN.total_seconds())
    assert await door.attempt("a", HOME, succeeds=True) == 0


async def test_a_home_is_forgotten_after_ninety_days(door: Door) -> None:
    for away_s, expected_wait_s in ((KNOWN.total_seconds() - 60, 0), (KNOWN.total_seconds(), 1)):
        assert await door.attempt("a", HOME, succeeds=True) == 0
        await door.clock.advance(away_s)
        await door.fail_at_once(*(("a", f"203.0.113.{n}") for n in range(FREE_OF_ACCOUNT)))
        assert await door.attempt("a", HOME) == expected_wait_s


async def test_an_address_that_tries_one_account_after_the_other_is_slowed_down(door: Door) -> None:
    assert await door.attempt("mine", ABROAD, succeeds=True) == 0
    await door.fail_at_once(*((f"account {n}", ABROAD) for n in range(FREE_OF_ADDRESS)))
    assert await door.attempt("another", ABROAD) == 1
    assert await door.attempt("another", HOME) == 0
    assert await door.attempt("mine", ABROAD, succeeds=True) == 0, "a known account signs in from there all the same"
    assert await door.attempt("another", ABROAD) == 1, "and does not wash the address clean"


async def test_any_number_of_people_sign_in_from_one_address(door: Door) -> None:
    people = (door.attempt(f"account {n}", HOME, succeeds=True) for n in range(FREE_OF_ADDRESS + 20))
    assert set(await asyncio.gather(*people)) == {0}


async def test_a_network_of_ipv6_is_one_place(door: Door) -> None:
    for n in range(FREE_AT_ADDRESS):
        await door.fail("a", f"2001:db8::{n:x}", 1)
    assert await door.attempt("a", "2001:db8::ffff") == 1
    assert await door.attempt("a", "2001:db8:0:1::1") == 0
    await door.fail("a", "::ffff:192.0.2.9", FREE_AT_ADDRESS)
    assert await door.attempt("a", "192.0.2.9") == 1


async def test_counts_are_pruned(door: Door, database_url: str) -> None:
    await door.fail_at_once(*((f"account {n}", f"10.0.0.{n}") for n in range(150)))
    await door.clock.advance(FORGET.total_seconds() + 1)
    for n in range(5):
        await door.fail("a", f"10.1.0.{n}", 1)
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM sign_in_counts") == 11
    finally:
        await connection.close()


async def test_over_http_known_and_unknown_accounts_are_answered_alike(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:

        async def sign_in(username: str, password: str = "wrong") -> tuple[int, object, str | None]:
            answer = await web.client.post("/auth/token", data={"username": username, "password": password})
            return answer.status_code, answer.json()["detail"], answer.headers.get("retry-after")

        await web.database.execute(
            "INSERT INTO users (username, email, hashed_password, role) VALUES ('kim', 'Kim@x.org', '-', 'User')"
        )
        for name in ("kim", "kim@x.org", "nobody", "nobody@x.org"):  # none tells of another, or whether it exists
            spellings = (name, name.upper(), f" {name.title()}\u00a0", name.replace("o", "\uff2f"))
            for n in range(FREE_AT_ADDRESS):
                assert await sign_in(spellings[n % 4]) == (401, "Incorrect username or password", None)
            for spelling in spellings:
                assert await sign_in(spelling) == (429, "Too many failed sign-ins; try again in 1 s", "1")
        assert (await web.sign_in())["access_token"], "others sign in from the same address"
        headers = await web.admin()
        change = {"current_password": "wrong", "new_password": "new"}
        for _ in range(FREE_AT_ADDRESS):
            answer = await web.client.post("/auth/password", json=change, headers=headers)
            assert answer.status_code == 400
        answer = await web.client.post("/auth/password", json=change, headers=headers)
        assert answer.status_code == 429, "a stolen session is no way to try passwords faster"
        assert (await web.client.get("/users/me", headers=headers)).status_code == 200
        await asyncio.sleep(1)
        assert await sign_in(ADMIN_EMAIL, ADMIN_PASSWORD + "!") == (401, "Incorrect username or password", None)


async def test_over_http_one_right_password_in_sixty_four_requests_keeps_nobody_out(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Passwords._verify

    def slowly(self: Passwords, stored_hash: str, password: str) -> Verification:
        time.sleep(0.05)  # as long as a real one, and no processor
        return verify(self, stored_hash, password)

    monkeypatch.setattr(Passwords, "_verify", slowly)
    async with web_server(database_url, tmp_path) as web:
        await web.user("mallory")

        async def ask() -> tuple[int, str | None]:
            answer = await web.client.post("/auth/token", data={"username": "mallory", "password": "pw mallory"})
            return answer.status_code, answer.headers.get("retry-after")

        asking = [asyncio.create_task(ask()) for _ in range(64)]
        await asyncio.sleep(0.05)
        assert (await web.sign_in())["access_token"]
        answers = Counter(await asyncio.gather(*asking))
        assert answers.keys() == {(200, None), (429, "1")}
        assert (await web.sign_in("mallory", "pw mallory"))["access_token"], "a refusal for being many is no failure"
