"""`gasinsight keys new`: make a key that signs tokens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from joserfc.jwk import OKPKey

from engine.errors import SettingsError


def run_keys_new(file: Path) -> None:
    """Writes a private Ed25519 key (PKCS 8, PEM); refuses to replace anything."""
    key = OKPKey.generate_key("Ed25519")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(f"cannot make {file}: {error.strerror}; choose another name, keep the old key") from error
    with os.fdopen(descriptor, "wb") as out:
        out.write(key.as_pem(private=True))
    sys.stdout.write(
        f"{file}: Ed25519 key {key.thumbprint()}\n"
        "Add it at the end of SIGNING_KEYS and start every web server anew; then put it first and start them again.\n"
    )
