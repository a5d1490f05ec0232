"""Tokens: one verify function, keys that change without signing anybody out."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey
from typer.testing import CliRunner

from engine.clock import ManualClock
from engine.commands.cli.app import app
from engine.errors import SettingsError
from engine.settings import Settings
from web.auth.signing import Keyring, keyring
from web.auth.tokens import TOKEN_CHARACTERS_MAX, Claims, Tokens, access_id, successor_id
from web.errors import NotAuthenticated

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SECRET = "a key of this test, long enough to sign with"
OTHER_SECRET = "another one, which is just as long as the first"
FAMILY = "0f5e1b9c-52a4-4ab4-9a43-d4c8e7a1d001"
CLAIMS = Claims(user_id=7, username="kim", generation=123, family=FAMILY, token_id="0" * 32, impersonated_by=None)
NOW_S = ManualClock().now_us() // 1_000_000


def ring(**settings: object) -> Keyring:
    values: dict[str, object] = {"secret_key": SECRET, **settings}
    return keyring(Settings(_env_file=None, **values))  # type: ignore[arg-type]


def tokens(**settings: object) -> Tokens:
    return Tokens(ring(**settings), ManualClock())


def access(issuer: Tokens) -> str:
    return issuer.issue("access", CLAIMS, NOW_S, 60)


def new_key(path: Path) -> str:
    made = CliRunner().invoke(app, ["keys", "new", str(path)])
    assert made.exit_code == 0, made.output
    return str(path)


@pytest.fixture(scope="module", params=["HS256", "HS512", "EdDSA"])
def signing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    if request.param != "EdDSA":
        return {"algorithm": request.param}
    return {"algorithm": "EdDSA", "signing_keys": new_key(tmp_path_factory.mktemp("keys") / "a.pem")}


def test_claims_survive_and_the_front_end_finds_its_own(signing: dict[str, object]) -> None:
    issuer = tokens(**signing)
    token = issuer.issue("access", replace(CLAIMS, impersonated_by=1), NOW_S, 60)
    assert issuer.verify(token, "access") == replace(CLAIMS, impersonated_by=1)
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (payload["sub"], payload["id"], payload["exp"]) == ("kim", 7, NOW_S + 60)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


async def test_a_token_ends_at_its_second() -> None:
    clock = ManualClock()
    issuer = Tokens(ring(), clock)
    good = access(issuer)
    await clock.advance(59)
    issuer.verify(good, "access")
    await clock.advance(1)
    with pytest.raises(NotAuthenticated):
        issuer.verify(good, "access")


def test_each_kind_of_token_is_good_for_itself_only() -> None:
    issuer = tokens()
    refresh = issuer.issue("refresh", CLAIMS, NOW_S, 60)
    issuer.verify(refresh, "refresh")
    for token, kind in ((refresh, "access"), (access(issuer), "refresh")):
        with pytest.raises(NotAuthenticated):
            issuer.verify(token, kind)  # type: ignore[arg-type]


def test_the_longest_token_is_that_of_the_longest_name() -> None:
    issuer = tokens(algorithm="HS512")
    claims = replace(CLAIMS, username="\U0001f6e2" * 200, impersonated_by=2**31 - 1)
    longest = issuer.issue("refresh", claims, NOW_S, 60)
    assert len(longest) <= TOKEN_CHARACTERS_MAX
    assert issuer.verify(longest, "refresh") == claims
    longer = issuer.issue("refresh", replace(claims, username="a" * TOKEN_CHARACTERS_MAX), NOW_S, 60)
    with pytest.raises(NotAuthenticated):
        issuer.verify(longer, "refresh")


def test_the_successor_of_a_refresh_token_is_the_same_everywhere() -> None:
    assert successor_id("x") == successor_id("x") != successor_id("y")
    assert access_id("x") not in {successor_id("x"), "x"}


def test_a_secret_is_changed_without_signing_anybody_out() -> None:
    before = tokens()
    announced = tokens(secret_key_also_accepted=OTHER_SECRET)
    changed = tokens(secret_key=OTHER_SECRET, secret_key_also_accepted=SECRET)
    after = tokens(secret_key=OTHER_SECRET)
    everywhere = {before: (before, announced), announced: (before, announced, changed), changed: (announced, changed)}
    for issuer, verifiers in everywhere.items():
        for verifier in verifiers:
            assert verifier.verify(access(issuer), "access") == CLAIMS
    for issuer in (before, announced):
        with pytest.raises(NotAuthenticated):
            after.verify(access(issuer), "access")


def test_a_signing_key_is_changed_without_signing_anybody_out(tmp_path: Path) -> None:
    old, new = new_key(tmp_path / "old.pem"), new_key(tmp_path / "new.pem")
    before = tokens(algorithm="EdDSA", signing_keys=old)
    announced = tokens(algorithm="EdDSA", signing_keys=f"{old}, {new}")
    changed = tokens(algorithm="EdDSA", signing_keys=f"{new},{old}")
    after = tokens(algorithm="EdDSA", signing_keys=new)
    assert [len(each.public_keys) for each in (before, announced, changed, after)] == [1, 2, 2, 1]
    for issuer, verifier in ((before, announced), (announced, before), (announced, changed), (changed, announced)):
        assert verifier.verify(access(issuer), "access") == CLAIMS
    with pytest.raises(NotAuthenticated):
        after.verify(access(announced), "access")


def test_a_secret_gives_way_to_a_signing_key(tmp_path: Path) -> None:
    key = new_key(tmp_path / "key.pem")
    announced = tokens(signing_keys=key)
    changed = tokens(secret_key=None, algorithm="EdDSA", signing_keys=key, secret_key_also_accepted=SECRET)
    for issuer in (announced, changed):
        for verifier in (announced, changed):
            assert verifier.verify(access(issuer), "access") == CLAIMS


def test_only_public_halves_are_published(tmp_path: Path) -> None:
    assert tokens(secret_key_also_accepted=OTHER_SECRET).public_keys == []
    private = OKPKey.import_key(Path(new_key(tmp_path / "a.pem")).read_bytes())
    (published,) = tokens(algorithm="EdDSA", signing_keys=str(tmp_path / "a.pem")).public_keys
    assert set(published) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert published["kid"] == private.thumbprint()


def test_a_public_key_verifies_and_cannot_be_asked_to_sign(tmp_path: Path) -> None:
    private = new_key(tmp_path / "private.pem")
    (tmp_path / "public.pem").write_bytes(OKPKey.import_key(Path(private).read_bytes()).as_pem(private=False))
    issued = access(tokens(algorithm="EdDSA", signing_keys=private))
    assert tokens(signing_keys=str(tmp_path / "public.pem")).verify(issued, "access") == CLAIMS
    with pytest.raises(SettingsError, match="must begin with the file of a private Ed25519 key"):
        ring(algorithm="EdDSA", signing_keys=str(tmp_path / "public.pem"))


def test_key_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    (tmp_path / "curve").write_bytes(ECKey.generate_key("P-256").as_pem())
    (tmp_path / "ed448").write_bytes(OKPKey.generate_key("Ed448").as_pem(private=True))
    for name, told in (("absent", "cannot read"), ("text", "no Ed25519"), ("curve", "no Ed25519"), ("ed448", "Ed448")):
        with pytest.raises(SettingsError, match=told):
            ring(algorithm="EdDSA", signing_keys=str(tmp_path / name))
    with pytest.raises(SettingsError, match="keys new"):
        ring(algorithm="EdDSA")


def test_a_new_key_is_private_and_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.pem"
    new_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    again = CliRunner().invoke(app, ["keys", "new", str(path)])
    assert again.exit_code != 0
    assert "File exists" in str(again.exception)
    assert path.read_bytes() == kept
