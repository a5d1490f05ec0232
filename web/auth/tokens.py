"""Signed tokens (JWT): issued here, and verified here only."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from joserfc import jws, jwt
from joserfc.errors import JoseError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engine.clock import US_PER_S, Clock
from web.auth.signing import Key, Keyring
from web.errors import NotAuthenticated

TokenType = Literal["access", "refresh"]

TOKEN_CHARACTERS_MAX = 4096  # the longest of ours, for a user name of 200 emoji, has some 3,700
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_INT4_MAX = 2**31 - 1
_UserId = Annotated[int, Field(ge=1, le=_INT4_MAX)]
_Time = Annotated[int, Field(ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    user_id     claim `id`
    generation  claim `gen`: the user's sessions_valid_from (us); a later one voids the token
    family      claim `fam`: the login this token descends from
    token_id    claim `jti`: no two tokens have the same
    """

    user_id: int
    username: str
    generation: int
    family: str
    token_id: str
    impersonated_by: int | None


class _Payload(BaseModel):
    """The claims on the wire, with their exact types; further ones, of a newer version, are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    sub: Annotated[str, StringConstraints(pattern=r"\A[^\x00]+\z")]
    id: _UserId
    typ: str
    iat: _Time
    exp: _Time
    gen: Annotated[int, Field(ge=-(2**62), lt=2**62)]
    fam: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z")]
    jti: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{32}\z")]
    impersonated_by: _UserId | None = None


class Tokens:
    """Issues with the key that signs, verifies with every key of the ring."""

    def __init__(self, keys: Keyring, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    @property
    def public_keys(self) -> list[dict[str, Any]]:
        """As JWKs; none when tokens are signed with a secret."""
        return self._keys.public()

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
            "jti": claims.token_id,
        }
        if claims.impersonated_by is not None:
            payload["impersonated_by"] = claims.impersonated_by
        key = self._keys.signer
        return jwt.encode(key.header, payload, key.jwk, algorithms=[key.algorithm])

    def verify(self, token: str, kind: TokenType) -> Claims:
        """The token's claims; NotAuthenticated unless it is ours, of this kind, complete and not expired."""
        try:
            claims = _Payload.model_validate(_json_object(self._signed_payload(token)))
        except (ValueError, RecursionError) as error:
            raise NotAuthenticated from error
        if claims.typ != kind or claims.exp <= self._clock.now_us() // US_PER_S:
            raise NotAuthenticated
        return Claims(
            user_id=claims.id,
            username=claims.sub,
            generation=claims.gen,
            family=claims.fam,
            token_id=claims.jti,
            impersonated_by=claims.impersonated_by,
        )

    def _signed_payload(self, token: str) -> bytes:
        """What one of our keys has signed; ValueError when none has."""
        shape = _SHAPE.fullmatch(token) if len(token) <= TOKEN_CHARACTERS_MAX else None
        if shape is None:
            raise ValueError("has not the form of a token")
        for key in self._keys.of(shape[1]):
            if (payload := _payload(token, key)) is not None:
                return payload
        raise ValueError("is signed by no key of ours")


def _payload(token: str, key: Key) -> bytes | None:
    """None when `key` has not signed it."""
    try:
        return jws.deserialize_compact(token, key.jwk, algorithms=[key.algorithm]).payload
    except JoseError:
        return None


def _json_object(text: bytes) -> dict[str, Any]:
    """Strictly: no name twice, no NaN, no null, which we never write."""
    value = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refuse)
    if not isinstance(value, dict) or None in value.values():
        raise ValueError("is no object of values")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len(dict(pairs)):
        raise ValueError("names a claim twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def new_token_id() -> str:
    return secrets.token_hex(16)


def successor_id(token_id: str) -> str:
    """The id of the refresh token that follows: the same in every process and under every key.

    It need not be secret: an id is worth nothing without the signature of a key of ours.
    """
    return _derived_id("successor", token_id)


def access_id(token_id: str) -> str:
    """The id of the access token that is issued together with this refresh token."""
    return _derived_id("access", token_id)


def _derived_id(purpose: str, token_id: str) -> str:
    return hashlib.sha256(f"{purpose}:{token_id}".encode()).hexdigest()[:32]


def token_hash(token_id: str) -> bytes:
    """What the database keeps of a refresh token."""
    return hashlib.sha256(token_id.encode()).digest()
