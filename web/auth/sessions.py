"""Logins: token pairs, their rotation and their end. The state is in `refresh_tokens`, so it holds across processes.

A refresh token may be used once. The front end does not serialise its refreshes, so for `refresh_reuse_s` a used
token answers with the pair already issued: the successor is a function of the token and the time of first use.

A later re-use comes from another tab of the same browser, or from somebody who holds a copy. Who asks from the browser
to which the family's newest pair went is led on to that pair; anybody else ends the whole family. Times are those of
the web processes, as in the tokens.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog

from engine.clock import US_PER_S, Clock
from engine.settings import Settings
from web.audit import Action, Actor, audit
from web.auth.guard import user_principal
from web.auth.places import Browser
from web.auth.tokens import Claims, Tokens, access_id, new_token_id, successor_id, token_hash
from web.database import Database
from web.errors import NotAuthenticated
from web.wire.times import to_us

REMEMBER = """
INSERT INTO refresh_tokens (user_id, family, token_hash, issued_at, expires_at, impersonated_by, issued_to)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# In the order in which the deletion of a user locks them, so that the two cannot wait for each other.
LOCK_HELD = """
SELECT t.id, t.family, t.used_at, t.expires_at, t.impersonated_by, t.reused_at,
       u.id AS user_id, u.username, u.sessions_valid_from,
       (t.impersonated_by IS NULL OR EXISTS (SELECT FROM users a WHERE a.id = t.impersonated_by AND a.role = 'Admin'))
           AS may_continue,
       t.revoked_at IS NOT NULL
           OR EXISTS (SELECT FROM refresh_tokens r WHERE r.family = t.family AND r.revoked_at IS NOT NULL) AS is_ended
  FROM refresh_tokens t JOIN users u ON u.id = t.user_id
 WHERE t.token_hash = $1
   FOR KEY SHARE OF u FOR UPDATE OF t
"""
# Who waited here for another refresh sees that the token is used, and not the one that was added: ask again.
FOLLOWED_MAX = 10_000
"""Refreshes that a late token may lie behind, each a hash on the loop: 30 days of one every five minutes are 8,640."""
LOCK_NEWEST = """
SELECT id, token_hash, issued_at, used_at, issued_to,
       (SELECT count(*) FROM refresh_tokens WHERE family = $1 AND id > $2) AS steps
  FROM refresh_tokens
 WHERE family = $1
 ORDER BY id DESC
 LIMIT 1
   FOR UPDATE
"""
MARK_REUSED = "UPDATE refresh_tokens SET reused_at = $2 WHERE id = $1"
MARK_USED = "UPDATE refresh_tokens SET used_at = $2 WHERE id = $1"
# A refresh that runs at the same moment may add one more token. One revoked token ends its whole family, that one too.
# Locked in the order of their ids, as refreshes do.
REVOKE_FAMILY = """
WITH ending AS MATERIALIZED (
    SELECT id FROM refresh_tokens WHERE family = $1 AND revoked_at IS NULL ORDER BY id FOR UPDATE)
UPDATE refresh_tokens SET revoked_at = now() WHERE id IN (SELECT id FROM ending)
"""
SET_PASSWORD = "UPDATE users SET hashed_password = $2 WHERE id = $1"  # noqa: S105
END_ALL = "UPDATE users SET sessions_valid_from = clock_timestamp() WHERE id = $1 RETURNING sessions_valid_from"
# Also those with which an Admin works as somebody else: whoever stole the Admin's login may have begun them.
REVOKE_ALL = """
WITH ending AS MATERIALIZED (
    SELECT id FROM refresh_tokens WHERE (user_id = $1 OR impersonated_by = $1) AND revoked_at IS NULL
     ORDER BY id FOR UPDATE)
UPDATE refresh_tokens SET revoked_at = now() WHERE id IN (SELECT id FROM ending)
"""
# Not before the last access token of theirs is worth nothing: what ended would be forgotten with them.
FORGET_EXPIRED = "DELETE FROM refresh_tokens WHERE user_id = $1 AND expires_at < $2"

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
    def __init__(self, database: Database, tokens: Tokens, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._access_life_s = settings.access_token_expire_minutes * 60
        self._access_life = timedelta(seconds=self._access_life_s)
        self._refresh_life = timedelta(days=settings.refresh_token_expire_days)
        self._reuse = timedelta(seconds=settings.refresh_reuse_s)
        # A pair is given again only while its access token is good for something.
        self._replay = min(self._reuse, self._access_life / 2)

    async def begin(self, connection: Any, subject: Subject, browser: Browser) -> TokenPairText:
        """A new login, within the transaction of `connection`."""
        claims = _claims(subject, str(uuid.uuid4()), new_token_id())
        now = self._now()
        await connection.execute(FORGET_EXPIRED, subject.user_id, now - self._access_life)
        try:
            await self._remember(connection, claims, now, browser)
        except asyncpg.ForeignKeyViolationError as error:  # the user, or who impersonates, was deleted just now
            raise NotAuthenticated from error
        return self._pair(claims, now)

    async def refresh(self, refresh_token: str, browser: Browser) -> TokenPairText:
        """The next pair of this login; NotAuthenticated when the token is void."""
        old = self._tokens.verify(refresh_token, "refresh")
        async with self._database.transaction() as connection:
            held = await connection.fetchrow(LOCK_HELD, token_hash(old.token_id))
            now = self._now()
            if held is None or held["is_ended"] or held["expires_at"] <= now:
                raise NotAuthenticated
            if old.generation != to_us(held["sessions_valid_from"]) or not held["may_continue"]:
                raise NotAuthenticated
            subject = Subject(held["user_id"], held["username"], held["sessions_valid_from"], held["impersonated_by"])
            claims = _claims(subject, str(held["family"]), old.token_id)
            if held["used_at"] is None:
                return await self._use(connection, held["id"], claims, now, browser)
            if now - held["used_at"] <= self._replay:
                return self._pair(_followed(claims, 1), held["used_at"])
            pair = await self._used_before(connection, held, claims, now, browser)
        if pair is None:
            log.warning("refresh_token_reused", user_id=subject.user_id, family=claims.family)
            raise NotAuthenticated
        return pair

    async def _used_before(
        self, connection: Any, held: Any, claims: Claims, now: datetime, browser: Browser
    ) -> TokenPairText | None:
        """What the family goes on with; None, and it goes on no more, when somebody else asks late."""
        newest = await self._newest(connection, held)
        is_late = now - held["used_at"] > self._reuse
        if is_late and newest["issued_to"] != browser.digest:
            await connection.execute(REVOKE_FAMILY, held["family"])
            await _audit(connection, Action.REFRESH_REUSED, claims, browser)
            return None
        if newest["steps"] > FOLLOWED_MAX:
            raise NotAuthenticated
        of_newest = _followed(claims, newest["steps"])
        if token_hash(of_newest.token_id) != newest["token_hash"]:
            raise NotAuthenticated  # one between has been forgotten: refresh tokens live shorter than they did
        if now - newest["issued_at"] <= self._replay:
            pair = self._pair(of_newest, newest["issued_at"])
        else:
            pair = await self._use(connection, newest["id"], of_newest, now, browser)
        if is_late and held["reused_at"] is None:  # once for each token
            await connection.execute(MARK_REUSED, held["id"], now)
            await _audit(connection, Action.REFRESH_FOLLOWED, claims, browser)
        return pair

    async def _newest(self, connection: Any, held: Any) -> Any:
        """The family's unused token, locked. Each look after the first means that somebody else went a step on."""
        seen = None
        while True:
            newest = await connection.fetchrow(LOCK_NEWEST, held["family"], held["id"])
            if newest["used_at"] is None:
                return newest
            if newest["id"] == seen:  # its successor has been forgotten
                raise NotAuthenticated
            seen = newest["id"]

    async def _use(
        self, connection: Any, row_id: int, claims: Claims, now: datetime, browser: Browser
    ) -> TokenPairText:
        """Void the refresh token of `claims` and issue its successor."""
        await connection.execute(MARK_USED, row_id, now)
        successor = _followed(claims, 1)
        await self._remember(connection, successor, now, browser)
        return self._pair(successor, now)

    async def end(self, family: str) -> None:
        """Logout: no refresh token of this login works any more."""
        await self._database.execute(REVOKE_FAMILY, uuid.UUID(family))

    async def _remember(self, connection: Any, claims: Claims, issued_at: datetime, browser: Browser) -> None:
        await connection.execute(
            REMEMBER,
            claims.user_id,
            uuid.UUID(claims.family),
            token_hash(claims.token_id),
            issued_at,
            issued_at + self._refresh_life,
            claims.impersonated_by,
            browser.digest,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / US_PER_S, UTC)

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


async def _audit(connection: Any, action: Action, claims: Claims, browser: Browser) -> None:
    holder = user_principal(claims.user_id)
    admin = None if claims.impersonated_by is None else user_principal(claims.impersonated_by)
    actor = Actor(holder, claims.username, impersonated_by=admin, address=browser.address)
    await audit(connection, actor, action, holder, after={"sign_in": claims.family})


def _followed(claims: Claims, steps: int) -> Claims:
    """The claims of the refresh token that many uses later."""
    token_id = claims.token_id
    for _ in range(steps):
        token_id = successor_id(token_id)
    return replace(claims, token_id=token_id)


def _claims(subject: Subject, family: str, token_id: str) -> Claims:
    return Claims(
        user_id=subject.user_id,
        username=subject.username,
        generation=to_us(subject.sessions_valid_from),
        family=family,
        token_id=token_id,
        impersonated_by=subject.impersonated_by,
    )
