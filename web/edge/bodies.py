"""What of a body is taken, and when: nothing before its request is admitted, then no more than its route reads.

Whatever is refused is taken for a moment all the same: a server that hangs up on a client that still sends resets the
connection, and the answer is lost with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from web.edge.rates import RateLimits
from web.edge.request_limits import CLOSE, BodyTooLarge
from web.errors import HttpRefusal, TooManyRequests

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

UNFINISHED_MAX = 256  # bodies of one caller that have begun and not ended
PIECES_FREE = 64
PIECE_BYTES_MIN = 512  # of the pieces beyond; each costs as much as many bytes
DRAIN_S_MAX = 5.0
DRAIN_BODIES_MAX = 4


class UnfinishedBodies:
    """How many bodies each caller keeps us waiting for."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """While a body of `who` is waited for; TooManyRequests when that is one too many."""
        if self._counts[who] >= UNFINISHED_MAX:
            raise TooManyRequests(1)
        self._counts[who] += 1
        try:
            yield
        finally:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]


class BoundedBody:
    """`receive` of one HTTP request of `who`. It waits until somebody calls `admit`.

    largest_bytes  the largest body of any route, by which goes how much is taken of a refused one
    """

    def __init__(
        self, receive: Receive, who: str, rates: RateLimits, unfinished: UnfinishedBodies, largest_bytes: int
    ) -> None:
        self._receive = receive
        self._largest_bytes = largest_bytes
        self._who = who
        self._rates = rates
        self._unfinished = unfinished
        self._bytes = 0
        self._pieces = 0
        self._is_admitted = asyncio.Event()
        self._is_draining = False
        self._one_reader = asyncio.Lock()
        self.is_complete = False
        self.bytes_max = 0

    def admit(self, bytes_max: int) -> None:
        """Begin to take it; who receives gets BodyTooLarge when more comes than `bytes_max`."""
        self.bytes_max = bytes_max
        self._is_admitted.set()

    async def __call__(self) -> Message:
        await self._is_admitted.wait()
        async with self._one_reader:
            message = await self._next()
        if not self._is_draining:
            if self._bytes > self.bytes_max:
                raise BodyTooLarge(self.bytes_max)
            if self._is_crumbled:
                told = f"The body comes in more than {PIECES_FREE} pieces of less than {PIECE_BYTES_MIN} bytes"
                raise HttpRefusal(413, told, CLOSE)
        return message

    async def drain(self) -> None:
        """Take what still comes, within limits."""
        self._is_draining = True
        try:
            async with asyncio.timeout(DRAIN_S_MAX):
                while self._bytes <= DRAIN_BODIES_MAX * self._largest_bytes and not self._is_crumbled:
                    if not await self._take_one():
                        return
                    self._rates.take(self._who)
        except (TimeoutError, TooManyRequests):
            pass  # the server closes the connection

    async def take_rest(self) -> None:
        """While the connection closes: hypercorn ends no request that it still has pieces of to hand over."""
        self._is_draining = True
        while await self._take_one():
            pass

    async def _take_one(self) -> bool:
        """Whether there was another. Asked before its turn too: whose turn it is may wait for the client to go."""
        if self.is_complete:
            return False
        async with self._one_reader:
            if not self.is_complete:
                await self._next()
        return True

    @property
    def _is_crumbled(self) -> bool:
        return self._pieces > PIECES_FREE + self._bytes // PIECE_BYTES_MIN

    async def _next(self) -> Message:
        if self.is_complete:
            return await self._receive()
        # What is only taken so that the request can end is bounded already, and must not be refused.
        with nullcontext() if self._is_draining else self._unfinished.one(self._who):
            message = await self._receive()
        self._pieces += 1
        self._bytes += len(message.get("body", b""))
        self.is_complete = not message.get("more_body", False)
        return message
