"""Turns at what is scarce: callers who wait take turns, however many requests each of them has waiting."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from web.errors import HttpRefusal, TooManyRequests

RETRY_AFTER_S = (2, 6)


_CHANCE = random.Random()  # noqa: S311 - not for secrets


def retry_after_s() -> int:
    """When to come back: not all at once."""
    return _CHANCE.randint(*RETRY_AFTER_S)


def too_much() -> HttpRefusal:
    """Of everybody together."""
    return HttpRefusal(503, "Too much is asked at once", {"Retry-After": str(retry_after_s())})


class Turns:
    """`all_max` at a time, `each_max` of them one caller's.

    waiting_each_max  requests of one caller that wait; one more is refused
    wait_s_max        how long one waits before it is refused, or up to a half less, so that those who came together
                      do not come back together; None: until its turn
    """

    def __init__(self, each_max: int, all_max: int, waiting_each_max: int, wait_s_max: float | None = None) -> None:
        self._each_max = each_max
        self._all_max = all_max
        self._waiting_each_max = waiting_each_max
        self._wait_s_max = wait_s_max
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """From the moment in which it has come."""
        await self.take(who)
        try:
            yield
        finally:
            self.give_back(who)

    async def take(self, who: str) -> None:
        """Wait for a turn of `who`. Refused with 429 where the caller's own requests are in the way, else with 503."""
        if self._is_free_for(who):
            self._running[who] += 1
            return
        waiting = self._waiting.setdefault(who, deque())
        if len(waiting) >= self._waiting_each_max:
            raise TooManyRequests(retry_after_s())
        come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(come)
        try:
            async with asyncio.timeout(
                None if self._wait_s_max is None else self._wait_s_max * _CHANCE.uniform(0.5, 1)
            ):
                await come
        except TimeoutError as error:
            if come.done() and not come.cancelled():
                return  # it came in the moment in which the wait was over: it is counted, and taken
            if self._running[who] >= self._each_max:
                raise TooManyRequests(retry_after_s()) from error
            raise too_much() from error
        except asyncio.CancelledError:
            if come.done() and not come.cancelled():  # it came in the moment in which we gave up
                self.give_back(who)
            raise
        finally:
            self._forget(who, come)

    def give_back(self, who: str) -> None:
        """What `take` gave; the next one's turn has come."""
        self._running[who] -= 1
        if not self._running[who]:
            del self._running[who]
        for following in list(self._waiting):
            if self._is_free_for(following) and self._hand_to(following):
                return

    def _is_free_for(self, who: str) -> bool:
        return self._running.total() < self._all_max and self._running[who] < self._each_max

    def _hand_to(self, who: str) -> bool:
        """Whether somebody was there: who gave up stays in the line until it is told."""
        for come in self._waiting[who]:
            if not come.done():
                come.set_result(None)
                self._running[who] += 1
                self._waiting.move_to_end(who)
                return True
        return False

    def _forget(self, who: str, come: asyncio.Future[None]) -> None:
        waiting = self._waiting[who]
        waiting.remove(come)
        if not waiting:
            del self._waiting[who]
