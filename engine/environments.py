"""What of our environment a child gets. All else stays here: keys that sign, passwords, what is for other programs."""

from __future__ import annotations

import os
from typing import Final

from engine.faultpoints import ENVIRONMENT as FAULTPOINTS
from engine.settings import Settings

# Where programs, libraries and a folder for passing things are, how people write, and whom TLS trusts.
BASIC: Final = frozenset(
    {"HOME", "LANG", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONHOME", "PYTHONPATH", "USER"}
    | {"SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "TZDIR"}
)
BASIC_PREFIX: Final = "LC_"
OF_POSTGRES: Final = frozenset(("SSLKEYLOGFILE",))
OF_POSTGRES_PREFIX: Final = "PG"
FOR_SETTINGS: Final = frozenset(("SECRETS_DIR", "CREDENTIALS_DIRECTORY"))
OUTWARDS: Final = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"))

SECRETS: Final[dict[str, frozenset[str]]] = {
    "database_url": frozenset(("engine", "web")),
    "database_direct_url": frozenset(("engine", "web")),
    "servicebus_connection_string": frozenset(("engine", "hub")),
    "notification_key": frozenset(("engine", "web")),
    "secret_key": frozenset(("web",)),
    "secret_key_also_accepted": frozenset(("web",)),
    "admin_password": frozenset(("web",)),
    "oidc_client_secret": frozenset(("web",)),
}
"""Settings that hold a secret, and which programs need it. The other settings are every program's that reads any."""


def basic_environment() -> dict[str, str]:
    """For any program at all."""
    return {name: value for name, value in os.environ.items() if name in BASIC or name.startswith(BASIC_PREFIX)}


def postgres_environment() -> dict[str, str]:
    """What an address of a database may leave to the environment, for whoever connects: PGUSER, PGSSLMODE, …"""
    return {
        name: value for name, value in os.environ.items() if name in OF_POSTGRES or name.startswith(OF_POSTGRES_PREFIX)
    }


def ray_environment() -> dict[str, str]:
    """For whoever is part of a Ray or joins one: its own variables, its token among them."""
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_") or name == FAULTPOINTS}


def settings_environment(program: str) -> dict[str, str]:
    """What `program` (a word of SECRETS) reads of its settings in the environment, and where else it finds them."""
    connects = program in SECRETS["database_url"]
    return (postgres_environment() if connects else {}) | {
        name: value
        for name, value in os.environ.items()
        if name in FOR_SETTINGS or name.upper() in OUTWARDS or _is_setting_of(program, name.lower())
    }


def forget_settings() -> None:
    """Once they are read: what we start from now on, Ray and its actors, inherits none of them.

    Actors connect to the database, and are told its address: what that leaves to the environment stays.
    """
    kept = basic_environment() | ray_environment() | postgres_environment()
    os.environ.clear()
    os.environ.update(kept)


def _is_setting_of(program: str, setting: str) -> bool:
    return setting in Settings.model_fields and program in SECRETS.get(setting, {program})
