"""Carries what people ask of alarms from its table to the facilities.

The row is the truth: written by the web server, decided by the commit of the facility that carries it out. Nothing is
remembered here that a restart could lose; a command that is carried twice is one, by its id.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Final, Protocol

import structlog
from ray.exceptions import RayError

from engine.clock import Clock
from engine.errors import StoreError
from engine.facility.port import Answer, Result
from engine.historian.port import FACILITY_RETIRED
from engine.model import AlarmCommand

ANSWER_S_MAX: Final = 30.0
LOOK_AGAIN_S: Final = 0.5
RETRY_S: Final = 1.0
CRASHES_MAX: Final = 3

log = structlog.get_logger()


class Asked(Protocol):
    """The part of HousekeepingPort that this needs."""

    async def waiting_commands(self) -> list[AlarmCommand]:
        """See HousekeepingPort."""

    async def refuse_command(self, command_id: str, refusal: str) -> None:
        """See HousekeepingPort."""


class Wakes(Protocol):
    """See News."""

    async def next(self) -> set[str]:
        """Waits for the first."""

    async def next_within(self, seconds: float) -> set[str]:
        """Waits that long at most."""


class Commands:
    """Those of one facility one after the other, in the order in which they were asked for; facilities side by side."""

    def __init__(self, historian: Asked, clock: Clock, send: Callable[[AlarmCommand], Awaitable[Answer]]) -> None:
        self._historian = historian
        self._clock = clock
        self._send = send
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._crashes: Counter[str] = Counter()

    async def carry(self, news: Wakes) -> None:
        """Forever; ends with an error of the store."""
        try:
            while True:
                waiting = await self._historian.waiting_commands()
                self._begin(waiting)
                if waiting:
                    await news.next_within(LOOK_AGAIN_S)
                else:
                    await news.next()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            self._under_way.clear()

    def _begin(self, waiting: Sequence[AlarmCommand]) -> None:
        """A facility that is at it already finds the rest of its commands by itself."""
        self._under_way = {each: task for each, task in self._under_way.items() if not task.done()}
        by_facility = sorted(waiting, key=lambda command: command.facility_id)  # keeps the order within each
        for facility_id, commands in groupby(by_facility, key=lambda command: command.facility_id):
            if facility_id not in self._under_way:
                self._under_way[facility_id] = asyncio.create_task(self._carry_to(list(commands)))

    async def _carry_to(self, commands: Sequence[AlarmCommand]) -> None:
        """One facility; what is not decided stays, with all that follow it, and is tried again soon."""
        for command in commands:
            try:
                if not await self._is_decided(command):
                    await self._clock.sleep(RETRY_S)
                    return
            except (StoreError, RayError, TimeoutError) as error:
                log.warning("command_not_carried", command_id=command.command_id, error=str(error)[:200])
                await self._clock.sleep(RETRY_S)
                return

    async def _is_decided(self, command: AlarmCommand) -> bool:
        answer = await asyncio.wait_for(self._send(command), ANSWER_S_MAX)
        if answer.result is Result.DONE:
            return True
        log.info("command_waits", command_id=command.command_id, result=answer.result, reason=answer.reason)
        if answer.result is Result.CRASHED:
            self._crashes[command.command_id] += 1
            if self._crashes[command.command_id] < CRASHES_MAX:
                return False
            del self._crashes[command.command_id]
        elif answer.result is Result.GONE:
            await self._historian.refuse_command(command.command_id, FACILITY_RETIRED)
            return True
        elif answer.result is not Result.REJECTED:
            return False
        await self._historian.refuse_command(command.command_id, f"it cannot be carried out: {answer.reason}")
        return True
