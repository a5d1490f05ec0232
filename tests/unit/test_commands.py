"""What people ask of alarms on its way from the table to the facilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.clock import ManualClock
from engine.cluster.commands import CRASHES_MAX, Commands
from engine.errors import FacilityUnavailable, StoreUnavailable
from engine.facility.port import DONE, Answer, Result
from engine.historian.port import FACILITY_RETIRED
from engine.model import AlarmCommand

Send = Callable[[AlarmCommand], Answer]


class Table:
    """The store and what it is told by; a facility that answers DONE has decided the row."""

    def __init__(self, *commands: tuple[str, str]) -> None:
        self.waiting = [
            AlarmCommand(name, facility, "1:high", "acknowledge", 0, "user:1") for name, facility in commands
        ]
        self.refused: dict[str, str] = {}
        self.sent: list[str] = []
        self.answers: dict[str, list[Answer | Exception]] = {}

    async def waiting_commands(self) -> list[AlarmCommand]:
        return list(self.waiting)

    async def refuse_command(self, command_id: str, refusal: str) -> None:
        self.refused[command_id] = refusal
        self.decide(command_id)

    def decide(self, command_id: str) -> None:
        self.waiting = [each for each in self.waiting if each.command_id != command_id]

    async def send(self, command: AlarmCommand) -> Answer:
        self.sent.append(command.command_id)
        await asyncio.sleep(0)
        left = self.answers.get(command.command_id)
        answer = left.pop(0) if left else DONE
        if isinstance(answer, Exception):
            raise answer
        if answer.result is Result.DONE:
            self.decide(command.command_id)
        return answer

    async def next(self) -> set[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def next_within(self, seconds: float) -> set[str]:
        await asyncio.sleep(0)
        return set()


@asynccontextmanager
async def carrying(table: Table) -> AsyncIterator[None]:
    clock = ManualClock(0)
    commands = Commands(table, clock, table.send)
    task = asyncio.create_task(commands.carry(table))
    try:
        async with asyncio.timeout(5):
            while table.waiting and not task.done():
                await asyncio.sleep(0)
                await clock.advance(0.5)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_commands_of_a_facility_go_in_their_order_whatever_comes_between() -> None:
    table = Table(("a", "f"), ("x", "g"), ("b", "f"), ("c", "f"))
    away = Answer(Result.UNAVAILABLE, "loading")
    table.answers = {"a": [away, FacilityUnavailable("gone"), StoreUnavailable("away")], "b": [Answer(Result.FENCED)]}
    async with carrying(table):
        pass
    of_f = [name for name in table.sent if name != "x"]
    assert of_f == ["a", "a", "a", "a", "b", "b", "c"]
    assert table.sent.count("x") == 1
    assert table.refused == {}


async def test_what_nobody_can_carry_out_is_refused_and_holds_up_nothing() -> None:
    table = Table(("rejected", "f"), ("gone", "g"), ("after", "f"))
    table.answers = {"rejected": [Answer(Result.REJECTED, "a NUL")], "gone": [Answer(Result.GONE, "retired")]}
    async with carrying(table):
        pass
    assert table.refused == {"rejected": "it cannot be carried out: a NUL", "gone": FACILITY_RETIRED}
    assert table.sent.count("after") == 1


async def test_a_command_that_ends_its_process_again_and_again_is_refused() -> None:
    crash = Answer(Result.CRASHED, "the process died")
    table = Table(("bad", "f"), ("unlucky", "g"))
    table.answers = {"bad": [crash] * CRASHES_MAX, "unlucky": [crash] * (CRASHES_MAX - 1)}
    async with carrying(table):
        pass
    assert table.refused == {"bad": "it cannot be carried out: the process died"}
    assert (table.sent.count("bad"), table.sent.count("unlucky")) == (CRASHES_MAX, CRASHES_MAX)
