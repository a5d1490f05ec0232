"""One single sign-on, from leaving for the provider to coming back: bound to the browser by a signed cookie.

State, nonce and PKCE verifier are functions of the cookie's random value and our key, so nothing is stored for sign-ins
that nobody finishes, and what travels in URLs does not give the cookie away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from engine.clock import US_PER_S, Clock
from web.errors import HttpRefusal

SIGN_IN_S_MAX = 600
ALGORITHM = "HS256"


class SignInUnknown(HttpRefusal):
    def __init__(self) -> None:
        super().__init__(
            400, f"This sign-in was not begun in this browser in the last {SIGN_IN_S_MAX // 60} minutes; start again"
        )


@dataclass(frozen=True, slots=True)
class SignIn:
    """`challenge` is the front end's own, by which it proves later that it began this."""

    state: str
    nonce: str
    verifier: str
    challenge: str


class SignIns:
    """Every process of an installation has the same `secret`, so any may see the end of what another began."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._key = hmac.digest(secret.encode(), b"single sign-on", hashlib.sha256)
        self._signing_key = OctKey.import_key(self._derived("cookie", ""))
        self._clock = clock

    def begin(self, challenge: str) -> tuple[SignIn, str]:
        """A new sign-in and its cookie."""
        binding = secrets.token_urlsafe(32)
        claims = {"binding": binding, "challenge": challenge, "exp": self._now_s() + SIGN_IN_S_MAX}
        cookie = jwt.encode({"alg": ALGORITHM}, claims, self._signing_key, algorithms=[ALGORITHM])
        return self._sign_in(binding, challenge), cookie

    def resume(self, cookie: str, state: str) -> SignIn:
        """The sign-in that this browser began and that `state` names; SignInUnknown otherwise."""
        try:
            claims = jwt.decode(cookie, self._signing_key, algorithms=[ALGORITHM]).claims
            jwt.JWTClaimsRegistry(now=self._now_s(), exp={"essential": True}).validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError) as error:  # joserfc takes headers as they are
            raise SignInUnknown from error
        sign_in = self._sign_in(claims["binding"], claims["challenge"])
        if not hmac.compare_digest(sign_in.state.encode(), state.encode()):
            raise SignInUnknown
        return sign_in

    def _sign_in(self, binding: str, challenge: str) -> SignIn:
        state, nonce, verifier = (self._derived(label, binding).hex() for label in ("state", "nonce", "verifier"))
        return SignIn(state, nonce, verifier, challenge)

    def _derived(self, label: str, binding: str) -> bytes:
        return hmac.digest(self._key, f"{label}:{binding}".encode(), hashlib.sha256)

    def _now_s(self) -> int:
        return self._clock.now_us() // US_PER_S
