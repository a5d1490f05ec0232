"""TLS of the local bus: with a certificate of its own that it keeps, or with one that was given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from engine.errors import SettingsError
from engine.local_bus.certificates import keep_certificate

TLS_PORT = 5671
RENEW_EVERY_S = 12 * 3600.0
FOLDER_NAME = "tls"


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Without a certificate one is made for `names` and those of this machine's loopback; `key` None: in its file."""

    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    port: int = TLS_PORT

    def words(self) -> list[str]:
        """The same as options of `python -m engine.local_bus`."""
        words = ["--tls", "--tls-port", str(self.port)]
        for name in self.names:
            words += ["--tls-name", name]
        for option, path in (("--tls-certificate", self.certificate), ("--tls-key", self.key)):
            if path is not None:
                words += [option, str(path.absolute())]
        return words


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A context for the listener, and the file that hubs trust; None when the certificate was given."""

    context: ssl.SSLContext
    trust: Path | None
    is_new_trust: bool


def server_tls(options: TlsOptions, data_dir: Path) -> ServerTls:
    """Ready to listen with; SettingsError says in a sentence what is wrong with a certificate, a key or a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust, is_new = load_certificate(context, options, data_dir)
    return ServerTls(context, trust, is_new)


def load_certificate(context: ssl.SSLContext, options: TlsOptions, data_dir: Path) -> tuple[Path | None, bool]:
    """Take what is in the files now, renewed if it is ours: connections from now on are shown that."""
    if options.certificate is None:
        if options.key is not None:
            raise SettingsError("--tls-key belongs to a --tls-certificate, which is missing")
        kept = keep_certificate(data_dir / FOLDER_NAME, options.names)
        _load(context, kept.server, None)
        return kept.trust, kept.is_new_trust
    if options.names:
        raise SettingsError("--tls-name is for the certificate that is made: the given one has its own names")
    _load(context, options.certificate, options.key)
    return None, False


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    for path in (certificate, key or certificate):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    _check_dates(certificate)
    try:
        # First where nobody is served: a context that takes a certificate and not its key answers nobody any more.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"{key or certificate} is not the key of the certificate {certificate}") from error
        raise SettingsError(f"no private key without a password is in {key or certificate}") from error


def _no_password() -> str:
    """Asked for when a key is encrypted; without this OpenSSL would ask the terminal."""
    return ""


def _check_dates(certificate: Path) -> None:
    try:
        first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except ValueError as error:
        raise SettingsError(f"{certificate} holds no certificate (PEM)") from error
    now = datetime.now(UTC)
    if now > first.not_valid_after_utc:
        raise SettingsError(f"the certificate {certificate} ended on {first.not_valid_after_utc:%Y-%m-%d}")
    if now < first.not_valid_before_utc:
        raise SettingsError(f"the certificate {certificate} begins on {first.not_valid_before_utc:%Y-%m-%d}")
