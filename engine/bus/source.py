"""The port through which readers take messages from a queue: peek-lock, then settle each message once.

Real one: `engine.bus.service_bus` (azure SDK). A model broker in the tests passes the same contract suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One locked message. `delivery_count` is 0 at the first delivery; `token` is the source's own handle on it."""

    body: bytes
    sequence_number: int
    delivery_count: int
    enqueued_at_us: int
    locked_until_us: int
    token: Any


class BusSource(Protocol):
    """One queue as one reader sees it. Every method may raise BusUnavailable; settling may raise LockLost."""

    async def receive(self, max_messages: int, wait_s: float) -> list[BusMessage]:
        """Lock up to `max_messages`; waits up to `wait_s` for the first one. Empty: the queue has nothing for us now.

        Messages come in the order of the queue. An empty answer is a statement about the queue, not about the
        connection: when the connection is in doubt this raises BusUnavailable.
        """

    async def complete(self, message: BusMessage) -> None:
        """Remove the message from the queue for good."""

    async def abandon(self, message: BusMessage) -> None:
        """Give the message back now; its delivery count goes up by one."""

    async def dead_letter(self, message: BusMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue with a reason for machines and a description for people."""

    async def renew_lock(self, message: BusMessage) -> int:
        """Lock the message for another full lock duration; returns the new `locked_until_us`."""

    async def close(self) -> None:
        """Give unsettled messages back as the broker's rules say and let the connection go. May be called twice."""
