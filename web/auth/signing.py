"""The keys of the tokens. Each is bound to one algorithm, and a token chooses among them by its exact header only.

One signs. The others verify, so that keys are changed without signing anybody out: first the new key is accepted
everywhere, then it signs, and the old one goes when its last refresh token has expired.
"""

from __future__ import annotations

import base64
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey, OKPKey

from engine.errors import SettingsError
from engine.secrecy import KEY_ADVICE, weakness_of_key
from engine.settings import Settings

EDDSA = "EdDSA"
# RFC 9864 would rather say Ed25519, which few libraries know yet; the curve is fixed here.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


@dataclass(frozen=True, slots=True)
class Key:
    """`kid` is the RFC 7638 thumbprint of a public key; secrets have none."""

    algorithm: str
    jwk: OctKey | OKPKey
    kid: str | None = None

    @property
    def header(self) -> dict[str, str]:
        named = {} if self.kid is None else {"kid": self.kid}
        return {"typ": "JWT", "alg": self.algorithm, **named}

    @property
    def header_text(self) -> str:
        """How each of its tokens begins."""
        text = json.dumps(self.header, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


class Keyring:
    """The key that signs, and all that verify."""

    def __init__(self, signer: Key, *others: Key) -> None:
        self.signer = signer
        self._keys = (signer, *others)
        self._by_header: dict[str, list[Key]] = {}
        for key in self._keys:
            self._by_header.setdefault(key.header_text, []).append(key)

    def of(self, header_text: str) -> list[Key]:
        """The keys whose tokens begin so, to the letter: no header of a stranger's making is ever interpreted."""
        return self._by_header.get(header_text, [])

    def public(self) -> list[dict[str, Any]]:
        """The public keys as JWKs; secrets have no public part."""
        return [
            {**key.jwk.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": key.algorithm}
            for key in self._keys
            if isinstance(key.jwk, OKPKey)
        ]


def keyring(settings: Settings) -> Keyring:
    """The keys that the settings name; SettingsError when one is missing, unreadable or weak."""
    pairs = [_key_of_file(Path(path.strip())) for path in settings.signing_keys.split(",") if path.strip()]
    also = settings.secret_key_also_accepted
    secrets = [] if also is None else [_checked(also.get_secret_value(), "SECRET_KEY_ALSO_ACCEPTED", settings)]
    if settings.algorithm == EDDSA:
        if not pairs or not isinstance(pairs[0].jwk, OKPKey) or not pairs[0].jwk.is_private:
            raise SettingsError(
                "ALGORITHM is EdDSA: SIGNING_KEYS must begin with the file of a private Ed25519 key"
                " (`gasinsight keys new FILE` makes one)"
            )
        return Keyring(*pairs, *(_secret_key(secret, "HS256") for secret in secrets))
    if settings.secret_key is None:
        raise SettingsError(f"SECRET_KEY is missing: {KEY_ADVICE}")
    secrets.insert(0, _checked(settings.secret_key.get_secret_value(), "SECRET_KEY", settings))
    return Keyring(*(_secret_key(secret, settings.algorithm) for secret in secrets), *pairs)


def _checked(secret: str, name: str, settings: Settings) -> str:
    if settings.environment != "development" and (weakness := weakness_of_key(secret)):
        raise SettingsError(f"{name} has {weakness} in production: {KEY_ADVICE}")
    return secret


def _secret_key(secret: str, algorithm: str) -> Key:
    return Key(algorithm, OctKey.import_key(secret.encode()))


def _key_of_file(path: Path) -> Key:
    try:
        jwk = OKPKey.import_key(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"SIGNING_KEYS: cannot read {path}: {error.strerror}") from error
    except (JoseError, ValueError, TypeError) as error:
        raise SettingsError(f"SIGNING_KEYS: {path} holds no Ed25519 key in PEM format") from error
    if jwk.curve_name != "Ed25519":
        raise SettingsError(f"SIGNING_KEYS: {path} holds a key of the curve {jwk.curve_name}; Ed25519 is needed")
    return Key(EDDSA, jwk, jwk.thumbprint())
