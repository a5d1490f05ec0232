"""Which account PostgreSQL runs as, and how a program is started under it. PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.all_or_nothing import missing_folders
from engine.environments import basic_environment
from engine.errors import StoreUnavailable

_LAUNCHER = Path(__file__).with_name("drop_and_exec.py")
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """`dropped` is True when we are root and hand PostgreSQL to somebody else."""

    name: str
    uid: int
    gid: int
    dropped: bool


def choose_account(owner_uid: int | None) -> Account:
    """Ourselves; as root an existing unprivileged account, `owner_uid` (who has the data already) first of all."""
    if os.geteuid() != 0:
        if owner_uid not in (None, os.geteuid()):
            raise StoreUnavailable(
                f"the embedded database belongs to uid {owner_uid}; start it as that user or as root"
            )
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), dropped=False)
    if owner_uid:
        try:
            entry = pwd.getpwuid(owner_uid)
        except KeyError:
            return Account(str(owner_uid), owner_uid, owner_uid, dropped=True)
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, dropped=True)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, dropped=True)
    raise StoreUnavailable(
        f"PostgreSQL does not run as root, and none of the users {', '.join(_UNPRIVILEGED)} exists; "
        "start as an ordinary user or set DATABASE_URL"
    )


def can_reach(account: Account, folder: Path) -> bool:
    """Whether the account may pass through `folder` and everything above it."""
    for step in (folder, *folder.parents):
        status = step.stat()
        if status.st_uid == account.uid:
            passable = status.st_mode & 0o100
        elif status.st_gid == account.gid:
            passable = status.st_mode & 0o010
        else:
            passable = status.st_mode & 0o001
        if not passable:
            return False
    return True


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder, and those it lies in, with this mode, whatever the umask; one that is there keeps its own."""
    for each in reversed(missing_folders(folder)):
        each.mkdir()
        each.chmod(mode)


def spawn(
    account: Account, command: list[str], folder: Path, output: IO[bytes] | int, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start `command` under the account; it gets SIGINT when the calling *thread* ends, so call from one that stays."""
    target = [str(account.uid), str(account.gid)] if account.dropped else ["-1", "-1"]
    environment = basic_environment() | {"LC_ALL": "C", "TZ": "UTC"}
    return subprocess.Popen(  # noqa: S603 - our own launcher, an argument list, no shell
        [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *target, *command],
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in the terminal is ours to translate into an orderly stop
    )


def run(account: Account, command: list[str], folder: Path, stdin: bytes = b"", timeout_s: float = 120) -> str:
    """Run `command` to its end and return what it printed; StoreUnavailable with that text when it fails."""
    child = spawn(account, command, folder, subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        printed = child.communicate(stdin, timeout=timeout_s)[0].decode(errors="replace").strip()
    except subprocess.TimeoutExpired as error:
        child.kill()
        child.wait()
        raise StoreUnavailable(f"{command[0]} did not finish within {timeout_s:.0f} s") from error
    if child.returncode != 0:
        raise StoreUnavailable(f"{command[0]} failed ({child.returncode}): {printed[-2000:]}")
    return printed
