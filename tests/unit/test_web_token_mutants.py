"""Thousands of changed tokens are refused in one way, and none of them crashes the one verify function."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from engine.clock import ManualClock
from engine.settings import Settings
from tests.token_mutants import Forge, hmac_signer
from web.auth.signing import keyring
from web.auth.tokens import Claims, Tokens
from web.errors import NotAuthenticated

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SECRET = "a key of this test, long enough to sign with"
NOW_S = ManualClock().now_us() // 1_000_000
CLAIMS = Claims(7, "kim", 123, "0f5e1b9c-52a4-4ab4-9a43-d4c8e7a1d001", "0" * 32, None)
MUTANTS_MIN = 5_000


def forge_of(algorithm: str, folder: Path, seed: int) -> tuple[Tokens, Forge]:
    values: dict[str, object] = {"algorithm": algorithm, "secret_key": SECRET}
    sign, public = hmac_signer(SECRET.encode(), "HS256"), [SECRET.lower().encode(), SECRET[:-1].encode()]
    if algorithm == "EdDSA":
        private = Ed25519PrivateKey.from_private_bytes(random.Random(seed).randbytes(32))
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(pem)
        values |= {"signing_keys": str(folder / "key.pem"), "secret_key": None}
        key, sign = OKPKey.import_key(pem), private.sign
        public = [key.as_pem(private=False), key.as_pem(private=False).strip(), private.public_key().public_bytes_raw()]
        public += [str(key.as_dict(private=False)["x"]).encode(), key.thumbprint().encode()]
    tokens = Tokens(keyring(Settings(_env_file=None, **values)), ManualClock())  # type: ignore[arg-type]
    return tokens, Forge(tokens.issue("access", CLAIMS, NOW_S, 60), sign, public, seed)


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA"])
def test_no_changed_token_is_taken(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens, forge = forge_of(algorithm, tmp_path, seed=4)
    assert tokens.verify(forge.token, "access") == CLAIMS
    refused: Counter[str] = Counter()
    for kind, mutant in forge.mutants():
        assert mutant != forge.token
        try:
            tokens.verify(mutant, "access")
        except NotAuthenticated:
            refused[kind] += 1
            continue
        pytest.fail(f"taken ({kind}): {mutant[:600]}")
    with capsys.disabled():
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in refused.items())
        sys.stdout.write(f"\n  {algorithm}: {refused.total():,} changed tokens refused ({kinds})\n")
    assert refused.total() >= MUTANTS_MIN
    assert min(refused.values()) >= 20
