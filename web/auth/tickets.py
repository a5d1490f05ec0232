"""Tickets for websockets: a browser can put nothing but a URL into a handshake, and what is in a URL gets seen.

A ticket is good once and for 30 s. It is a row in PostgreSQL, so that whichever web process it is shown to knows it,
and of two that are shown it at once exactly one deletes the row.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict

from web.auth.guard import Caller, Guard, Person, Program
from web.database import Database
from web.errors import NotAuthenticated

LIFE_S = 30
_BYTES = 32
_CHARACTERS = 43  # of 32 bytes in URL-safe base64
CALLERS: dict[str, type[Caller]] = {kind.__name__: kind for kind in (Person, Program)}

REMEMBER = """
WITH forgotten AS (DELETE FROM ws_tickets WHERE expires_at < now())
INSERT INTO ws_tickets (ticket_hash, caller, expires_at)
VALUES ($1, $2::text::jsonb, now() + $3 * interval '1 second')
"""
TAKE = "DELETE FROM ws_tickets WHERE ticket_hash = $1 RETURNING caller::text, expires_at > clock_timestamp() AS is_good"


class Tickets:
    def __init__(self, database: Database, guard: Guard) -> None:
        self._database = database
        self._guard = guard

    async def issue(self, caller: Caller) -> str:
        ticket = secrets.token_urlsafe(_BYTES)
        known = {"kind": type(caller).__name__, **asdict(caller)}
        await self._database.execute(REMEMBER, _hash(ticket), json.dumps(known), LIFE_S)
        return ticket

    async def redeem(self, ticket: str) -> Caller:
        """Whom it was given to, as they are now; NotAuthenticated when it is none of ours, too old, or used."""
        if len(ticket) != _CHARACTERS:
            raise NotAuthenticated
        row = await self._database.row(TAKE, _hash(ticket))
        if row is None or not row["is_good"]:
            raise NotAuthenticated
        fields = json.loads(row["caller"])
        try:
            caller = CALLERS[fields.pop("kind")](**fields)
        except (KeyError, TypeError) as error:  # made by a process of another version
            raise NotAuthenticated from error
        return await self._guard.person(caller) if isinstance(caller, Person) else caller


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
