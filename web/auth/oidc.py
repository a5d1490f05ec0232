"""Single sign-on: what is asked of an OpenID Connect provider, and what its answer must prove.

Authlib writes the requests, joserfc verifies the token. Authlib's client for httpx is not used: it is deprecated.
The provider's description and keys are kept for an hour; the keys are asked for again when a token names a new one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from engine.clock import US_PER_S, Clock
from engine.errors import SettingsError
from engine.settings import Settings
from web.auth.oidc_sign_ins import SignIns
from web.errors import HttpRefusal, NotAuthenticated

ALGORITHMS = ["RS256", "PS256", "ES256"]  # signed by a key pair: what the client knows too proves nothing
CLOCK_LEEWAY_S = 60
ANSWER_S_MAX = 5.0
KEPT_S_MAX = 3600
KEYS_S_MIN = 60  # a token may name any key; asking for keys again and again is not its to decide
METADATA_PATH = "/.well-known/openid-configuration"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

log = structlog.get_logger(__name__)


class ProviderAway(HttpRefusal):
    def __init__(self) -> None:
        super().__init__(
            503, "The identity provider does not answer; try again, or sign in with a password", {"Retry-After": "10"}
        )


class ProviderUnusable(HttpRefusal):
    """It answers, but not as OpenID Connect has it."""

    def __init__(self, problem: str) -> None:
        super().__init__(502, f"The identity provider cannot be used: {problem}")


class ProofRefused(NotAuthenticated):
    """What came back does not prove who signs in. The reason is for the log: whoever sent it learns nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__("The identity provider's answer does not prove who you are; start again")
        log.warning("single_sign_on_refused", reason=reason)


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The settings of single sign-on, all given."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_url: str
    front_end_url: str
    is_production: bool

    @classmethod
    def of(cls, settings: Settings) -> OidcSettings | None:
        """None when single sign-on is off; SettingsError when it is half set up."""
        secret = settings.oidc_client_secret
        given = {
            "OIDC_ISSUER": settings.oidc_issuer,
            "OIDC_CLIENT_ID": settings.oidc_client_id,
            "OIDC_CLIENT_SECRET": secret.get_secret_value() if secret else None,
            "OIDC_REDIRECT_URL": settings.oidc_redirect_url,
            "OIDC_FRONT_END_URL": settings.oidc_front_end_url,
        }
        if not any(given.values()):
            return None
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise SettingsError(f"single sign-on needs {' and '.join(missing)} too (or none of {', '.join(given)})")
        issuer, client_id, client_secret, redirect_url, front_end_url = (value or "" for value in given.values())
        is_production = settings.environment == "production"
        found = cls(issuer, client_id, client_secret, redirect_url, front_end_url, is_production)
        for name in ("OIDC_ISSUER", "OIDC_REDIRECT_URL", "OIDC_FRONT_END_URL"):
            if not found.admits(given[name]):
                raise SettingsError(f"{name} must be an https:// address without a #fragment (got {given[name]})")
        return found

    def admits(self, url: object) -> bool:
        """Whether it is an address to send secrets to; plain http only in development."""
        if not isinstance(url, str):
            return False
        parts = urlsplit(url)
        is_secret = parts.scheme == "https" or (parts.scheme == "http" and not self.is_production)
        return is_secret and bool(parts.hostname) and not parts.fragment


class IdentityProvider:
    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._described: dict[str, Any] = {}
        self._described_at_s = 0
        self._keys = KeySet([])
        self._keys_at_s = 0

    async def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to sign in."""
        described = await self._description()
        url, _ = self._client().create_authorization_url(
            described["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
        )
        return str(url)

    async def verified_email(self, code: str, verifier: str, nonce: str, issuer: str | None) -> str:
        """The e-mail address that the provider vouches for; `issuer` is what its redirect named itself (RFC 9207)."""
        described = await self._description()
        if issuer is None and described.get("authorization_response_iss_parameter_supported") is True:
            raise ProofRefused("the redirect names no issuer, though the provider always does")
        if issuer is not None and issuer != self._settings.issuer:
            raise ProofRefused("the redirect names another issuer")
        return _email(await self._claims(await self._id_token(described, code, verifier)), self._settings, nonce)

    async def _id_token(self, described: dict[str, Any], code: str, verifier: str) -> str:
        client = self._client()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=self._settings.redirect_url, code_verifier=verifier
        )
        supported = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post"
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        url, headers, body = client.client_auth(method).prepare("POST", described["token_endpoint"], headers, body)
        answer = await self._send("POST", url, headers=headers, content=body)
        try:
            token = client.parse_response_token(answer)
        except OAuth2Error as error:
            raise ProofRefused(f"the provider refused the code: {error.error}") from error
        except (ValueError, httpx.HTTPStatusError) as error:
            raise ProviderUnusable(f"its token endpoint answered {answer.status_code} without a token") from error
        if not isinstance(token.get("id_token"), str):
            raise ProviderUnusable("its answer holds no id_token")
        return str(token["id_token"])

    async def _claims(self, id_token: str) -> dict[str, Any]:
        """Of a token signed by one of the provider's keys, for us, now."""
        try:
            return self._checked(id_token, await self._key_set(again=False))
        except InvalidKeyIdError:
            pass  # the provider may have a new key
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise ProofRefused(f"id_token: {error!r}") from error
        try:
            return self._checked(id_token, await self._key_set(again=True))
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise ProofRefused(f"id_token: {error!r}") from error

    def _checked(self, id_token: str, keys: KeySet) -> dict[str, Any]:
        claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            now=self._now_s(),
            leeway=CLOCK_LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True},
        ).validate(claims)
        return claims

    async def _description(self) -> dict[str, Any]:
        if self._described and self._now_s() - self._described_at_s < KEPT_S_MAX:
            return self._described
        described = await self._json(self._settings.issuer.rstrip("/") + METADATA_PATH)
        if described.get("issuer") != self._settings.issuer:
            raise ProviderUnusable(f"it calls itself {described.get('issuer')!r}, OIDC_ISSUER is another")
        for name in ENDPOINTS:
            if not self._settings.admits(described.get(name)):
                raise ProviderUnusable(f"its {name} is no https:// address")
        self._described, self._described_at_s = described, self._now_s()
        return described

    async def _key_set(self, *, again: bool) -> KeySet:
        age_s = self._now_s() - self._keys_at_s
        if self._keys and age_s < (KEYS_S_MIN if again else KEPT_S_MAX):
            return self._keys
        described = await self._description()
        found = await self._json(described["jwks_uri"])
        try:
            self._keys = KeySet.import_key_set({"keys": [key for key in found["keys"] if key.get("use") != "enc"]})
        except (JoseError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ProviderUnusable("its keys are not readable") from error
        self._keys_at_s = self._now_s()
        return self._keys

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._send("GET", url)
        try:
            found = answer.json() if answer.status_code == 200 else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProviderUnusable(f"{urlsplit(url).path} answered {answer.status_code} without a JSON object")
        return found

    async def _send(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=ANSWER_S_MAX) as client:
                return await client.request(method, url, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("identity_provider_away", url=url, error=repr(error))
            raise ProviderAway from error

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            None,
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            scope="openid email",
            redirect_uri=self._settings.redirect_url,
            code_challenge_method="S256",
        )

    def _now_s(self) -> int:
        return self._clock.now_us() // US_PER_S


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    """What its routes work with."""

    settings: OidcSettings
    sign_ins: SignIns
    provider: IdentityProvider

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> SingleSignOn | None:
        """None when it is off."""
        given = OidcSettings.of(settings)
        if given is None:
            return None
        return cls(given, SignIns(given.client_secret, clock), IdentityProvider(given, clock))

    @property
    def cookie_name(self) -> str:
        """`__Host-` keeps other hosts of the domain from planting one; browsers want it secure."""
        return "__Host-gasinsight-sign-in" if self.settings.is_production else "gasinsight-sign-in"

    @property
    def cookie_flags(self) -> dict[str, Any]:
        """Lax, because the provider's redirect comes from another site."""
        return {"path": "/", "httponly": True, "samesite": "Lax", "secure": self.settings.is_production}


def _email(claims: dict[str, Any], settings: OidcSettings, nonce: str) -> str:
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise ProofRefused("the nonce is that of another sign-in")
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp", settings.client_id if len(audiences) == 1 else None)
    if party != settings.client_id:
        raise ProofRefused("the token was made for another party")
    if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
        raise ProofRefused("the provider does not vouch for an e-mail address")
    email = str(claims["email"])
    if not email.isascii():  # in lower case a Kelvin sign is a k, and who owns one address would be taken for another
        raise ProofRefused("the e-mail address has letters that may look like others")
    return email
