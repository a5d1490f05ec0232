"""Signing in, staying in, signing out, and an Admin looking through a user's eyes."""

from __future__ import annotations

import structlog
from quart import request

from web.auth.guard import Need
from web.auth.sessions import Subject, TokenPairText
from web.declare import Call, Noun
from web.errors import NotAuthenticated, NotFound, NotUsable
from web.requests import read_fields, secret_parameter
from web.shapes import Detail, TokenPair

noun = Noun("auth", "Signing in: send the access token as `Authorization: Bearer`")
log = structlog.get_logger(__name__)

FIND_BY_LOGIN = """
SELECT id, username, hashed_password, sessions_valid_from
  FROM users
 WHERE lower(email) = lower($1) OR username = $1
 ORDER BY lower(email) = lower($1) DESC
 LIMIT 1
"""
RECORD_LOGIN = """
UPDATE users SET last_login = now(), hashed_password = coalesce($2, hashed_password)
 WHERE id = $1 AND hashed_password = $3
"""
READ_SUBJECT = "SELECT id, username, sessions_valid_from FROM users WHERE id = $1"


@noun.post("/auth/token", Need.NOTHING, TokenPair, statuses=(401, 422))
async def sign_in(call: Call) -> TokenPair:
    """Form with `username` (an e-mail address, or a user name) and `password`."""
    fields = await read_fields()
    login, password = _text(fields, "username"), _text(fields, "password")
    services = call.services
    user = await services.database.row(FIND_BY_LOGIN, login)
    verification = await services.passwords.verify(user["hashed_password"] if user else None, password)
    if user is None or not verification.is_right:
        log.info("sign_in_refused")
        raise NotAuthenticated("Incorrect username or password")
    await services.database.execute(RECORD_LOGIN, user["id"], verification.replacement_hash, user["hashed_password"])
    return _pair(await services.sessions.begin(Subject(user["id"], user["username"], user["sessions_valid_from"])))


@noun.post("/auth/refresh-token", Need.NOTHING, TokenPair, statuses=(401, 422))
async def refresh_token(call: Call) -> TokenPair:
    """`refresh_token` in the query, a form or a JSON body. For 30 s a used token answers with the same pair."""
    token = secret_parameter(request.scope, "refresh_token")  # type: ignore[arg-type]
    if token is None:
        token = _text(await read_fields(), "refresh_token")
    return _pair(await call.services.sessions.refresh(token))


@noun.post("/auth/logout", Need.USER, Detail, statuses=(401,))
async def sign_out(call: Call) -> Detail:
    """The refresh tokens of this login are void afterwards."""
    await call.services.sessions.end(call.caller.family)
    return Detail(detail="Signed out")


@noun.post("/auth/impersonate/{user_id}", Need.ADMIN, TokenPair, statuses=(401, 403, 404, 422))
async def impersonate(call: Call, user_id: int) -> TokenPair:
    """A token pair of that user; its claims carry `impersonated_by`."""
    user = await call.services.database.row(READ_SUBJECT, user_id)
    if user is None:
        raise NotFound("User")
    log.warning("impersonation", admin_id=call.caller.user_id, user_id=user_id)
    return _pair(
        await call.services.sessions.begin(
            Subject(user["id"], user["username"], user["sessions_valid_from"], impersonated_by=call.caller.user_id)
        )
    )


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or value == "":
        raise NotUsable.of("body", name, "Field required", "missing")
    return value


def _pair(pair: TokenPairText) -> TokenPair:
    return TokenPair(access_token=pair.access_token, refresh_token=pair.refresh_token)
