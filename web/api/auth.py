"""Signing in, staying in, signing out, and an Admin looking through a user's eyes."""

from __future__ import annotations

from typing import Any

import structlog
from quart import request

from web.audit import Action, audit
from web.auth.guard import Need, user_principal
from web.auth.password_line import Asker
from web.auth.passwords import check_new_password
from web.auth.sessions import Subject, TokenPairText, end_all_sessions
from web.contract.declare import Noun
from web.contract.shapes import (
    Detail,
    PasswordChange,
    PublicKey,
    PublicKeys,
    Refresh,
    RefreshQuery,
    SignIn,
    SignOut,
    TokenPair,
)
from web.edge.requests import read_fields, secret_parameter
from web.errors import HttpRefusal, NotAuthenticated, NotFound, NotPermitted, NotUsable
from web.serving.call import Call
from web.wire.times import to_us

noun = Noun("auth", "Signing in: send the access token as `Authorization: Bearer`")
log = structlog.get_logger(__name__)

RECORD_LOGIN = """
UPDATE users SET last_login = now(), hashed_password = coalesce($2, hashed_password)
 WHERE id = $1 AND hashed_password = $3
"""
READ_SUBJECT = "SELECT id, username, sessions_valid_from FROM users WHERE id = $1"
# Whoever takes the role or ends the sessions of this Admin comes before, and is seen here, or after, and ends this too.
LOCK_ADMIN = "SELECT sessions_valid_from FROM users WHERE id = $1 AND role = 'Admin' FOR SHARE"
READ_HASH = "SELECT hashed_password FROM users WHERE id = $1"


@noun.post("/auth/token", Need.NOTHING, TokenPair, statuses=(401,), form=SignIn)
async def sign_in(call: Call) -> TokenPair:
    """Form with `username` (an e-mail address, or a user name) and `password`. After many failures: 429."""
    fields = await read_fields()
    login, password = _text(fields, "username"), _text(fields, "password")
    services = call.services
    asker = Asker.of(call.browser.address, login)
    async with services.throttle.attempt(asker) as attempt:
        user = await services.names.holder(login)
        verification = await services.passwords.verify(user["hashed_password"] if user else None, password, asker)
        if user is None or not verification.is_right:
            await services.throttle.failed(attempt)
            log.info("sign_in_refused", user_id=user["id"] if user else None, address=call.browser.address)
            raise NotAuthenticated("Incorrect username or password")
        await services.throttle.succeeded(attempt)
    async with services.database.transaction() as connection:
        await connection.execute(RECORD_LOGIN, user["id"], verification.replacement_hash, user["hashed_password"])
        return _pair(await services.sessions.begin(connection, _subject(user), call.browser))


@noun.post("/auth/refresh-token", Need.NOTHING, TokenPair, statuses=(401,), form=Refresh, secret_query=RefreshQuery)
async def refresh_token(call: Call) -> TokenPair:
    """`refresh_token` in the query, a form or a JSON body. For 30 s a used token answers with the same pair, later
    with the newest of this sign-in where the same browser asks (address and User-Agent): another tab. From elsewhere
    that ends the sign-in.
    """
    token = secret_parameter(request.scope, "refresh_token")  # type: ignore[arg-type]
    if token is None:
        token = _text(await read_fields(), "refresh_token")
    return _pair(await call.services.sessions.refresh(token, call.browser))


@noun.post("/auth/logout", Need.PERSON, Detail, statuses=(401, 403))
async def sign_out(call: Call, query: SignOut) -> Detail:
    """The tokens of this login are void afterwards, with `everywhere` those of all logins of the user."""
    if not query.everywhere:
        await call.services.sessions.end(call.person.family)
        return Detail(detail="Signed out")
    _refuse_impersonated(call)
    async with call.services.database.transaction() as connection:
        await end_all_sessions(connection, call.person.user_id)
        await audit(connection, call.actor, Action.SESSIONS_ENDED, call.person.principal)
    return Detail(detail="Signed out everywhere")


@noun.post("/auth/password", Need.ONESELF, TokenPair, statuses=(400, 401, 403))
async def change_password(call: Call, body: PasswordChange) -> TokenPair:
    """One's own. All sessions of the user end; the answer is a new one."""
    services, person = call.services, call.person
    check_new_password(services.settings, "new_password", body.new_password, person.name, person.email)
    asker = Asker.of(call.browser.address, person.email)
    async with services.throttle.attempt(asker) as attempt:
        stored_hash = await services.database.value(READ_HASH, person.user_id)
        if not (await services.passwords.verify(stored_hash, body.current_password, asker)).is_right:
            await services.throttle.failed(attempt)
            raise HttpRefusal(400, "The current password is wrong")
    hashed = await services.passwords.hash(body.new_password, asker)
    async with services.database.transaction() as connection:
        valid_from = await end_all_sessions(connection, person.user_id, hashed)
        subject = Subject(person.user_id, person.name, valid_from)
        pair = await services.sessions.begin(connection, subject, call.browser)
        await audit(connection, call.actor, Action.PASSWORD_CHANGED, person.principal)
    return _pair(pair)


@noun.post("/auth/impersonate/{user_id}", Need.ADMIN, TokenPair, statuses=(401, 403, 404, 422))
async def impersonate(call: Call, user_id: int) -> TokenPair:
    """A token pair of that user; its claims carry `impersonated_by`. Not from within an impersonation."""
    _refuse_impersonated(call)
    user = await call.database.row(READ_SUBJECT, user_id)
    if user is None:
        raise NotFound("User")
    async with call.services.database.transaction() as connection:
        valid_from = await connection.fetchval(LOCK_ADMIN, call.person.user_id)
        if valid_from is None or to_us(valid_from) != call.person.generation:
            raise NotAuthenticated
        subject = _subject(user, impersonated_by=call.person.user_id)
        pair = await call.services.sessions.begin(connection, subject, call.browser)
        await audit(connection, call.actor, Action.USER_IMPERSONATED, user_principal(user_id))
    return _pair(pair)


@noun.get("/.well-known/jwks.json", Need.NOTHING, PublicKeys)
async def public_keys(call: Call) -> PublicKeys:
    """The public keys that access tokens can be verified with; none where they are signed with a secret."""
    return PublicKeys(keys=[PublicKey(**key) for key in call.services.tokens.public_keys])


def _refuse_impersonated(call: Call) -> None:
    """What only the person may do, not an Admin through that person's eyes."""
    if call.person.impersonated_by is not None:
        raise NotPermitted("Not enough permissions: only the user may do this, not an Admin as the user")


def _subject(user: Any, impersonated_by: int | None = None) -> Subject:
    return Subject(user["id"], user["username"], user["sessions_valid_from"], impersonated_by)


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or value == "":
        raise NotUsable.of("body", name, "Field required", "missing")
    return value


def _pair(pair: TokenPairText) -> TokenPair:
    return TokenPair(access_token=pair.access_token, refresh_token=pair.refresh_token)
