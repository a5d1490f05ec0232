"""API keys: how programs and notebooks call. A key views or edits the facilities it was made for, until it ends.

Its text is `gik_<public id>_<secret><checksum>`, in hex after the prefix: safe in a URL, found by secret scanners, and
a typing error is told by the checksum without asking the database. The database keeps the secret's SHA-256 only. A slow
hash protects what people choose; 256 random bits cannot be guessed however fast the guesses are, and a fast hash keeps
each request cheap.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

from web.database import Queries
from web.errors import NotAuthenticated

PREFIX = "gik_"
PUBLIC_ID_BYTES = 8
SECRET_BYTES = 32

_TEXT = re.compile(r"(gik_([0-9a-f]{16})_([0-9a-f]{64}))([0-9a-f]{8})", re.ASCII)
_NOBODYS_HASH = bytes(32)

READ_KEY = """
SELECT id, name, secret_hash, revoked_at IS NULL AND expires_at > now() AS is_alive,
       last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS is_use_unnoted
  FROM api_keys
 WHERE public_id = $1
"""
NOTE_USE = "UPDATE api_keys SET last_used_at = now() WHERE id = $1"


@dataclass(frozen=True, slots=True)
class KeyText:
    """A new key. `text` is what its holder gets, this once; it is never stored and never logged."""

    public_id: str
    secret_hash: bytes
    text: str

    def __repr__(self) -> str:
        return f"KeyText({self.public_id})"


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that was verified: neither revoked nor expired."""

    key_id: int
    name: str


def new_key() -> KeyText:
    public_id, secret = secrets.token_hex(PUBLIC_ID_BYTES), secrets.token_hex(SECRET_BYTES)
    start = f"{PREFIX}{public_id}_{secret}"
    return KeyText(public_id, _hash(secret), start + _checksum(start))


def is_key(bearer: str) -> bool:
    """Whether this claims to be a key rather than a token."""
    return bearer.startswith(PREFIX)


async def verify_key(database: Queries, text: str) -> LiveKey:
    """NotAuthenticated unless it is a key of ours that lives. Notes its use, once a minute at most."""
    match = _TEXT.fullmatch(text)
    if match is None or _checksum(match[1]) != match[4]:
        raise NotAuthenticated
    row = await database.row(READ_KEY, match[2])
    is_right = hmac.compare_digest(row["secret_hash"] if row else _NOBODYS_HASH, _hash(match[3]))
    if row is None or not is_right or not row["is_alive"]:
        raise NotAuthenticated
    if row["is_use_unnoted"]:
        await database.execute(NOTE_USE, row["id"])
    return LiveKey(row["id"], row["name"])


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _checksum(start: str) -> str:
    return f"{zlib.crc32(start.encode()):08x}"
