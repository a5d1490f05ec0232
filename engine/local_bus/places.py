"""Places for connections: many for those who have shown the key, a few and for seconds for strangers.

Whoever comes while all places of strangers are taken has that of the oldest: nobody without the key keeps a client out,
and what strangers hold all together is bounded.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

KNOWN_MAX = 256
STRANGERS_MAX = 128
STRANGERS_PER_ADDRESS_MAX = 64
STRANGER_S_MAX = 15.0


class Visitor(Protocol):
    """A connection as the places see it."""

    @property
    def address(self) -> str: ...

    def turn_out(self, reason: str) -> None:
        """Its place is gone: hang up now."""


class Places:
    """`enter` at the beginning, `know` once the key was shown, `leave` at the end, which may be said twice."""

    def __init__(
        self,
        known_max: int = KNOWN_MAX,
        strangers_max: int = STRANGERS_MAX,
        strangers_per_address_max: int = STRANGERS_PER_ADDRESS_MAX,
        stranger_s_max: float = STRANGER_S_MAX,
    ) -> None:
        self._known_max = known_max
        self._strangers_max = strangers_max
        self._strangers_per_address_max = strangers_per_address_max
        self._stranger_s_max = stranger_s_max
        self._known: set[Visitor] = set()
        self._strangers: dict[str, dict[Visitor, asyncio.TimerHandle]] = {}  # by address, the oldest first

    @property
    def known_count(self) -> int:
        return len(self._known)

    @property
    def strangers_count(self) -> int:
        return sum(map(len, self._strangers.values()))

    def enter(self, visitor: Visitor) -> bool:
        """As a stranger; True when the oldest of its address, or of the address that has most of them, had to go."""
        mine = self._strangers.get(visitor.address, {})
        is_crowded = True
        if len(mine) >= self._strangers_per_address_max:
            self._turn_out(next(iter(mine)), "newer ones of its address came")
        elif self.strangers_count >= self._strangers_max:
            most = max(self._strangers.values(), key=len)
            self._turn_out(next(iter(most)), "newer ones came")
        else:
            is_crowded = False
        overdue = partial(self._turn_out, visitor, f"{self._stranger_s_max:g} s were over")
        timer = asyncio.get_running_loop().call_later(self._stranger_s_max, overdue)
        self._strangers.setdefault(visitor.address, {})[visitor] = timer
        return is_crowded

    def know(self, visitor: Visitor) -> bool:
        """It has shown the key; False when all places are taken by others who have."""
        if visitor in self._known:
            return True
        if len(self._known) >= self._known_max:
            return False
        self.leave(visitor)
        self._known.add(visitor)
        return True

    def leave(self, visitor: Visitor) -> None:
        self._known.discard(visitor)
        mine = self._strangers.get(visitor.address, {})
        if (timer := mine.pop(visitor, None)) is not None:
            timer.cancel()
            if not mine:
                del self._strangers[visitor.address]

    def _turn_out(self, visitor: Visitor, why: str) -> None:
        self.leave(visitor)
        visitor.turn_out(f"a connection that had not shown the key was ended: {why}")
