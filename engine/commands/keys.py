"""`gasinsight keys new`: make a key that signs tokens."""

from __future__ import annotations

import sys
from pathlib import Path

from joserfc.jwk import OKPKey

from engine.all_or_nothing import folders_of, new_file, unwound_by_signals
from engine.errors import SettingsError
from engine.printable import escaped


def run_keys_new(file: Path) -> None:
    """Writes a private Ed25519 key (PKCS 8, PEM); refuses to replace anything."""
    key = OKPKey.generate_key("Ed25519")
    try:
        with unwound_by_signals(), folders_of(file, 0o700), new_file(file, 0o600) as out:
            out.write(key.as_pem(private=True))
    except OSError as error:
        advice = "; choose another name, keep the old key" if isinstance(error, FileExistsError) else ""
        raise SettingsError(f"cannot make {file}: {error.strerror}{advice}") from error
    sys.stdout.write(
        f"{escaped(str(file))}: Ed25519 key {key.thumbprint()}\n"
        "Add it at the end of SIGNING_KEYS and start every web server anew; then put it first and start them again.\n"
    )
