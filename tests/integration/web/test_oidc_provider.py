"""What an OpenID Connect provider's answer must prove, against a real one over HTTP that is told to misbehave."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey

from engine.clock import ManualClock
from engine.errors import SettingsError
from engine.settings import Settings
from tests.integration.web.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URL,
    Provider,
    new_key,
    running_provider,
)
from web.auth.oidc import CLOCK_LEEWAY_S, KEPT_S_MAX, KEYS_S_MIN, IdentityProvider, OidcSettings, SingleSignOn
from web.auth.oidc_sign_ins import SIGN_IN_S_MAX, SignIns, SignInUnknown
from web.errors import HttpRefusal

NONCE, VERIFIER, STATE = "n" * 64, "v" * 64, "s" * 64


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


def settings_of(provider: Provider, **changes: object) -> OidcSettings:
    values: dict[str, object] = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_redirect_url": REDIRECT_URL,
        "oidc_front_end_url": "http://front.example/signed-in",
        **changes,
    }
    found = OidcSettings.of(Settings(_env_file=None, **values))  # type: ignore[arg-type]
    assert found is not None
    return found


class Now(ManualClock):
    """Starts at the time of the provider, which has a real clock."""

    def __init__(self) -> None:
        super().__init__(int(time.time()) * 1_000_000)


def asking(provider: Provider, clock: ManualClock | None = None, **changes: object) -> IdentityProvider:
    return IdentityProvider(settings_of(provider, **changes), clock or Now())


async def answer(ours: IdentityProvider) -> dict[str, str]:
    """What the provider puts into its redirect."""
    url = await ours.authorization_url(STATE, NONCE, VERIFIER)
    async with httpx.AsyncClient() as browser:
        back = await browser.get(url)
    assert back.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(back.headers["Location"]).query).items()}


async def email(ours: IdentityProvider, **changes: str | None) -> str:
    given = {"verifier": VERIFIER, "nonce": NONCE, **await answer(ours)}
    given["issuer"] = given.pop("iss")
    assert given.pop("state") == STATE
    return await ours.verified_email(**{**given, **changes})  # type: ignore[arg-type]


async def status(ours: IdentityProvider, **changes: str | None) -> int:
    with pytest.raises(HttpRefusal) as refused:
        await email(ours, **changes)
    return refused.value.status


async def test_a_verified_email_comes_back(provider: Provider) -> None:
    ours = asking(provider)
    assert await email(ours) == "kim@plant.example"
    assert await email(ours) == "kim@plant.example"
    assert provider.asked.count("/jwks") == 1, "keys and description are kept"


def without_signature(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def by_shared_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET.encode()), algorithms=["HS256"])


def by_another_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, new_key("first"), algorithms=["RS256"])


FORGED: list[Callable[[dict[str, Any]], str]] = [
    without_signature,
    by_shared_secret,
    by_another_key,
    lambda _: "",
    lambda _: "a.b.c",
    lambda _: "é" * 50,
    lambda _: "." * 50,
]


async def test_who_did_not_sign_proves_nothing(provider: Provider) -> None:
    ours = asking(provider)
    for forged in FORGED:
        provider.signer = forged
        assert await status(ours) == 401, forged
    provider.signer = lambda claims: jwt.encode(
        {"alg": "HS256", "kid": "first"},
        claims,
        OctKey.import_key(provider.keys[0].as_pem(private=False)[27:]),  # the public key as a secret
        algorithms=["HS256"],
    )
    assert await status(ours) == 401


async def test_claims_that_prove_nothing(provider: Provider) -> None:
    ours = asking(provider)
    now_s = int(time.time())
    for claims in (
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"nonce": 5},
        {"aud": "another client"},
        {"aud": None},
        {"aud": ["another client"]},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
        {"azp": "another client"},
        {"iss": "https://another.example"},
        {"iss": None},
        {"sub": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": now_s + 3600},
        {"iat": None},
        {"nbf": now_s + 3600},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email": None},
        {"email": ["kim@plant.example"]},
        {"email": "\N{KELVIN SIGN}im@plant.example"},
    ):
        provider.claims = claims
        assert await status(ours) == 401, claims
    provider.claims = {"aud": [CLIENT_ID, "another client"], "azp": CLIENT_ID}
    assert await email(ours) == "kim@plant.example"


async def test_a_token_ends_after_its_time_and_the_leeway_of_clocks(provider: Provider) -> None:
    clock = Now()
    ours = asking(provider, clock)
    now_s = clock.now_us() // 1_000_000
    provider.claims = {"exp": now_s - CLOCK_LEEWAY_S, "iat": now_s - 300}
    assert await status(ours) == 401
    provider.claims = {"exp": now_s - CLOCK_LEEWAY_S + 1, "iat": now_s - 300}
    assert await email(ours)


async def test_a_code_is_bound_to_its_sign_in_and_works_once(provider: Provider) -> None:
    ours = asking(provider)
    assert await status(ours, verifier="w" * 64) == 401, "PKCE: a stolen code"
    assert await status(ours, nonce="m" * 64) == 401
    given = await answer(ours)
    assert await ours.verified_email(given["code"], VERIFIER, NONCE, given["iss"])
    with pytest.raises(HttpRefusal) as refused:
        await ours.verified_email(given["code"], VERIFIER, NONCE, given["iss"])
    assert refused.value.status == 401


async def test_answers_of_another_provider_are_not_mixed_up(provider: Provider) -> None:
    ours = asking(provider)
    assert await status(ours, issuer="https://another.example") == 401
    assert await status(ours, issuer=None) == 401, "this provider always says who it is"
    provider.description = {"authorization_response_iss_parameter_supported": False}
    assert await email(asking(provider), issuer=None)
    provider.description = {"issuer": "https://another.example"}
    assert await status(asking(provider)) == 502


async def test_new_keys_of_the_provider_are_found_and_old_ones_forgotten(provider: Provider) -> None:
    clock = Now()
    ours = asking(provider, clock)
    assert await email(ours)
    provider.keys.append(new_key("second"))
    assert await status(ours) == 401, "keys are not asked for again and again"
    assert provider.asked.count("/jwks") == 1
    await clock.advance(KEYS_S_MIN)
    assert await email(ours)
    assert provider.asked.count("/jwks") == 2
    stolen = provider.keys.pop(0)
    provider.signer = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "first"}, {**claims, "exp": claims["exp"] + KEPT_S_MAX}, stolen, algorithms=["RS256"]
    )
    assert await email(ours)
    await clock.advance(KEPT_S_MAX)
    assert await status(ours) == 401


async def test_a_provider_that_is_away_or_talks_nonsense(provider: Provider) -> None:
    for path, told in (
        ("/.well-known/openid-configuration", web.Response(text="<html>")),
        ("/.well-known/openid-configuration", web.json_response([1])),
        ("/.well-known/openid-configuration", web.json_response({"issuer": provider.issuer})),
        ("/.well-known/openid-configuration", web.Response(status=500)),
        ("/jwks", web.json_response({"keys": "none"})),
        ("/jwks", web.json_response({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]})),
        ("/jwks", web.json_response({})),
        ("/token", web.Response(text="<html>", status=500)),
        ("/token", web.json_response([1])),
        ("/token", web.json_response({"access_token": "only"})),
    ):
        provider.broken = {path: told}
        assert await status(asking(provider)) == 502, (path, told.text)
    provider.broken = {}
    with pytest.raises(HttpRefusal) as refused:
        await asking(provider, oidc_issuer="http://127.0.0.1:9").authorization_url(STATE, NONCE, VERIFIER)
    assert (refused.value.status, "does not answer" in str(refused.value.detail)) == (503, True)


async def test_production_sends_secrets_over_tls_only(provider: Provider) -> None:
    secure = {
        "environment": "production",
        "oidc_issuer": "https://id.example",
        "oidc_redirect_url": "https://gas.example/auth/oidc/callback",
        "oidc_front_end_url": "https://front.example/",
    }
    found = SingleSignOn(settings_of(provider, **secure), SignIns("", Now()), asking(provider))
    assert (found.cookie_name, found.cookie_flags["secure"]) == ("__Host-gasinsight-sign-in", True)
    for name in ("oidc_issuer", "oidc_redirect_url", "oidc_front_end_url"):
        for wrong in (provider.issuer, "id.example", "ftp://id.example", "https://front.example/#x", "https:///x"):
            with pytest.raises(SettingsError, match=name.upper()):
                settings_of(provider, **{**secure, name: wrong})
    assert not settings_of(provider, **secure).admits("http://id.example/token")


def test_half_set_up_is_refused_and_nothing_is_off() -> None:
    assert OidcSettings.of(Settings(_env_file=None)) is None
    with pytest.raises(SettingsError, match="OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"):
        OidcSettings.of(Settings(_env_file=None, oidc_issuer="https://id.example"))


async def test_an_attempt_is_bound_to_its_browser_and_its_time() -> None:
    clock = ManualClock()
    sign_ins = SignIns(CLIENT_SECRET, clock)
    sign_in, cookie = sign_ins.begin("challenge")
    other, other_cookie = sign_ins.begin("challenge")
    assert sign_ins.resume(cookie, sign_in.state) == sign_in
    assert SignIns(CLIENT_SECRET, clock).resume(cookie, sign_in.state) == sign_in, "in another process"
    assert len({sign_in.state, sign_in.nonce, sign_in.verifier, other.state}) == 4
    head, body, signature = cookie.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for bad_cookie, state in (
        ("", sign_in.state),
        (other_cookie, sign_in.state),
        (cookie, other.state),
        (cookie, ""),
        (cookie, "é"),
        (f"{head}.{other_cookie.split('.')[1]}.{signature}", other.state),
        (f"{unsigned}.{body}.", sign_in.state),
        (SignIns("another secret", clock).begin("challenge")[1], sign_in.state),
    ):
        with pytest.raises(SignInUnknown):
            sign_ins.resume(bad_cookie, state)
    await clock.advance(SIGN_IN_S_MAX - 1)
    sign_ins.resume(cookie, sign_in.state)
    await clock.advance(1)
    with pytest.raises(SignInUnknown):
        sign_ins.resume(cookie, sign_in.state)
