"""Open websockets and the rights they rest on: looked up again every 2 s, so that a right that ends closes its streams.

An expired access token ends nothing; a deleted user, a revoked permission or a sign-out everywhere does, and so does an
API key that expired or was revoked, and a facility or sensor that is shown and was retired or removed. While PostgreSQL
is away nothing can be known, and sockets stay as they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.metrics import Metrics
from web.auth.guard import Caller, Person, Program
from web.database import Database
from web.errors import HttpRefusal
from web.wire.times import to_us

RECHECK_S = 2.0
CLIENTS = "gasinsight_websocket_clients"

READ_RIGHTS = """
SELECT 'user:' || u.id::text AS principal, u.role = 'Admin' AS is_admin, u.role_changed_at, u.sessions_valid_from,
       array(SELECT (r.facility_id, r.grant_id) FROM facility_rights r WHERE r.principal = 'user:' || u.id::text)
           AS grants
  FROM users u
 WHERE u.id = ANY($1::int[])
UNION ALL
SELECT 'key:' || k.id::text, false, NULL, NULL,
       array(SELECT (r.facility_id, r.grant_id) FROM facility_rights r WHERE r.principal = 'key:' || k.id::text)
  FROM api_keys k
 WHERE k.id = ANY($2::int[]) AND k.revoked_at IS NULL AND k.expires_at > now()
"""

# Of the given logins, each with the Admin who impersonates or NULL.
READ_ENDED = """
SELECT login.family
  FROM unnest($1::text[], $2::int[]) AS login (family, admin_id)
 WHERE EXISTS (SELECT FROM refresh_tokens t WHERE t.family = login.family::uuid AND t.revoked_at IS NOT NULL)
    OR (login.admin_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM users a WHERE a.id = login.admin_id AND a.role = 'Admin'))
"""

# Of what is shown, what there is and is in use. Without a sensor id: the whole facility.
READ_SHOWN = """
SELECT shown.facility_id, shown.sensor_id
  FROM unnest($1::text[], $2::text[]) AS shown (facility_id, sensor_id)
  JOIN facilities f ON f.id = shown.facility_id AND f.retired_at IS NULL
 WHERE shown.sensor_id = ''
    OR EXISTS (SELECT FROM sensors s
                WHERE s.id = shown.sensor_id AND s.facility_id = f.id AND s.retired_at IS NULL)
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a caller may view. `grants`: by facility, each told from one that was granted anew; `role_changed_at` tells
    the same of an Admin.
    """

    is_admin: bool
    role_changed_at: datetime | None
    grants: Mapping[str, int]

    def may_view(self, facility_id: str) -> bool:
        return self.is_admin or facility_id in self.grants

    def grounds(self, facility_id: str) -> frozenset[object]:
        """What the view of a facility rests on; nothing, where there is none."""
        admin = {("Admin", self.role_changed_at)} if self.is_admin else set()
        granted = {("grant", self.grants[facility_id])} if facility_id in self.grants else set()
        return frozenset(admin | granted)


@dataclass(eq=False, slots=True)
class OpenSocket:
    """One socket. `facility_id`: what it shows; None for notifications, which show whatever `rights` admit.

    sensor_id   if it shows one sensor of the facility only
    """

    kind: str
    caller: Caller
    facility_id: str | None
    rights: Rights
    sensor_id: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    grounds: frozenset[object] = field(init=False)

    def __post_init__(self) -> None:
        self.grounds = frozenset() if self.facility_id is None else self.rights.grounds(self.facility_id)

    def goes_on_with(self, rights: Rights) -> bool:
        """Take note of the rights of now. One that ended and came back is another, for which to open another socket."""
        self.rights = rights
        if self.facility_id is None:
            return True
        self.grounds &= rights.grounds(self.facility_id)
        return bool(self.grounds)


class OpenSockets:
    """`each_max`: sockets of one principal; `all_max`: of this process."""

    def __init__(self, database: Database, metrics: Metrics, clock: Clock, each_max: int, all_max: int) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._open: set[OpenSocket] = set()
        self._counts: dict[str, int] = {}
        self._by_principal: Counter[str] = Counter()
        self._each_max = each_max
        self._all_max = all_max

    async def rights_of(self, caller: Caller) -> Rights | None:
        """None when the user is gone or signed out everywhere, or the key has ended."""
        return (await self._read([caller])).get((caller.principal, caller.generation))

    async def is_shown(self, facility_id: str, sensor_id: str | None) -> bool:
        """Whether the facility, and the sensor, are there and not retired."""
        return bool(await self._shown({(facility_id, sensor_id or "")}))

    @contextmanager
    def opened(self, socket: OpenSocket) -> Iterator[OpenSocket]:
        """Raises HttpRefusal when there are as many as there may be."""
        principal = socket.caller.principal
        if len(self._open) >= self._all_max:
            raise HttpRefusal(503, f"All {self._all_max} websockets of this process are taken", {"Retry-After": "5"})
        if self._by_principal[principal] >= self._each_max:
            raise HttpRefusal(403, f"You have {self._each_max} open websockets, which is the most there may be")
        self._open.add(socket)
        self._by_principal[principal] += 1
        self._count(socket.kind, 1)
        try:
            yield socket
        finally:
            self._open.discard(socket)
            self._by_principal[principal] -= 1
            if not self._by_principal[principal]:
                del self._by_principal[principal]
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
        callers = [socket.caller for socket in sockets]
        rights = await self._read(callers)
        ended = await self._ended_logins(callers)
        shown = await self._shown(
            {(socket.facility_id, socket.sensor_id or "") for socket in sockets if socket.facility_id is not None}
        )
        for socket in sockets:
            now = rights.get((socket.caller.principal, socket.caller.generation))
            if isinstance(socket.caller, Person) and socket.caller.family in ended:
                now = None
            if socket.facility_id is not None and (socket.facility_id, socket.sensor_id or "") not in shown:
                now = None
            if now is None or not socket.goes_on_with(now):
                socket.ended.set()

    async def _read(self, callers: list[Caller]) -> dict[tuple[str, int | None], Rights]:
        """Rights by principal and generation of its tokens, of those that live."""
        user_ids = {caller.user_id for caller in callers if isinstance(caller, Person)}
        key_ids = {caller.key_id for caller in callers if isinstance(caller, Program)}
        return {
            (row["principal"], _generation(row["sessions_valid_from"])): Rights(
                row["is_admin"], row["role_changed_at"], {grant[0]: grant[1] for grant in row["grants"]}
            )
            for row in await self._database.rows(READ_RIGHTS, list(user_ids), list(key_ids))
        }

    async def _ended_logins(self, callers: list[Caller]) -> set[str]:
        """Families of tokens that were signed out, or copied, or whose Admin is none any more."""
        logins = {(caller.family, caller.impersonated_by) for caller in callers if isinstance(caller, Person)}
        families, admin_ids = [family for family, _ in logins], [admin_id for _, admin_id in logins]
        return {row["family"] for row in await self._database.rows(READ_ENDED, families, admin_ids)}

    async def _shown(self, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        facility_ids, sensor_ids = [facility_id for facility_id, _ in wanted], [sensor_id for _, sensor_id in wanted]
        rows = await self._database.rows(READ_SHOWN, facility_ids, sensor_ids) if wanted else []
        return {(row["facility_id"], row["sensor_id"]) for row in rows}

    def _count(self, kind: str, step: int) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + step
        self._metrics.gauge(CLIENTS, self._counts[kind], kind=kind)


def _generation(sessions_valid_from: datetime | None) -> int | None:
    return None if sessions_valid_from is None else to_us(sessions_valid_from)
