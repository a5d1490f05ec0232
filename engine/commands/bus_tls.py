"""What `up` and `bus` do when --tls is given: have the certificate ready, and say how a hub connects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.all_or_nothing import remove_empty
from engine.errors import SettingsError
from engine.local_bus.server import tls_connection_string
from engine.local_bus.tls import FOLDER_NAME, TLS_PORT, TlsOptions, server_tls
from engine.processes.parts import LOOPBACK, bus_folder
from engine.processes.ports import check_free
from engine.settings import Settings

_TITLES = {"connection_string": "bus (TLS)", "trust": "trust"}


@dataclass(frozen=True, slots=True)
class BusTls:
    """The options for its process, and whom a hub has to trust."""

    words: list[str]
    trust: str

    def fields(self, key: str) -> dict[str, str]:
        """What a hub needs to know."""
        return {"connection_string": tls_connection_string(key), "trust": self.trust}

    def lines(self, key: str, indent: str = "") -> str:
        """The same for people."""
        return "".join(f"{indent}{_TITLES[name]:<10} {text}\n" for name, text in self.fields(key).items())


def tls_options(
    tls: bool, names: Sequence[str], certificate: Path | None, key: Path | None, port: int | None
) -> TlsOptions | None:
    """What was asked for on a command line; None when TLS was not."""
    if tls:
        return TlsOptions(tuple(names), certificate, key, TLS_PORT if port is None else port)
    if names or certificate is not None or key is not None or port is not None:
        raise SettingsError("--tls-name, --tls-certificate, --tls-key and --tls-port need --tls")
    return None


def prepare_tls(options: TlsOptions | None, settings: Settings) -> BusTls | None:
    """Make or check the certificate; SettingsError in a sentence before anything is started."""
    if options is None:
        return None
    check_free(LOOPBACK, options.port, "--tls-port (and lead hubs there: clients of Azure dial 5671)")
    made = server_tls(options, bus_folder(settings))
    if made.trust is None:
        return BusTls(options.words(), "whoever signed the certificate that was given")
    news = "   (new: give it to every hub)" if made.is_new_trust else ""
    return BusTls(options.words(), f"{made.trust}{news}")


def remove_tls(settings: Settings) -> None:
    """Take away what was made for a start that came to nothing."""
    folder = bus_folder(settings) / FOLDER_NAME
    for path in folder.iterdir() if folder.is_dir() else ():
        path.unlink()
    remove_empty(folder, folder.parent)
