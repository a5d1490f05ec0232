"""How many messages to ask for at once, from how quickly the last ones came.

A receive of N returns when it has N, or about 0.2 s after its first message. Asking for too many at a low rate costs
that delay on every message; asking for too few at a high rate costs a round trip each.
"""

from __future__ import annotations

from typing import Final

QUICK_S: Final = 0.010
SLOW_S: Final = 0.025


class Appetite:
    """`messages` is what to ask for next: as many as arrive in 10 to 25 ms, or all there may be in a backlog."""

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self.messages = 1

    def took(self, received: int, asked: int, seconds: float) -> None:
        """Learn from one receive."""
        if received >= asked:
            if seconds <= QUICK_S:
                self.messages = min(2 * asked, self._messages_max)
            elif seconds > SLOW_S:
                self.messages = max(1, asked // 2)
        else:
            self.messages = max(1, received // 8)
