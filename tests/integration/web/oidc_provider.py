"""A small OpenID Connect provider over HTTP: discovery, authorize, token with PKCE, keys; told to, it misbehaves."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "gasinsight"
CLIENT_SECRET = "what the provider gave us at registration"
REDIRECT_URL = "http://gas.example/auth/oidc/callback"

Signer = Callable[[dict[str, Any]], str]


@dataclass
class Provider:
    """One person is signed in at it: `email`.

    claims       merged into each id_token's; None leaves one out
    description  merged into the discovery document
    signer       signs id_tokens instead of its newest key
    is_lax       takes a code again
    broken       path -> the answer that it gets instead
    """

    issuer: str = ""
    email: str = "kim@plant.example"
    claims: dict[str, Any] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [new_key("first")])
    signer: Signer | None = None
    is_lax: bool = False
    broken: dict[str, web.Response] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    granted: dict[str, dict[str, str]] = field(default_factory=dict)

    async def describe(self, _: web.Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response({**document, **self.description})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "redirect_uri": REDIRECT_URL}
        assert {name: asked[name] for name in wanted} == wanted
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        assert asked["scope"].split() == ["openid", "email"] and asked["nonce"] and asked["state"]
        code = secrets.token_urlsafe(16)
        self.granted[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        raise web.HTTPFound(f"{REDIRECT_URL}?{urlencode(back)}")

    async def token(self, request: web.Request) -> web.Response:
        scheme, _, basic = request.headers["Authorization"].partition(" ")
        form = await request.post()
        code = str(form.get("code"))
        asked = self.granted.get(code) if self.is_lax else self.granted.pop(code, None)
        right = (
            scheme == "Basic"
            and base64.b64decode(basic).decode() == f"{CLIENT_ID}:{CLIENT_SECRET}"
            and asked is not None
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and challenge_of(str(form["code_verifier"])) == asked["code_challenge"]
        )
        if not right or asked is None:
            return web.json_response({"error": "invalid_grant", "error_description": "no such code"}, status=400)
        signer = self.signer or self.sign
        answer = {"access_token": "opaque", "token_type": "Bearer", "id_token": signer(self.id_claims(asked["nonce"]))}
        return web.json_response(answer)

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    def id_claims(self, nonce: str) -> dict[str, Any]:
        now_s = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "person 1",
            "iat": now_s,
            "exp": now_s + 300,
            "nonce": nonce,
            "email": self.email,
            "email_verified": True,
        }
        return {name: value for name, value in {**usual, **self.claims}.items() if value is not None}

    def sign(self, claims: dict[str, Any]) -> str:
        key = self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": kid, "use": "sig"})


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    provider = Provider()

    @web.middleware
    async def noted(request: web.Request, handler: Any) -> web.StreamResponse:
        provider.asked.append(request.path)
        if request.path in provider.broken:
            return provider.broken[request.path]
        answer: web.StreamResponse = await handler(request)
        return answer

    app = web.Application(middlewares=[noted])
    app.router.add_get("/.well-known/openid-configuration", provider.describe)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    app.router.add_get("/jwks", provider.jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
