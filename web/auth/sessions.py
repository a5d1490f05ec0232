"""Logins: token pairs, their rotation and their end. The state is in `refresh_tokens`, so it holds across processes.

A refresh token may be used once. The front end does not serialise its refreshes, so for `refresh_reuse_s` a used
token answers with the pair already issued: the successor is a function of the token and the time of first use.
A later re-use means that somebody else holds a copy, and ends the whole family.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from engine.clock import US_PER_S
from engine.settings import Settings
from web.audit import Action, Actor, audit
from web.auth.guard import user_principal
from web.auth.tokens import Claims, Tokens, access_id, new_token_id, successor_id, token_hash
from web.database import Database
from web.errors import NotAuthenticated
from web.wire.times import to_us

REMEMBER = """
INSERT INTO refresh_tokens (user_id, family, token_hash, issued_at, expires_at, impersonated_by)
VALUES ($1, $2, $3, $4, $5, $6)
"""
# In the order in which the deletion of a user locks them, so that the two cannot wait for each other.
LOCK_HELD = """
SELECT t.id, t.family, t.used_at, t.expires_at, t.impersonated_by, clock_timestamp() AS now,
       u.id AS user_id, u.username, u.sessions_valid_from,
       (t.impersonated_by IS NULL OR EXISTS (SELECT FROM users a WHERE a.id = t.impersonated_by AND a.role = 'Admin'))
           AS may_continue,
       t.revoked_at IS NOT NULL
           OR EXISTS (SELECT FROM refresh_tokens r WHERE r.family = t.family AND r.revoked_at IS NOT NULL) AS is_ended
  FROM refresh_tokens t JOIN users u ON u.id = t.user_id
 WHERE t.token_hash = $1
   FOR KEY SHARE OF u FOR UPDATE OF t
"""
MARK_USED = "UPDATE refresh_tokens SET used_at = $2 WHERE id = $1"
# A refresh that runs at the same moment may add one more token. One revoked token ends its whole family, that one too.
REVOKE_FAMILY = "UPDATE refresh_tokens SET revoked_at = now() WHERE family = $1 AND revoked_at IS NULL"
SET_PASSWORD = "UPDATE users SET hashed_password = $2 WHERE id = $1"  # noqa: S105
END_ALL = "UPDATE users SET sessions_valid_from = clock_timestamp() WHERE id = $1 RETURNING sessions_valid_from"
# Also those with which an Admin works as somebody else: whoever stole the Admin's login may have begun them.
REVOKE_ALL = """
UPDATE refresh_tokens SET revoked_at = now() WHERE (user_id = $1 OR impersonated_by = $1) AND revoked_at IS NULL
"""
FORGET_EXPIRED = "DELETE FROM refresh_tokens WHERE user_id = $1 AND expires_at < now()"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TokenPairText:
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom tokens are issued."""

    user_id: int
    username: str
    sessions_valid_from: datetime
    impersonated_by: int | None = None


class Sessions:
    def __init__(self, database: Database, tokens: Tokens, settings: Settings) -> None:
        self._database = database
        self._tokens = tokens
        self._access_life_s = settings.access_token_expire_minutes * 60
        self._refresh_life = timedelta(days=settings.refresh_token_expire_days)
        self._reuse = timedelta(seconds=settings.refresh_reuse_s)

    async def begin(self, connection: Any, subject: Subject) -> TokenPairText:
        """A new login, within the transaction of `connection`."""
        claims = _claims(subject, str(uuid.uuid4()), new_token_id())
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        await connection.execute(FORGET_EXPIRED, subject.user_id)
        try:
            await self._remember(connection, claims, now)
        except asyncpg.ForeignKeyViolationError as error:  # the user, or who impersonates, was deleted just now
            raise NotAuthenticated from error
        return self._pair(claims, now)

    async def refresh(self, refresh_token: str, address: str) -> TokenPairText:
        """The next pair of this login; NotAuthenticated when the token is void. `address`: who asks."""
        old = self._tokens.verify(refresh_token, "refresh")
        async with self._database.transaction() as connection:
            held = await connection.fetchrow(LOCK_HELD, token_hash(old.token_id))
            if held is None or held["is_ended"] or held["expires_at"] <= held["now"]:
                raise NotAuthenticated
            if old.generation != to_us(held["sessions_valid_from"]) or not held["may_continue"]:
                raise NotAuthenticated
            subject = Subject(held["user_id"], held["username"], held["sessions_valid_from"], held["impersonated_by"])
            claims = _claims(subject, str(held["family"]), successor_id(old.token_id))
            used_at = held["used_at"]
            if used_at is None:
                used_at = held["now"]
                await connection.execute(MARK_USED, held["id"], used_at)
                await self._remember(connection, claims, used_at)
            is_copied = held["now"] - used_at > self._reuse
            if is_copied:
                await connection.execute(REVOKE_FAMILY, held["family"])
                await _audit_reuse(connection, subject, claims.family, address)
        if is_copied:
            log.warning("refresh_token_reused", user_id=subject.user_id, family=claims.family)
            raise NotAuthenticated
        return self._pair(claims, used_at)

    async def end(self, family: str) -> None:
        """Logout: no refresh token of this login works any more."""
        await self._database.execute(REVOKE_FAMILY, uuid.UUID(family))

    async def _remember(self, connection: Any, claims: Claims, issued_at: datetime) -> None:
        await connection.execute(
            REMEMBER,
            claims.user_id,
            uuid.UUID(claims.family),
            token_hash(claims.token_id),
            issued_at,
            issued_at + self._refresh_life,
            claims.impersonated_by,
        )

    def _pair(self, claims: Claims, issued_at: datetime) -> TokenPairText:
        issued_at_s = to_us(issued_at) // US_PER_S
        return TokenPairText(
            self._tokens.issue(
                "access", replace(claims, token_id=access_id(claims.token_id)), issued_at_s, self._access_life_s
            ),
            self._tokens.issue("refresh", claims, issued_at_s, self._refresh_life.total_seconds()),
        )


async def end_all_sessions(connection: Any, user_id: int, hashed_password: str | None = None) -> datetime:
    """Sign a user out everywhere, maybe with a new password; tokens are good again from the returned moment on."""
    if hashed_password is not None:  # never read here: the caller's own statements may not
        await connection.execute(SET_PASSWORD, user_id, hashed_password)
    valid_from: datetime | None = await connection.fetchval(END_ALL, user_id)
    if valid_from is None:  # deleted just now
        raise NotAuthenticated
    await connection.execute(REVOKE_ALL, user_id)
    return valid_from


async def _audit_reuse(connection: Any, subject: Subject, family: str, address: str) -> None:
    admin_id = subject.impersonated_by
    holder = user_principal(subject.user_id)
    admin = None if admin_id is None else user_principal(admin_id)
    actor = Actor(holder, subject.username, impersonated_by=admin, address=address)
    await audit(connection, actor, Action.REFRESH_REUSED, holder, after={"sign_in": family})


def _claims(subject: Subject, family: str, token_id: str) -> Claims:
    return Claims(
        user_id=subject.user_id,
        username=subject.username,
        generation=to_us(subject.sessions_valid_from),
        family=family,
        token_id=token_id,
        impersonated_by=subject.impersonated_by,
    )
