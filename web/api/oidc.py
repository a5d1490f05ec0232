"""Single sign-on beside passwords: to the provider, back, and on to the front end with a code for one token pair.

No token ever stands in a URL. The front end begins with the challenge of a random verifier that it keeps; the code it
finds behind the `#` is worth nothing without that verifier, works once and for a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

import structlog
from pydantic import BaseModel, Field
from quart import Response, request

from web.auth.guard import Need
from web.auth.oidc import ProofRefused, SingleSignOn
from web.auth.oidc_sign_ins import SIGN_IN_S_MAX, SignInUnknown
from web.auth.sessions import Subject
from web.contract.declare import Noun, Redirect
from web.contract.shapes import TokenPair
from web.edge.requests import secret_parameter
from web.errors import HttpRefusal, NotAuthenticated, NotFound
from web.serving.call import Call
from web.serving.services import Services

noun = Noun("single sign-on", "Signing in at an OpenID Connect provider, if one is set up; else 404")
log = structlog.get_logger(__name__)

CODE_S_MAX = 60

FORGET_OLD = "DELETE FROM sign_in_codes WHERE expires_at < now() - interval '1 hour'"
REMEMBER_CODE = """
INSERT INTO sign_in_codes (code_hash, state_hash, user_id, challenge, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
ON CONFLICT (state_hash) DO NOTHING
RETURNING id
"""
TAKE_CODE = """
UPDATE sign_in_codes SET used_at = now()
 WHERE code_hash = $1 AND used_at IS NULL AND expires_at > now()
RETURNING user_id, challenge
"""
RECORD_LOGIN = "UPDATE users SET last_login = now() WHERE id = $1 RETURNING id, username, sessions_valid_from"


class BeginQuery(BaseModel):
    code_challenge: str = Field(
        pattern=r"^[A-Za-z0-9_-]{43}$", description="SHA-256 of the front end's code_verifier in base64url (PKCE, S256)"
    )


class CodeQuery(BaseModel):
    code: str | None = None
    state: str | None = None


class CallbackQuery(BaseModel):
    error: str | None = None
    iss: str | None = Field(None, description="which provider this is (RFC 9207)")


class Redeem(BaseModel):
    code: str = Field(max_length=200)
    code_verifier: str = Field(max_length=200)


@noun.get("/auth/oidc/login", Need.NOTHING, Redirect, statuses=(404, 502))
async def begin_single_sign_on(call: Call, query: BeginQuery) -> Response:
    """Send the browser here; it goes on to the provider."""
    sso = _single_sign_on(call.services)
    sign_in, cookie = sso.sign_ins.begin(query.code_challenge)
    url = await sso.provider.authorization_url(sign_in.state, sign_in.nonce, sign_in.verifier)
    response = _redirect(url)
    response.set_cookie(sso.cookie_name, cookie, max_age=SIGN_IN_S_MAX, **sso.cookie_flags)
    return response


@noun.get("/auth/oidc/callback", Need.NOTHING, Redirect, statuses=(400, 401, 403, 404, 502), secret_query=CodeQuery)
async def end_single_sign_on(call: Call, query: CallbackQuery) -> Response:
    """The provider sends the browser here; it goes on to the front end with `#code=…`."""
    sso = _single_sign_on(call.services)
    sign_in = sso.sign_ins.resume(request.cookies.get(sso.cookie_name, ""), _parameter("state") or "")
    code = _parameter("code")
    if query.error is not None or code is None:
        raise ProofRefused(f"the provider answered {(query.error or 'without a code')[:60]!r}")
    email = await sso.provider.verified_email(code, sign_in.verifier, sign_in.nonce, query.iss)
    user_id = await call.services.names.holder_of_email(email)
    if user_id is None:
        log.info("single_sign_on_of_nobody")
        raise HttpRefusal(403, "No user here has the e-mail address you signed in with; ask an Admin to add you")
    own_code = secrets.token_urlsafe(32)
    async with call.services.database.transaction() as connection:
        await connection.execute(FORGET_OLD)
        taken = await connection.fetchval(
            REMEMBER_CODE, _hash(own_code), _hash(sign_in.state), user_id, sign_in.challenge, float(CODE_S_MAX)
        )
    if taken is None:  # the same answer of the provider a second time
        raise SignInUnknown
    response = _redirect(f"{sso.settings.front_end_url}#{urlencode({'code': own_code})}")
    response.delete_cookie(sso.cookie_name, **sso.cookie_flags)
    return response


@noun.post("/auth/oidc/token", Need.NOTHING, TokenPair, statuses=(401, 404))
async def redeem_single_sign_on(call: Call, body: Redeem) -> TokenPair:
    """The code from behind the `#`, and the verifier whose challenge the sign-in began with. A code works once."""
    _single_sign_on(call.services)
    taken: Any = await call.services.database.row(TAKE_CODE, _hash(body.code))
    if taken is None or not hmac.compare_digest(taken["challenge"], _challenge(body.code_verifier)):
        raise NotAuthenticated
    async with call.services.database.transaction() as connection:
        user = await connection.fetchrow(RECORD_LOGIN, taken["user_id"])
        if user is None:  # deleted within the minute
            raise NotAuthenticated
        subject = Subject(user["id"], user["username"], user["sessions_valid_from"])
        pair = await call.services.sessions.begin(connection, subject, call.browser)
    return TokenPair(access_token=pair.access_token, refresh_token=pair.refresh_token)


def _single_sign_on(services: Services) -> SingleSignOn:
    if services.single_sign_on is None:
        raise NotFound("Single sign-on")
    return services.single_sign_on


def _redirect(url: str) -> Response:
    headers = {"Location": url, "Cache-Control": "no-store"}
    return Response(b"", status=302, headers=headers)


def _parameter(name: str) -> str | None:
    return secret_parameter(request.scope, name)  # type: ignore[arg-type]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(_hash(verifier)).decode().rstrip("=")
