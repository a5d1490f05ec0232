"""The certificate that the local bus makes and keeps, and what is said of one that was given and is not good."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.commands.bus_tls import tls_options
from engine.errors import SettingsError
from engine.local_bus.certificates import (
    AUTHORITY_DAYS,
    AUTHORITY_KEY_NAME,
    NAMES_MAX,
    RENEW_DAYS,
    SERVER_DAYS,
    KeptCertificate,
    keep_certificate,
)
from engine.local_bus.tls import TlsOptions, load_certificate, server_tls


def shake_hands(server_file: Path, trust: Path, name: str) -> None:
    """A whole handshake in memory; ssl.SSLError when the client does not believe the server."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(server_file)
    shake_hands_with(server_context, trust, name)


def shake_hands_with(server_context: ssl.SSLContext, trust: Path, name: str) -> None:
    client_context = ssl.create_default_context(cafile=trust)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def kept(tmp_path: Path) -> KeptCertificate:
    return keep_certificate(tmp_path / "tls", ("bus.plant.example", "10.0.0.7"))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "bus.plant.example", "10.0.0.7"])
def test_who_trusts_the_authority_believes_every_name(kept: KeptCertificate, name: str) -> None:
    shake_hands(kept.server, kept.trust, name)


@pytest.mark.parametrize("name", ["example.org", "10.0.0.8"])
def test_and_no_other_name(kept: KeptCertificate, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(kept.server, kept.trust, name)


def test_the_authority_vouches_for_nobody_else(kept: KeptCertificate) -> None:
    permitted = certificate(kept.trust).extensions.get_extension_for_class(x509.NameConstraints)
    assert permitted.critical
    names = {str(name.value) for name in permitted.value.permitted_subtrees or ()}
    assert names == {"localhost", "127.0.0.1/32", "::1/128", "bus.plant.example", "10.0.0.7/32"}


def test_keys_are_for_their_owner_only(kept: KeptCertificate) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept.trust.parent.iterdir()}
    assert modes.keys() == {"authority.pem", "authority-key.pem", "server.pem"}
    assert modes["authority-key.pem"] == modes["server.pem"] == 0o600
    assert modes["authority.pem"] & 0o133 == 0  # no secret, and as readable as the umask lets it be
    assert b"PRIVATE" not in kept.trust.read_bytes()


def test_it_is_kept(tmp_path: Path) -> None:
    first = keep_certificate(tmp_path, ("a.example",))
    before = first.server.read_bytes(), first.trust.read_bytes()
    again = keep_certificate(tmp_path, ("A.example",))
    assert (first.is_new_trust, again.is_new_trust) == (True, False)
    assert (again.server.read_bytes(), again.trust.read_bytes()) == before


@pytest.mark.parametrize(
    ("days", "renews", "trust_anew"),
    [
        (SERVER_DAYS - RENEW_DAYS - 1, False, False),
        (SERVER_DAYS - RENEW_DAYS + 1, True, False),
        (AUTHORITY_DAYS - SERVER_DAYS - 1, True, False),
        (AUTHORITY_DAYS - SERVER_DAYS + 1, True, True),
    ],
)
def test_it_is_renewed_before_its_end(tmp_path: Path, days: int, renews: bool, trust_anew: bool) -> None:
    begun = datetime.now(UTC)
    before = certificate(keep_certificate(tmp_path, now=begun).server)
    later = keep_certificate(tmp_path, now=begun + timedelta(days=days))
    assert (certificate(later.server) != before) == renews
    assert later.is_new_trust == trust_anew
    assert certificate(later.server).not_valid_after_utc > begun + timedelta(days=days + RENEW_DAYS - 1)


@pytest.mark.parametrize(("names", "trust_anew"), [((), False), (("b.example",), True)])
def test_other_names_are_trusted_anew_only_where_they_must(
    tmp_path: Path, names: tuple[str, ...], trust_anew: bool
) -> None:
    keep_certificate(tmp_path, ("a.example",))
    kept = keep_certificate(tmp_path, names)
    assert kept.is_new_trust == trust_anew
    shake_hands(kept.server, kept.trust, names[0] if names else "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(kept.server, kept.trust, "a.example")


@pytest.mark.parametrize("name", ["authority.pem", "authority-key.pem", "server.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, name: str, content: bytes | None) -> None:
    keep_certificate(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    kept = keep_certificate(tmp_path)
    assert kept.is_new_trust == name.startswith("authority")
    shake_hands(kept.server, kept.trust, "localhost")


@pytest.mark.parametrize("name", ["", "-a", "a..b", "*.example", "a b", "ä.example", "x" * 64, "a\n", "a." * 130])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="is no name for a certificate"):
        keep_certificate(tmp_path, (name,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("over", [0, 1])
def test_names_are_limited(tmp_path: Path, over: int) -> None:
    names = tuple(f"n{number}.example" for number in range(NAMES_MAX - 3 + over))
    if over:
        with pytest.raises(SettingsError, match="101 names for one certificate; at most 100"):
            keep_certificate(tmp_path, names)
    else:
        keep_certificate(tmp_path, names)


# Given ones


def given(folder: Path, now: datetime | None = None) -> TlsOptions:
    kept = keep_certificate(folder, now=now)
    key = serialization.load_pem_private_key(kept.server.read_bytes(), None)
    octets = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (folder / "locked.pem").write_bytes(octets)
    (folder / "chain.pem").write_bytes(certificate(kept.server).public_bytes(serialization.Encoding.PEM))
    return TlsOptions(certificate=kept.server)


def test_a_given_certificate_is_taken(tmp_path: Path) -> None:
    options = given(tmp_path)
    assert server_tls(options, tmp_path).trust is None
    assert server_tls(TlsOptions(certificate=tmp_path / "chain.pem", key=tmp_path / "server.pem"), tmp_path)


@pytest.mark.parametrize(
    ("certificate_name", "key_name", "sentence"),
    [
        ("none.pem", None, "cannot read .*/none.pem: No such file"),
        ("server.pem", "none.pem", "cannot read .*/none.pem: No such file"),
        (".", None, "cannot read .*: Is a directory"),
        ("authority-key.pem", None, "authority-key.pem holds no certificate"),
        ("chain.pem", None, "no private key without a password is in .*/chain.pem"),
        ("chain.pem", "locked.pem", "no private key without a password is in .*/locked.pem"),
        ("server.pem", "authority-key.pem", "authority-key.pem is not the key of the certificate .*/server.pem"),
    ],
)
def test_a_given_one_that_is_not_good_is_told_in_a_sentence(
    tmp_path: Path, certificate_name: str, key_name: str | None, sentence: str
) -> None:
    given(tmp_path)
    key = None if key_name is None else tmp_path / key_name
    with pytest.raises(SettingsError, match=sentence) as refused:
        server_tls(TlsOptions(certificate=tmp_path / certificate_name, key=key), tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("days", "sentence"), [(-SERVER_DAYS - 1, "ended on 20"), (1, "begins on 20"), (-SERVER_DAYS + 1, None)]
)
def test_a_given_one_is_of_now(tmp_path: Path, days: int, sentence: str | None) -> None:
    options = given(tmp_path, datetime.now(UTC) + timedelta(days=days))
    if sentence is None:
        server_tls(options, tmp_path)
    else:
        with pytest.raises(SettingsError, match=sentence):
            server_tls(options, tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (TlsOptions(key=Path("key.pem")), "--tls-key belongs to a --tls-certificate"),
        (TlsOptions(("a.example",), Path("a.pem")), "--tls-name is for the certificate that is made"),
    ],
)
def test_options_that_contradict_each_other(tmp_path: Path, options: TlsOptions, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        server_tls(options, tmp_path)


def test_options_of_tls_need_it() -> None:
    assert tls_options(False, (), None, None, None) is None
    assert tls_options(True, ["a"], None, None, None) == TlsOptions(("a",))
    for rest in (
        (("a",), None, None, None),
        ((), Path("a"), None, None),
        ((), None, Path("a"), None),
        ((), None, None, 1),
    ):
        with pytest.raises(SettingsError, match="need --tls"):
            tls_options(False, *rest)


def test_a_renewal_that_fails_leaves_what_is_served(tmp_path: Path) -> None:
    """The certificate is new and the key beside it not yet: hubs still shake hands with the one of before."""
    one, other = (keep_certificate(tmp_path / name, ("bus.plant.example",)) for name in ("one", "other"))
    chain, key = tmp_path / "given.pem", tmp_path / "given.key"
    chain.write_bytes(one.server.read_bytes())
    key.write_bytes(one.server.read_bytes())
    options = TlsOptions(certificate=chain, key=key)
    tls = server_tls(options, tmp_path)
    chain.write_bytes(certificate(other.server).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(SettingsError, match="is not the key of the certificate"):
        load_certificate(tls.context, options, tmp_path)
    shake_hands_with(tls.context, one.trust, "bus.plant.example")


def test_a_key_of_another_kind_in_our_folder_is_replaced(tmp_path: Path) -> None:
    keep_certificate(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / AUTHORITY_KEY_NAME).write_bytes(pem)
    assert keep_certificate(tmp_path).is_new_trust
