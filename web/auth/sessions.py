"""Logins: token pairs, their rotation and their end. The state is in `refresh_tokens`, so it holds across processes.

A refresh token may be used once. The front end does not serialise its refreshes, so for `refresh_reuse_s` a used
token answers with the pair already issued: the successor is a function of the token, the key and the time of first use.
A later re-use means that somebody else holds a copy, and ends the whole family.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from engine.clock import US_PER_S
from engine.settings import Settings
from web.auth.tokens import Claims, Tokens, new_token_id, token_hash
from web.database import Database
from web.errors import NotAuthenticated
from web.times import to_us

REMEMBER = """
INSERT INTO refresh_tokens (user_id, family, token_hash, issued_at, expires_at, impersonated_by)
VALUES ($1, $2, $3, $4, $5, $6)
"""
LOCK_HELD = """
SELECT t.id, t.family, t.used_at, t.revoked_at, t.expires_at, t.impersonated_by, clock_timestamp() AS now,
       u.id AS user_id, u.username, u.sessions_valid_from,
       (t.impersonated_by IS NULL OR EXISTS (SELECT FROM users a WHERE a.id = t.impersonated_by AND a.role = 'Admin'))
           AS may_continue
  FROM refresh_tokens t JOIN users u ON u.id = t.user_id
 WHERE t.token_hash = $1
   FOR UPDATE OF t
"""
MARK_USED = "UPDATE refresh_tokens SET used_at = $2 WHERE id = $1"
REVOKE_FAMILY = "UPDATE refresh_tokens SET revoked_at = now() WHERE family = $1 AND revoked_at IS NULL"
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

    async def begin(self, subject: Subject) -> TokenPairText:
        """A new login."""
        claims = _claims(subject, str(uuid.uuid4()), new_token_id())
        async with self._database.transaction() as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
            await connection.execute(FORGET_EXPIRED, subject.user_id)
            await self._remember(connection, claims, now)
        return self._pair(claims, now)

    async def refresh(self, refresh_token: str) -> TokenPairText:
        """The next pair of this login; NotAuthenticated when the token is void."""
        old = self._tokens.verify(refresh_token, "refresh")
        async with self._database.transaction() as connection:
            held = await connection.fetchrow(LOCK_HELD, token_hash(old.token_id))
            if held is None or held["revoked_at"] is not None or held["expires_at"] <= held["now"]:
                raise NotAuthenticated
            if old.generation != to_us(held["sessions_valid_from"]) or not held["may_continue"]:
                raise NotAuthenticated
            subject = Subject(held["user_id"], held["username"], held["sessions_valid_from"], held["impersonated_by"])
            claims = _claims(subject, str(held["family"]), self._tokens.successor_id(old.token_id))
            used_at = held["used_at"]
            if used_at is None:
                used_at = held["now"]
                await connection.execute(MARK_USED, held["id"], used_at)
                await self._remember(connection, claims, used_at)
            is_copied = held["now"] - used_at > self._reuse
            if is_copied:
                await connection.execute(REVOKE_FAMILY, held["family"])
        if is_copied:
            log.warning("refresh_token_reused", user_id=subject.user_id, family=claims.family)
            raise NotAuthenticated
        return self._pair(claims, used_at)

    async def end(self, family: str) -> None:
        """Logout: no refresh token of this login works any more."""
        await self._database.execute(REVOKE_FAMILY, uuid.UUID(family))

    async def _remember(self, connection: object, claims: Claims, issued_at: datetime) -> None:
        await connection.execute(  # type: ignore[attr-defined]
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
            self._tokens.issue("access", replace(claims, token_id=""), issued_at_s, self._access_life_s),
            self._tokens.issue("refresh", claims, issued_at_s, self._refresh_life.total_seconds()),
        )


def _claims(subject: Subject, family: str, token_id: str) -> Claims:
    return Claims(
        user_id=subject.user_id,
        username=subject.username,
        generation=to_us(subject.sessions_valid_from),
        family=family,
        token_id=token_id,
        impersonated_by=subject.impersonated_by,
    )
