"""What is under way to callers: how many large answers, and how many bytes that were made and not yet taken.

Whoever reads slowly, or asks for everything at once, has a budget of both in each process, and so have all together.
Beyond it a request waits a little and is refused: 429 where it is the caller's own doing, 503 where it is everybody's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from web.edge.proxies import client_address
from web.edge.rates import client_key
from web.errors import TooManyRequests
from web.fairness import Turns, retry_after_s, too_much

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

REQUEST_BYTES = 64 * 1024
"""About what a request that is being answered takes besides its body."""
CALLERS_AT_MOST = 4
"""So many callers may use their whole budget at the same time."""
WAITING_EACH_MAX = 1_000
WAIT_S_MAX = 10.0
SMALL_FIRST_S = 0.01
"""For so long a piece of a large answer waits while a small request is under way; then it is made all the same."""
_KEY = "gasinsight.under_way"


class Budget:
    """Of each caller `answers_max` large answers and `bytes_max`; of all together `CALLERS_AT_MOST` times as much."""

    def __init__(self, answers_max: int, bytes_max: int) -> None:
        self.large = Turns(answers_max, CALLERS_AT_MOST * answers_max, WAITING_EACH_MAX, WAIT_S_MAX)
        self._bytes_max = bytes_max
        self._bytes: Counter[str] = Counter()
        self.small = 0  # requests under way that are not large, or not known to be

    def check(self, who: str, more: int) -> None:
        """Refuse `more` bytes of `who` when those that are not taken yet are too many."""
        if self._bytes[who] + more > self._bytes_max:
            raise TooManyRequests(retry_after_s())
        if more and self._bytes.total() + more > CALLERS_AT_MOST * self._bytes_max:
            raise too_much()

    def held(self, who: str) -> int:
        """By all requests of `who`."""
        return self._bytes[who]

    def hold(self, who: str, size: int) -> None:
        """Bytes that wait to be taken; negative when they were."""
        self._bytes[who] += size
        if not self._bytes[who]:
            del self._bytes[who]


class UnderWay:
    """One request's part of the budget: by address, until it is known who asks."""

    def __init__(self, budget: Budget, stranger: str) -> None:
        budget.check(stranger, 0)
        self._budget = budget
        self._who = stranger
        self._bytes = 0
        self._has_place = False
        self._is_small = True
        budget.small += 1

    def belongs_to(self, who: str) -> None:
        """Now that the caller is known."""
        self._budget.check(who, REQUEST_BYTES)
        self._who = who
        self.hold(REQUEST_BYTES)

    def begins(self, size: int) -> None:
        """A body of so many bytes is about to be sent. Whoever has nothing else under way may have it.

        A small one is in what each request holds from its beginning: the answer to a change, which has happened by now
        and must not be done again, is never refused.
        """
        if size > REQUEST_BYTES and self._budget.held(self._who) > self._bytes:
            self._budget.check(self._who, size)

    async def begin_large(self) -> None:
        """Wait until a large answer may begin."""
        self._leave_small()
        await self._budget.large.take(self._who)
        self._has_place = True

    async def let_small_ones_go_first(self) -> None:
        """For a moment only, so that a large answer goes on, however many small ones there are."""
        if self._budget.small:
            await asyncio.sleep(SMALL_FIRST_S)

    def hold(self, size: int) -> None:
        """As the budget has it."""
        self._bytes += size
        self._budget.hold(self._who, size)

    def end(self) -> None:
        """Nothing is left of it."""
        self._leave_small()
        self._budget.hold(self._who, -self._bytes)
        if self._has_place:
            self._budget.large.give_back(self._who)

    def _leave_small(self) -> None:
        self._budget.small -= self._is_small
        self._is_small = False


class BudgetMiddleware:
    """Plain ASGI around Quart: whatever becomes of a request, what it held is given back at its end."""

    def __init__(self, app: App, budget: Budget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        mine = UnderWay(self._budget, client_key(client_address(scope)))
        scope[_KEY] = mine

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                mine.begins(_length(message["headers"]))
            size = len(message.get("body", b""))
            mine.hold(size)
            try:
                await send(message)
            finally:
                mine.hold(-size)

        try:
            await self._app(scope, receive, sending)
        finally:
            mine.end()


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Of a body that is sent whole; 0 for one that comes in pieces."""
    return next((int(value) for name, value in headers if name.lower() == b"content-length"), 0)


def under_way(scope: Any) -> UnderWay:
    """What a request holds."""
    mine: UnderWay = scope[_KEY]
    return mine
