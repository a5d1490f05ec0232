"""Open websockets and the rights they rest on: looked up again every 2 s, so that a right that ends closes its streams.

An expired access token ends nothing; a deleted user, a revoked permission or a sign-out everywhere does. While
PostgreSQL is away nothing can be known, and sockets stay as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.metrics import Metrics
from web.auth.guard import Caller
from web.database import Database
from web.times import to_us

RECHECK_S = 2.0
CLIENTS = "gasinsight_websocket_clients"

READ_RIGHTS = """
SELECT u.id, u.role, u.sessions_valid_from,
       array(SELECT p.facility_id FROM permissions p WHERE p.user_id = u.id) AS facility_ids
  FROM users u
 WHERE u.id = ANY($1::int[])
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may view."""

    is_admin: bool
    facility_ids: frozenset[str]

    def may_view(self, facility_id: str) -> bool:
        return self.is_admin or facility_id in self.facility_ids


@dataclass(eq=False, slots=True)
class OpenSocket:
    """One socket. `facility_id`: what it shows; None for notifications, which show whatever `rights` admit."""

    kind: str
    caller: Caller
    facility_id: str | None
    rights: Rights
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class OpenSockets:
    def __init__(self, database: Database, metrics: Metrics, clock: Clock) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._open: set[OpenSocket] = set()
        self._counts: dict[str, int] = {}

    async def rights_of(self, caller: Caller) -> Rights | None:
        """None when the user is gone or signed out everywhere."""
        return (await self._read({caller.user_id})).get((caller.user_id, caller.generation))

    @contextmanager
    def opened(self, socket: OpenSocket) -> Iterator[OpenSocket]:
        self._open.add(socket)
        self._count(socket.kind, 1)
        try:
            yield socket
        finally:
            self._open.discard(socket)
            self._count(socket.kind, -1)

    async def run(self) -> None:
        """Look again, forever."""
        while True:
            await self._clock.sleep(RECHECK_S)
            try:
                await self.recheck()
            except StoreUnavailable as error:
                log.warning("rights_not_rechecked", sockets=len(self._open), error=str(error))

    async def recheck(self) -> None:
        sockets = list(self._open)
        if not sockets:
            return
        rights = await self._read({socket.caller.user_id for socket in sockets})
        for socket in sockets:
            now = rights.get((socket.caller.user_id, socket.caller.generation))
            if now is None or (socket.facility_id is not None and not now.may_view(socket.facility_id)):
                socket.ended.set()
            else:
                socket.rights = now

    async def _read(self, user_ids: set[int]) -> dict[tuple[int, int], Rights]:
        """Rights by user and generation of their tokens."""
        return {
            (row["id"], to_us(row["sessions_valid_from"])): Rights(
                row["role"] == "Admin", frozenset(row["facility_ids"])
            )
            for row in await self._database.rows(READ_RIGHTS, list(user_ids))
        }

    def _count(self, kind: str, step: int) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + step
        self._metrics.gauge(CLIENTS, self._counts[kind], kind=kind)
