"""pg_dump and its like: found for a server of any version, run without a password on a command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engine.database_url import parse
from engine.embedded.binaries import program_folders
from engine.environments import basic_environment, postgres_environment
from engine.errors import SettingsError, StoreUnavailable


def find_client(name: str, server_major: int) -> Path:
    """The program of the server's own version, else the next newer one: an older one cannot read what it says.

    That on the PATH comes first: those of the wheel speak no TLS.
    """
    found: dict[int, Path] = {}
    on_path = shutil.which(name)
    for program in ([Path(on_path)] if on_path else []) + [folder / name for folder in program_folders()]:
        major = _major_of(program)
        if major is not None and major >= server_major:
            found.setdefault(major, program)
    if not found:
        raise StoreUnavailable(
            f"no {name} of PostgreSQL {server_major} or later is here: install the client programs of version"
            f" {server_major} (Debian: postgresql-client-{server_major})"
        )
    return found[min(found)]


def run_client(program: Path, database_url: str, arguments: Sequence[str], doing: str) -> str:
    """Run it to its end against a database; what it printed. Raises StoreUnavailable with what it complains of."""
    address = parse(database_url)
    if "sslpassword" in address.options:
        raise SettingsError(f"{doing}: {program.name} would show sslpassword to others; give it a key without")
    environment = basic_environment() | postgres_environment()
    if address.password:
        environment["PGPASSWORD"] = address.password
    ran = subprocess.run(  # noqa: S603 - a program that was found, an argument list, no shell
        [program, f"--dbname={address.for_libpq(_major_of(program) or 0)}", "--no-password", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise StoreUnavailable(f"{doing}: {program.name} ended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout


def read_contents(program: Path, file: Path) -> str:
    """What pg_restore finds in a backup, without a database; raises SettingsError where it finds none."""
    ran = subprocess.run([program, "--list", str(file)], capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode != 0:
        raise SettingsError(f"{file} is no backup that can be read: {ran.stderr.strip()[-2000:]}")
    return ran.stdout


def _major_of(program: Path) -> int | None:
    """None: it is not there or does not run here."""
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", ran.stdout)
    return int(version.group(1)) if version else None
