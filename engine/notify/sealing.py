"""What is kept in the database and nobody may read there, and words that prove to be ours: by one key of the settings.

Whoever has a copy of the database alone reads no password of a mail server, and makes no link that we believe.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken

from engine.errors import SettingsError

NO_KEY: Final = "NOTIFICATION_KEY is not set: it seals what channels keep secret, and signs their links"


def seal(key: str, secrets: Mapping[str, Any]) -> bytes:
    """Encrypted and authenticated."""
    return _fernet(key).encrypt(json.dumps(secrets).encode())


def unseal(key: str, sealed: bytes) -> dict[str, Any]:
    """SettingsError when it was sealed with another key."""
    try:
        secrets: dict[str, Any] = json.loads(_fernet(key).decrypt(sealed))
    except InvalidToken as error:
        raise SettingsError(
            "NOTIFICATION_KEY is not the key that sealed this: set it back, or enter the secret anew"
        ) from error
    return secrets


def sign(key: str, purpose: str, text: str) -> str:
    """A signature of `text` that is good for this purpose only."""
    made = hmac.new(_derived(key, f"sign {purpose}"), text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made.digest()).rstrip(b"=").decode()


def is_signed(key: str, purpose: str, text: str, signature: str) -> bool:
    """Whether `sign` said so."""
    return hmac.compare_digest(sign(key, purpose, text).encode(), signature.encode())


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derived(key, "seal")))


def _derived(key: str, use: str) -> bytes:
    return hmac.new(key.encode(), f"gasinsight notifications: {use}".encode(), hashlib.sha256).digest()
