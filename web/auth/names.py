"""Names that people sign in with: user names and e-mail addresses, in one normal form, each held by one user.

What was typed is stored and answered as it is. For finding, counting and comparing it is brought into one form, of
which `sign_in_names` keeps a hash; the database lets one user hold a name, be it as user name or as address. Who had
the same name as somebody else before that was so keeps it as text and does not sign in by it: the first has it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import structlog

from web.audit import SYSTEM, Action, Actor, audit
from web.auth.guard import user_principal
from web.database import Database
from web.errors import HttpRefusal

# Whoever changes names takes turns, before any row of a user is locked.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('gasinsight names', 0))"
FORGET = "DELETE FROM sign_in_names WHERE user_id = $1 AND name <> ALL($2::text[])"
HOLD = """
INSERT INTO sign_in_names (user_id, name, name_hash, is_held)
VALUES ($1, $2, $3, NOT EXISTS (SELECT FROM sign_in_names WHERE user_id = $1 AND name_hash = $3 AND is_held))
ON CONFLICT DO NOTHING
"""
READ_HOLDER = "SELECT user_id FROM sign_in_names WHERE name_hash = $1 AND is_held"
# A user who was made or renamed past us, by a program of the version before or by hand; a name that became free.
IS_UNSETTLED = """
SELECT EXISTS (SELECT FROM users u
                WHERE NOT EXISTS (SELECT FROM sign_in_names n WHERE n.user_id = u.id AND n.name = u.email)
                   OR NOT EXISTS (SELECT FROM sign_in_names n WHERE n.user_id = u.id AND n.name = u.username))
    OR EXISTS (SELECT FROM sign_in_names w
                WHERE NOT w.is_held
                  AND NOT EXISTS (SELECT FROM sign_in_names h WHERE h.name_hash = w.name_hash AND h.is_held))
"""
FORGET_FORMER = """
DELETE FROM sign_in_names n USING users u WHERE u.id = n.user_id AND n.name NOT IN (u.email, u.username)
"""
LOCK_UNNAMED = """
SELECT u.id, u.email, u.username
  FROM users u
 WHERE NOT EXISTS (SELECT FROM sign_in_names n WHERE n.user_id = u.id AND n.name = u.email)
    OR NOT EXISTS (SELECT FROM sign_in_names n WHERE n.user_id = u.id AND n.name = u.username)
 ORDER BY u.id
   FOR KEY SHARE OF u
"""
WAIT_FOR = """
INSERT INTO sign_in_names (user_id, name, name_hash, is_held) VALUES ($1, $2, $3, false)
ON CONFLICT (user_id, name) DO NOTHING
"""
HOLD_FREE = """
UPDATE sign_in_names SET is_held = true
 WHERE (user_id, name) IN (
    SELECT DISTINCT ON (w.name_hash) w.user_id, w.name
      FROM sign_in_names w
     WHERE NOT EXISTS (SELECT FROM sign_in_names h WHERE h.name_hash = w.name_hash AND h.is_held)
     ORDER BY w.name_hash, w.user_id, w.name)
"""
READ_CLASHES = """
SELECT w.user_id, w.name, h.user_id AS holder_id
  FROM sign_in_names w JOIN sign_in_names h ON h.name_hash = w.name_hash AND h.is_held
 WHERE NOT w.is_held AND h.user_id <> w.user_id AND w.user_id = ANY($1::int[])
 ORDER BY w.user_id, w.name
"""
FIND_HOLDER = """
SELECT u.id, u.username, u.hashed_password, u.sessions_valid_from
  FROM sign_in_names n JOIN users u ON u.id = n.user_id AND n.name IN (u.email, u.username)
 WHERE n.name_hash = $1 AND n.is_held
"""
FIND_BY_EMAIL = """
SELECT u.id
  FROM sign_in_names n JOIN users u ON u.id = n.user_id
  JOIN sign_in_names own ON own.user_id = u.id AND own.name = u.email AND own.name_hash = n.name_hash
 WHERE n.name_hash = $1 AND n.is_held
"""

log = structlog.get_logger(__name__)


def normal_name(typed: str) -> str:
    """One form of what means the same: compatibility forms (NFKC), case and outer blanks tell no names apart."""
    folded = unicodedata.normalize("NFKC", typed).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold()).strip()


def name_hash(typed: str) -> bytes:
    """Of the normal form, which may be longer than an index takes."""
    return hashlib.sha256(normal_name(typed).encode()).digest()


class Names:
    """Sees all users, whoever asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def holder(self, typed: str) -> Any | None:
        """The user who holds this name; None when nobody does."""
        await self.settle()
        return await self._database.row(FIND_HOLDER, name_hash(typed))

    async def holder_of_email(self, email: str) -> int | None:
        """The user whose address this is, and no user name that looks like it. A provider says it without blanks."""
        if email != email.strip():
            return None
        await self.settle()
        user_id: int | None = await self._database.value(FIND_BY_EMAIL, name_hash(email))
        return user_id

    async def settle(self) -> None:
        """Give names to whom was made or renamed past us; the user with the lowest id is the first."""
        if not await self._database.value(IS_UNSETTLED):
            return
        async with self._database.transaction() as connection:
            await take_turn(connection)
            await connection.execute(FORGET_FORMER)
            unnamed = await connection.fetch(LOCK_UNNAMED)
            names = [
                (user["id"], name, name_hash(name)) for user in unnamed for name in (user["email"], user["username"])
            ]
            await connection.executemany(WAIT_FOR, names)
            await connection.execute(HOLD_FREE)
            for clash in await connection.fetch(READ_CLASHES, [user["id"] for user in unnamed]):
                await _tell(connection, clash["user_id"], clash["name"], user_principal(clash["holder_id"]))


async def take_turn(connection: Any) -> None:
    """Nobody else changes names until the transaction ends."""
    await connection.execute(TAKE_TURN)


async def hold_names(connection: Any, user_id: int, new: dict[str, str], kept: tuple[str, ...] = ()) -> None:
    """Hold `new` names, each under what it is, for a user, and of others only `kept`; HttpRefusal 400 for one that
    somebody else holds.
    """
    await connection.execute(FORGET, user_id, list(kept))
    for what, name in new.items():
        await connection.execute(HOLD, user_id, name, name_hash(name))
        if await connection.fetchval(READ_HOLDER, name_hash(name)) != user_id:
            raise HttpRefusal(400, f"{what} already registered")


async def _tell(connection: Any, user_id: int, name: str, holder: str) -> None:
    log.warning("name_held_by_another", user_id=user_id, holder=holder)
    after = {"name": name, "held_by": holder}
    await audit(connection, Actor(SYSTEM, "names"), Action.NAME_NOT_HELD, user_principal(user_id), after=after)
