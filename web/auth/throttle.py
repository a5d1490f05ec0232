"""Failed sign-ins slow down whoever fails, for minutes at most, and never the account's owner at a place of theirs.

Failures are counted for an account at an address, for an account, and for an address. Past what is free each further
one doubles the wait. An address where the account signed in before is held up by its own failures only, so that
strangers lock nobody out. An account is the normal form of the name that was typed, whether it exists or not: who
waits learns nothing of it, nor which address belongs to which user name. The counts are in PostgreSQL, so they hold
across processes; what was typed is kept as a hash only, because people type passwords into the wrong field.

Attempts that run at the same moment are not counted yet: the line for passwords (`PasswordLine`) bounds those. Past
what is free they come one after the other.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.clock import Clock
from web.auth.password_line import Asker
from web.database import Database
from web.errors import HttpRefusal

FREE_AT_ADDRESS = 10
FREE_OF_ACCOUNT = 50
FREE_OF_ADDRESS = 200  # an office behind one address
HOLD_S_MAX = 300
FORGET = timedelta(hours=1)
KNOWN = timedelta(days=90)

READ = "SELECT subject, failures, failed_at, succeeded_at FROM sign_in_counts WHERE subject = ANY($1::bytea[])"
# In the order of their subjects, so that two attempts never wait for each other.
COUNT = """
INSERT INTO sign_in_counts AS c (subject, failures, failed_at, forget_at)
SELECT subject, 1, $2, $3 FROM unnest($1::bytea[]) AS subject ORDER BY subject
ON CONFLICT (subject) DO UPDATE
   SET failures = CASE WHEN c.failed_at < $4 THEN 1 ELSE c.failures + 1 END,
       failed_at = excluded.failed_at,
       forget_at = greatest(c.forget_at, excluded.forget_at)
"""
SUCCEED = """
INSERT INTO sign_in_counts AS c (subject, failures, succeeded_at, forget_at) VALUES ($1, 0, $2, $3)
ON CONFLICT (subject) DO UPDATE
   SET failures = 0, failed_at = NULL, succeeded_at = excluded.succeeded_at, forget_at = excluded.forget_at
"""
PRUNE = """
DELETE FROM sign_in_counts
 WHERE subject IN (SELECT subject FROM sign_in_counts WHERE forget_at < $1 ORDER BY forget_at LIMIT 100
                      FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody who may try a password now. `counted`: as what its failure counts."""

    at_address: bytes
    counted: frozenset[bytes]


class Throttle:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._running: Counter[bytes] = Counter()

    @asynccontextmanager
    async def attempt(self, asker: Asker) -> AsyncIterator[Attempt]:
        """HttpRefusal 429 for who has to wait."""
        attempt = await self._admitted(asker.account, asker.place)
        self._running.update(attempt.counted)
        try:
            yield attempt
        finally:
            self._running -= Counter(attempt.counted)

    async def failed(self, attempt: Attempt) -> None:
        now = self._now()
        await self._database.execute(COUNT, list(attempt.counted), now, now + FORGET, now - FORGET)
        await self._database.execute(PRUNE, now)

    async def succeeded(self, attempt: Attempt) -> None:
        """Only the account's own count at this address begins anew: one good account must not wash an address clean."""
        now = self._now()
        await self._database.execute(SUCCEED, attempt.at_address, now, now + KNOWN)

    async def _admitted(self, account: str, place: str) -> Attempt:
        at_address = _subject("account at address", account, place)
        free = {
            at_address: FREE_AT_ADDRESS,
            _subject("account", account): FREE_OF_ACCOUNT,
            _subject("address", place): FREE_OF_ADDRESS,
        }
        now = self._now()
        counts = {row["subject"]: row for row in await self._database.rows(READ, list(free))}
        known = counts.get(at_address)
        if known is not None and known["succeeded_at"] is not None and known["succeeded_at"] > now - KNOWN:
            free = {at_address: FREE_AT_ADDRESS}
        seconds = max(self._wait_s(subject, counts.get(subject), limit, now) for subject, limit in free.items())
        if seconds > 0:
            detail = f"Too many failed sign-ins; try again in {seconds} s"
            raise HttpRefusal(429, detail, {"Retry-After": str(seconds)})
        return Attempt(at_address, frozenset(free))

    def _wait_s(self, subject: bytes, count: Any, free: int, now: datetime) -> int:
        """How long somebody with these failures still waits; 0: not at all."""
        if count is None or count["failures"] < free or count["failed_at"] < now - FORGET:
            return 0
        hold_s = min(HOLD_S_MAX, 2 ** min(count["failures"] - free, 30))
        left: timedelta = count["failed_at"] + timedelta(seconds=hold_s) - now
        if left > timedelta(0):
            return math.ceil(left.total_seconds())
        return 1 if self._running[subject] else 0

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)


def _subject(*parts: str) -> bytes:
    return hashlib.sha256("\x00".join(parts).encode()).digest()
