"""Whose password is hashed next: places take turns, and at each place its accounts, so that nobody keeps others out.

Hashing is the most expensive thing that a stranger can ask for, and whoever knows one right password may ask for it all
the time. Few at once wait for one place and for one account; more are told to come again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass

from web.auth.names import normal_name
from web.auth.places import place_of
from web.errors import HttpRefusal

WAITING_MAX = 64
OF_PLACE_MAX = 32  # an office whose people all sign in at the same moment waits less than a second
OF_ACCOUNT_MAX = 8  # the screens of a room that share one, when the power is back
"""With those that are being hashed."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Where somebody asks from, and about whose password."""

    place: str
    account: str

    @classmethod
    def of(cls, address: str, name: str) -> Asker:
        """`name` as it was typed."""
        return cls(place_of(address), normal_name(name))


class PasswordLine:
    """`at_once` work, the others wait in line."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._all = 0
        self._of_place: Counter[str] = Counter()
        self._of_account: Counter[str] = Counter()
        # Places in the order of their turns; of each its accounts in theirs.
        self._line: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}

    async def come(self, asker: Asker) -> None:
        """Returns when it is the asker's turn, which lasts until `leave`; HttpRefusal 429 or 503 when too many wait."""
        if self._of_place[asker.place] >= OF_PLACE_MAX or self._of_account[asker.account] >= OF_ACCOUNT_MAX:
            detail = "Too many sign-ins of this account or address at once; try again in 1 s"
            raise HttpRefusal(429, detail, {"Retry-After": "1"})
        if self._all >= WAITING_MAX:
            raise HttpRefusal(503, f"{WAITING_MAX} sign-ins are waiting; try again soon", {"Retry-After": "2"})
        self._count(asker, 1)
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.setdefault(asker.place, {}).setdefault(asker.account, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._count(asker, -1)
                self._step_out(asker, turn)
            else:  # it had come just then
                self.leave(asker)
            raise

    def leave(self, asker: Asker) -> None:
        """The turn has ended; the next in line has it."""
        self._count(asker, -1)
        while self._line:
            turn = self._next()
            if not turn.cancelled():  # else its asker has not noticed yet
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        place = next(iter(self._line))
        accounts = self._line.pop(place)
        account = next(iter(accounts))
        waiting = accounts.pop(account)
        turn = waiting.popleft()
        if waiting:
            accounts[account] = waiting
        if accounts:
            self._line[place] = accounts
        return turn

    def _step_out(self, asker: Asker, turn: asyncio.Future[None]) -> None:
        accounts = self._line.get(asker.place, {})
        waiting = accounts.get(asker.account, deque())
        if turn not in waiting:  # somebody who left has passed over it
            return
        waiting.remove(turn)
        if not waiting:
            del accounts[asker.account]
        if not accounts:
            del self._line[asker.place]

    def _count(self, asker: Asker, step: int) -> None:
        self._all += step
        for counts, key in ((self._of_place, asker.place), (self._of_account, asker.account)):
            counts[key] += step
            if not counts[key]:
                del counts[key]
