"""The line for the threads that hash: limits on both sides, places and accounts in turn, nobody's turn is lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from web.auth.password_line import OF_ACCOUNT_MAX, OF_PLACE_MAX, WAITING_MAX, Asker, PasswordLine
from web.errors import HttpRefusal

AT_ONCE = 2


class Line:
    """Askers who come, in the order in which they get their turns."""

    def __init__(self) -> None:
        self.turns = PasswordLine(AT_ONCE)
        self.order: list[Asker] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, place: str, account: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._come(Asker(place, account)))
        self._tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def _come(self, asker: Asker) -> None:
        await self.turns.come(asker)
        self.order.append(asker)

    async def leave_all(self) -> list[Asker]:
        """Who got a turn after those who have one, as each leaves."""
        had, left = len(self.order), 0
        while left < len(self.order):
            self.turns.leave(self.order[left])
            left += 1
            await asyncio.sleep(0)
        return self.order[had:]

    async def refused(self, place: str, account: str) -> int:
        with pytest.raises(HttpRefusal) as refusal:
            await self.turns.come(Asker(place, account))
        assert int(refusal.value.headers["Retry-After"]) >= 1
        return refusal.value.status


@pytest.fixture
def line() -> Line:
    return Line()


async def test_few_of_one_account_wait_wherever_they_ask(line: Line) -> None:
    for n in range(OF_ACCOUNT_MAX):
        await line.come(f"place {n}", "ann")
    assert await line.refused("another place", "ann") == 429
    await line.come("another place", "bea")
    line.turns.leave(line.order[0])
    await line.come("another place", "ann")


async def test_few_of_one_place_wait_whatever_they_ask_for(line: Line) -> None:
    for n in range(OF_PLACE_MAX):
        await line.come("here", f"account {n}")
    assert await line.refused("here", "another account") == 429
    await line.come("there", "another account")


async def test_so_many_wait_at_all(line: Line) -> None:
    for n in range(WAITING_MAX):
        await line.come(f"place {n}", f"account {n}")
    assert await line.refused("another place", "another account") == 503
    assert len(await line.leave_all()) == WAITING_MAX - AT_ONCE
    assert line.turns._line == {}
    await line.come("another place", "another account")


async def test_places_take_turns_and_at_each_its_accounts(line: Line) -> None:
    for account in ("loop", "loop", "loop", "loop", "x", "y"):
        await line.come("noisy", account)
    await line.come("noisy", "admin")
    await line.come("quiet", "kim")
    got = [f"{asker.place} {asker.account}" for asker in await line.leave_all()]
    assert got == ["noisy loop", "quiet kim", "noisy x", "noisy y", "noisy admin", "noisy loop"]


async def test_one_right_password_in_sixty_four_loops_keeps_nobody_out(line: Line) -> None:
    mallory = Asker("here", "mallory")
    for _ in range(OF_ACCOUNT_MAX):
        await line.come("here", "mallory")
    for _ in range(64 - OF_ACCOUNT_MAX):
        assert await line.refused("here", "mallory") == 429
    admin = await line.come("here", "admin")
    for _ in range(2):
        assert not admin.done()
        line.turns.leave(mallory)
        await line.come("here", "mallory")
    assert admin.done(), "also behind the same address"


async def test_who_goes_away_takes_no_turn(line: Line) -> None:
    chance = random.Random(5)
    for _ in range(200):
        turns = PasswordLine(AT_ONCE)
        holding: list[Asker] = []

        async def work(asker: Asker, turns: PasswordLine = turns, holding: list[Asker] = holding) -> None:
            await turns.come(asker)
            try:
                assert len(holding) < AT_ONCE
                holding.append(asker)
                await asyncio.sleep(0)
                holding.remove(asker)
            finally:
                if asker in holding:
                    holding.remove(asker)
                turns.leave(asker)

        askers = [Asker(f"place {n % 3}", f"account {n}") for n in range(12)]
        tasks = [asyncio.create_task(work(asker)) for asker in askers]
        for _ in range(10):
            chance.choice(tasks).cancel()
            if chance.random() < 0.7:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (turns._free, turns._all, turns._line) == (AT_ONCE, 0, {})
        assert not turns._of_place and not turns._of_account
