"""Who holds which message until when. A lock belongs to its token, not to a connection: it outlives one that dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.clock import US_PER_S, Clock
from engine.local_bus.alarm import Alarm
from engine.local_bus.backlog import Message
from engine.local_bus.errors import LOCK_LOST, AmqpError


@dataclass(slots=True)
class Lock:
    """`state` is the one the message is stored with; `expires_s` is monotonic."""

    sequence_number: int
    delivery_count: int
    state: int
    expires_s: float


class Delivery(NamedTuple):
    """A message on its way to a receiver; `token` as the wire writes it (little-endian GUID)."""

    message: Message
    token: bytes
    locked_until_us: int | None


class Locks:
    """`on_expired` gets the locks that ran out."""

    def __init__(self, clock: Clock, lock_s: float, on_expired: Callable[[list[Lock]], None]) -> None:
        self._clock = clock
        self._lock_s = lock_s
        self._on_expired = on_expired
        self._held: dict[bytes, Lock] = {}  # in the order they expire: every lock lasts equally long
        self._alarm = Alarm(clock, self._expire)

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        self._alarm.cancel()

    def take(self, messages: Sequence[Message]) -> list[Delivery]:
        expires_s = self._clock.monotonic_s() + self._lock_s
        until_us = self._until_us()
        deliveries = []
        for message, token in zip(messages, fresh_tokens(len(messages)), strict=True):
            self._held[token] = Lock(message.sequence_number, message.delivery_count, message.state, expires_s)
            deliveries.append(Delivery(message, token, until_us))
        self._alarm.set(expires_s)
        return deliveries

    def give_up(self, token: bytes) -> Lock:
        """End the lock to settle its message; AmqpError with message-lock-lost when it is not held any more."""
        return self._held.pop(self._valid(token))

    def restore(self, token: bytes, lock: Lock) -> None:
        """The lock that was given up holds again, for its full time."""
        lock.expires_s = self._clock.monotonic_s() + self._lock_s
        self._held[token] = lock
        self._alarm.set(lock.expires_s)

    def renew(self, token: bytes) -> int:
        """Microseconds since 1970 until which the lock now holds."""
        lock = self._held.pop(self._valid(token))
        lock.expires_s = self._clock.monotonic_s() + self._lock_s
        self._held[token] = lock
        return self._until_us()

    def _valid(self, token: bytes) -> bytes:
        lock = self._held.get(token)
        if lock is None or lock.expires_s <= self._clock.monotonic_s():
            raise AmqpError(LOCK_LOST, "the lock is not held: it expired, or the message was settled before")
        return token

    def _until_us(self) -> int:
        return self._clock.now_us() + round(self._lock_s * US_PER_S)

    def _expire(self) -> None:
        now_s = self._clock.monotonic_s()
        expired = []
        for token, lock in self._held.items():
            if lock.expires_s > now_s:
                self._alarm.set(lock.expires_s)
                break
            expired.append(token)
        if expired:
            self._on_expired([self._held.pop(token) for token in expired])


def fresh_tokens(count: int) -> list[bytes]:
    octets = os.urandom(16 * count)
    return [octets[at : at + 16] for at in range(0, 16 * count, 16)]
