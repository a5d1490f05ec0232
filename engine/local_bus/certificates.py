"""A certificate of the bus' own: made once, kept in its data folder, renewed before its end.

Two of them (RFC 5280). The authority is what hubs trust; it lasts ten years and may vouch for the names of this bus and
nothing else, so that it can stand in a bundle among others. The server's own lasts a year, is signed by it, and is
renewed without anybody having to trust anything anew.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.all_or_nothing import draft_of
from engine.errors import SettingsError

NAMES = ("localhost", "127.0.0.1", "::1")
NAMES_MAX = 100
AUTHORITY_NAME, AUTHORITY_KEY_NAME, SERVER_NAME = "authority.pem", "authority-key.pem", "server.pem"
AUTHORITY_DAYS = 3_650
SERVER_DAYS = 397
RENEW_DAYS = 30
CLOCKS_APART = timedelta(hours=1)

_PEM = serialization.Encoding.PEM
_DNS = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)

Name = x509.DNSName | x509.IPAddress


class KeptCertificate(NamedTuple):
    """`server` holds certificate and key, `trust` is for the hubs; `is_new_trust` when it was made just now."""

    server: Path
    trust: Path
    is_new_trust: bool


def keep_certificate(folder: Path, names: Sequence[str] = (), now: datetime | None = None) -> KeptCertificate:
    """Make or renew what is missing or near its end; SettingsError for a bad name or a folder that cannot be used."""
    now = now or datetime.now(UTC)
    wanted = [_name(text) for text in dict.fromkeys((*NAMES, *(name.lower() for name in names)))]
    if len(wanted) > NAMES_MAX:
        raise SettingsError(f"{len(wanted)} names for one certificate; at most {NAMES_MAX}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _read(folder / AUTHORITY_NAME, folder / AUTHORITY_KEY_NAME)
        is_new = authority is None or not _lasts(authority[0], SERVER_DAYS, now) or not _may_vouch(authority[0], wanted)
        if authority is None or is_new:
            authority = _authority(wanted, now)
            _write(folder / AUTHORITY_KEY_NAME, _private(authority[1]), 0o600)
            _write(folder / AUTHORITY_NAME, authority[0].public_bytes(_PEM), 0o644)
        server = _read(folder / SERVER_NAME, folder / SERVER_NAME)
        if server is None or not _serves(server[0], authority[0], wanted, now):
            server = _server(authority, wanted, now)
            _write(folder / SERVER_NAME, server[0].public_bytes(_PEM) + _private(server[1]), 0o600)
    except OSError as error:
        raise SettingsError(f"the certificate of the bus cannot be kept in {folder}: {error.strerror}") from error
    return KeptCertificate(folder / SERVER_NAME, folder / AUTHORITY_NAME, is_new)


def _name(text: str) -> Name:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if not _DNS.fullmatch(text) or len(text) > 253:
            raise SettingsError(f"{text!r:.100} is no name for a certificate: a host name or an IP address") from None
        return x509.DNSName(text)


def _read(certificate: Path, key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """None when there is none, or none of ours: it is made anew then."""
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    is_ours = isinstance(private, ec.EllipticCurvePrivateKey) and read.public_key() == private.public_key()
    return (read, private) if is_ours and isinstance(private, ec.EllipticCurvePrivateKey) else None


def _lasts(certificate: x509.Certificate, days: int, now: datetime) -> bool:
    begun = certificate.not_valid_before_utc <= now
    return begun and certificate.not_valid_after_utc >= now + timedelta(days=days)


def _may_vouch(authority: x509.Certificate, wanted: list[Name]) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    return {_subtree(name) for name in wanted} <= set(constraints.permitted_subtrees or ())


def _serves(server: x509.Certificate, authority: x509.Certificate, wanted: list[Name], now: datetime) -> bool:
    try:
        names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return server.issuer == authority.subject and list(names) == wanted and _lasts(server, RENEW_DAYS, now)


def _authority(wanted: list[Name], now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    which = token_hex(4)  # hubs may trust an older one of the same bus beside it
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"GasInSight local bus {which}")])
    constraints = x509.NameConstraints([_subtree(each) for each in wanted], None)
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(constraints, critical=True)
    return builder.sign(key, hashes.SHA256()), key


def _server(
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], wanted: list[Name], now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[1].public_key())
    builder = _builder(name, authority[0].subject, key, now, SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(wanted), critical=False)
    builder = builder.add_extension(signer, critical=False)
    return builder.sign(authority[1], hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    begin, end, serial = now - CLOCKS_APART, now + timedelta(days=days), x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial, begin, end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _subtree(name: Name) -> x509.GeneralName:
    """What a name is permitted by: an address by the network of it alone."""
    return name if isinstance(name, x509.DNSName) else x509.IPAddress(ipaddress.ip_network(str(name.value)))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others for a moment."""
    with draft_of(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
