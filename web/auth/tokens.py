"""Signed tokens (JWT): issued here, and verified here only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from engine.clock import US_PER_S, Clock
from engine.errors import SettingsError
from web.errors import NotAuthenticated

TokenType = Literal["access", "refresh"]

SECRET_KEY_CHARACTERS_MIN = 32
WELL_KNOWN_KEYS = frozenset(
    {
        "secret",
        "changeme",
        "change-me",
        "your-secret-key",
        "your_secret_key",
        "your-secret-key-here",
        "supersecretkey",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # the FastAPI tutorial's
    }
)


def check_secret_key(secret_key: str | None, environment: str) -> str:
    """The key to sign with; outside development a missing, short or well-known one stops the start."""
    if secret_key is None:
        raise SettingsError("SECRET_KEY is missing: set it to at least 32 random characters (`openssl rand -hex 32`)")
    if environment == "development":
        return secret_key
    if len(secret_key) < SECRET_KEY_CHARACTERS_MIN:
        raise SettingsError(
            f"SECRET_KEY has {len(secret_key)} characters; production needs at least {SECRET_KEY_CHARACTERS_MIN} "
            "random ones (`openssl rand -hex 32`)"
        )
    if len(set(secret_key)) < 8 or any(secret_key.lower().startswith(known) for known in WELL_KNOWN_KEYS):
        raise SettingsError("SECRET_KEY is a well-known or guessable one; make your own (`openssl rand -hex 32`)")
    return secret_key


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    user_id     claim `id`
    generation  claim `gen`: the user's sessions_valid_from (us); a later one voids the token
    family      claim `fam`: the login this token descends from
    token_id    claim `jti`: of refresh tokens only
    """

    user_id: int
    username: str
    generation: int
    family: str
    token_id: str
    impersonated_by: int | None


class Tokens:
    """Issues and verifies with one key and one algorithm."""

    def __init__(self, secret_key: str, algorithm: str, clock: Clock) -> None:
        self._secret = secret_key.encode()
        self._key = OctKey.import_key(self._secret)
        self._algorithm = algorithm
        self._clock = clock

    def issue(self, kind: TokenType, claims: Claims, issued_at_s: int, life_s: float) -> str:
        """A token that depends on nothing but its arguments and the key."""
        payload: dict[str, Any] = {
            "sub": claims.username,
            "id": claims.user_id,
            "typ": kind,
            "iat": issued_at_s,
            "exp": issued_at_s + max(1, round(life_s)),
            "gen": claims.generation,
            "fam": claims.family,
        }
        if claims.token_id:
            payload["jti"] = claims.token_id
        if claims.impersonated_by is not None:
            payload["impersonated_by"] = claims.impersonated_by
        return jwt.encode({"alg": self._algorithm}, payload, self._key, algorithms=[self._algorithm])

    def verify(self, token: str, kind: TokenType) -> Claims:
        """The token's claims; NotAuthenticated unless it is ours, of this kind, complete and not expired."""
        registry = jwt.JWTClaimsRegistry(
            now=self._clock.now_us() // US_PER_S,
            exp={"essential": True},
            sub={"essential": True},
            id={"essential": True},
            typ={"essential": True, "value": kind},
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[self._algorithm]).claims
            checked = {name: value for name, value in claims.items() if name != "iat"}  # by another machine's clock
            registry.validate(checked)
            return Claims(
                user_id=int(claims["id"]),
                username=str(claims["sub"]),
                generation=int(claims["gen"]),
                family=str(claims["fam"]),
                token_id=str(claims.get("jti", "")),
                impersonated_by=claims.get("impersonated_by"),
            )
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotAuthenticated from error

    def successor_id(self, token_id: str) -> str:
        """The id of the refresh token that follows `token_id`: the same in every process, unknown to anybody else."""
        return hmac.new(self._secret, b"successor:" + token_id.encode(), hashlib.sha256).hexdigest()[:32]


def new_token_id() -> str:
    return secrets.token_hex(16)


def token_hash(token_id: str) -> bytes:
    """What the database keeps of a refresh token."""
    return hashlib.sha256(token_id.encode()).digest()
