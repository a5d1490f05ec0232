"""What only its owner may read, change and lock: a data folder and all that is written into it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from engine.errors import FolderBusy, SettingsError
from engine.printable import escaped

PRIVATE_UMASK: Final = 0o077
LOCK_S_MAX: Final = 30.0
LOCK_SILENT_S: Final = 1.0
LOCK_LOOK_S: Final = 0.02
_LOCKS = (".runtime.lock", "postgres.lock")
_OURS = ("bus", "logs", "secrets", "runtime.json", "engine-report.json", "audit-heads.json", *_LOCKS)


def own_data_folder(data_dir: Path) -> None:
    """Whatever this process and its children write is closed to others from now on, and so is what is there."""
    os.umask(PRIVATE_UMASK)
    make_data_folder(data_dir)
    if not data_dir.stat().st_mode & stat.S_ISVTX:  # a place for everybody, such as /tmp, stays one
        close_to_others(data_dir, passable=os.geteuid() == 0)
    for name in _OURS:
        path = data_dir / name
        close_to_others(path)
        if path.is_dir() and not path.is_symlink():
            for folder, folders, files in os.walk(path):
                for inner in (*folders, *files):
                    close_to_others(Path(folder, inner))


def make_data_folder(data_dir: Path) -> None:
    """With the folders it lies in. As root others may pass, but not look: PostgreSQL, as somebody else, must get in."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        for folder in reversed([each for each in (data_dir, *data_dir.parents) if not each.exists()]):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        if not data_dir.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(data_dir))
    except OSError as error:
        raise _cannot_write(data_dir, error) from error


def close_to_others(path: Path, *, passable: bool = False) -> None:
    """Take from others what they may do with it, if it is there and ours; `passable`: but let them through."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # not there, a link, or closed to us
        return
    try:
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        closed = mode & (0o711 if passable else 0o700)
        if closed != mode and os.geteuid() in {0, status.st_uid}:
            os.fchmod(descriptor, closed)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time. Says for whom it waits when that takes a while; FolderBusy when it takes too long."""
    with open_lock(path) as lock:
        started_s = time.monotonic()
        told = False
        while not take(lock):
            waited_s = time.monotonic() - started_s
            if waited_s > LOCK_S_MAX:
                raise FolderBusy(f"{_holder(lock)} has held {path} for more than {LOCK_S_MAX:g} s; end it, or wait")
            if waited_s > LOCK_SILENT_S and not told:
                told = True
                sys.stderr.write(escaped(f"waiting for {path}, which {_holder(lock)} holds") + "\n")
            time.sleep(LOCK_LOOK_S)
        yield


def take(lock: IO[str]) -> bool:
    """Whether it is ours now; the kernel lets go of it however we end."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_lock(path: Path) -> IO[str]:
    """A file that others can neither open nor have put there; raises SettingsError where they could have."""
    make_data_folder(path.parent)
    ours = {os.geteuid()}
    owner = path.parent.stat().st_uid
    if os.geteuid() == 0:
        ours.add(owner)  # a command by hand, beside a service with an account of its own
    elif owner not in {0, os.geteuid()}:
        raise SettingsError(f"{path.parent} belongs to another user; choose another DATA_DIR, or run as that user")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SettingsError(f"{path} is a link, which a lock must not be; remove it") from error
        raise _cannot_write(path.parent, error) from error
    lock = os.fdopen(descriptor, "r+", encoding="utf-8")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in ours:
        lock.close()
        raise SettingsError(f"{path} belongs to another user, who could lock us out; remove it")
    if stat.S_IMODE(status.st_mode) != 0o600:
        os.fchmod(descriptor, 0o600)
    if status.st_uid != owner and os.geteuid() == 0:
        os.fchown(descriptor, owner, -1)
    return lock


def _cannot_write(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(f"cannot write in {folder}: {error.strerror}; choose another DATA_DIR")


def _holder(lock: IO[str]) -> str:
    """Who holds it, as far as the kernel tells."""
    inode = os.fstat(lock.fileno()).st_ino
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return f"process {fields[4]}"
    return "another process"
