"""Who may use what on one connection: SAS tokens put over `$cbs`, or the key itself over SASL PLAIN."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import unquote, unquote_plus

from engine.clock import US_PER_S, Clock
from engine.local_bus.broker import path_of
from engine.local_bus.errors import UNAUTHORIZED, AmqpError

TOKENS_MAX = 256
PARTS_MAX = 16

_SECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)


class Authorization:
    """With no key everybody may do everything: the bus listens on loopback."""

    def __init__(self, key: str | None, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._everything = key is None
        self._expiry_s: dict[str, int] = {}  # path: seconds since 1970

    @property
    def needs_no_key(self) -> bool:
        return self._key is None

    @property
    def has_shown_key(self) -> bool:
        """At any time; a token of it that has expired opens nothing, but its holder is no stranger."""
        return self._key is not None and (self._everything or bool(self._expiry_s))

    def accepts_password(self, response: bytes) -> bool:
        """SASL PLAIN: identity, name and password between zero bytes; the password is the key."""
        if self._key is None:
            return True
        password = response.rpartition(b"\x00")[2]
        self._everything = hmac.compare_digest(password, self._key.encode())
        return self._everything

    def put_token(self, token: str) -> None:
        """Check a shared access signature and remember what it opens; AmqpError when it opens nothing."""
        if self._key is None:
            return
        scheme, _, rest = token.partition(" ")
        encoded = dict(pair.partition("=")[::2] for pair in rest.split("&", PARTS_MAX))
        if scheme != "SharedAccessSignature" or not {"sr", "sig", "se"} <= encoded.keys():
            raise AmqpError(UNAUTHORIZED, "not a shared access signature token")
        signed = f"{encoded['sr']}\n{encoded['se']}".encode()
        expected = base64.b64encode(hmac.new(self._key.encode(), signed, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(expected.encode(), unquote(encoded["sig"]).encode()):
            raise AmqpError(UNAUTHORIZED, "the token's signature does not fit the key of this bus")
        if not _SECONDS.fullmatch(encoded["se"]) or int(encoded["se"]) <= self._now_s():
            raise AmqpError(UNAUTHORIZED, f"the token has expired (se={encoded['se']:.20})")
        path = path_of(unquote_plus(encoded["sr"]))
        if path not in self._expiry_s and len(self._expiry_s) >= TOKENS_MAX:
            raise AmqpError(UNAUTHORIZED, f"more than {TOKENS_MAX} tokens on one connection")
        self._expiry_s[path] = int(encoded["se"])

    def check(self, address: str) -> None:
        """AmqpError unless a token that has not expired covers the address."""
        if self._everything:
            return
        path = path_of(address)
        for scope, expiry_s in self._expiry_s.items():
            if expiry_s > self._now_s() and (not scope or path == scope or path.startswith(scope + "/")):
                return
        raise AmqpError(UNAUTHORIZED, f"no valid token was put for '{address:.200}'")

    def _now_s(self) -> float:
        return self._clock.now_us() / US_PER_S
