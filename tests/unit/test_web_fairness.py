"""Turns: how many at a time, in whose order, who is refused, and that nothing is lost when somebody gives up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from web.errors import HttpRefusal, TooManyRequests
from web.fairness import RETRY_AFTER_S, Turns

WAIT_S = 0.05


class Line:
    """Requests at one `Turns`; each works until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """`a1` is the first request of `a`."""
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._work(name))
            await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settled()

    async def _work(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.begun.append(name)
            await self.ends[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_at_a_time_of_one_caller_and_of_all() -> None:
    line = Line(Turns(each_max=2, all_max=3, waiting_each_max=10))
    await line.ask("a1", "a2", "a3", "b1", "c1")
    assert line.begun == ["a1", "a2", "b1"]
    await line.end("b1")
    assert line.begun[3:] == ["c1"], "a has as many as it may"
    await line.end("c1")
    assert line.begun[4:] == []
    await line.end("a1")
    assert line.begun[4:] == ["a3"]


async def test_a_turn_that_comes_as_the_wait_is_over_is_taken_and_not_lost() -> None:
    """The loop is busy while both fall due: the turn is handed over first, the timer fires next."""
    turns = Turns(each_max=1, all_max=1, waiting_each_max=10, wait_s_max=WAIT_S)
    for _ in range(20):
        await turns.take("a")
        waiting = asyncio.create_task(turns.take("b"))
        await asyncio.sleep(WAIT_S / 2 - 0.005)  # it waits for between a half and all of it

        def be_busy() -> None:
            time.sleep(WAIT_S)
            asyncio.get_running_loop().call_soon(turns.give_back, "a")

        asyncio.get_running_loop().call_soon(be_busy)
        try:
            await waiting
        except HttpRefusal:
            pass
        else:
            turns.give_back("b")
        await settled()
        assert not turns._running, "nobody has a turn that nobody gives back"


async def test_callers_go_round_however_many_requests_each_has() -> None:
    line = Line(Turns(each_max=1, all_max=1, waiting_each_max=10))
    await line.ask("a1", "a2", "a3", "a4", "b1", "c1", "b2")
    for name in ("a1", "a2", "b1", "c1", "a3", "b2", "a4"):
        assert line.begun[-1] == name
        await line.end(name)


async def test_so_many_wait_and_the_next_is_refused() -> None:
    line = Line(Turns(each_max=1, all_max=9, waiting_each_max=2))
    await line.ask("a1", "a2", "a3")
    with pytest.raises(TooManyRequests) as refused:
        await line.turns.take("a")
    assert RETRY_AFTER_S[0] <= int(refused.value.headers["Retry-After"]) <= RETRY_AFTER_S[1]
    await line.ask("b1")
    assert line.begun == ["a1", "b1"]
    await line.end("a1")
    await line.ask("a4")
    assert line.begun == ["a1", "b1", "a2"]


async def refusal_of(asking: Callable[[str], Awaitable[None]], who: str) -> int:
    with pytest.raises(HttpRefusal) as refused:
        await asking(who)
    assert int(refused.value.headers["Retry-After"]) > 0
    return refused.value.status


async def test_who_waits_too_long_is_told_whose_doing_it_is() -> None:
    turns = Turns(each_max=1, all_max=2, waiting_each_max=9, wait_s_max=WAIT_S)
    await turns.take("a")
    assert await refusal_of(turns.take, "a") == 429
    await turns.take("b")
    assert await refusal_of(turns.take, "c") == 503
    turns.give_back("a")
    await turns.take("c")
    for who in ("b", "c"):
        turns.give_back(who)
    line = Line(turns)
    await line.ask("a1", "b1", "a2")
    assert line.begun == ["a1", "b1"], "who gave up holds nothing"


async def test_who_gives_up_leaves_the_line_and_a_turn_that_had_come_goes_on() -> None:
    line = Line(Turns(each_max=1, all_max=1, waiting_each_max=9))
    await line.ask("a1", "b1", "c1", "d1")
    line.tasks["b1"].cancel()
    line.ends["a1"].set()  # ends in the same moment: b1 still stands in the line
    await settled()
    assert line.begun == ["a1", "c1"]
    line.ends["c1"].set()
    await asyncio.sleep(0)
    line.tasks["d1"].cancel()  # its turn has just come
    await settled()
    await line.ask("e1")
    assert line.begun == ["a1", "c1", "e1"]
