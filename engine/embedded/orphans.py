"""Finds and ends PostgreSQL processes that outlived the process which started them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from engine.errors import StoreUnavailable

_POLL_S = 0.05
_ESCALATION = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def stop_orphans(data: Path) -> list[int]:
    """End every PostgreSQL process of this data directory, gently at first; the pids ended.

    Call only while holding the folder's lock: then whoever runs here has lost its owner.
    """
    found = processes_of(data)
    # Without their postmaster sessions have nothing left to save, and the next server waits for their shared memory.
    for signal_number, patience_s in _ESCALATION if _postmaster_of(data) in found else _ESCALATION[-1:]:
        if not _signal_and_wait(data, signal_number, patience_s):
            break
    left = processes_of(data)
    if left:
        raise StoreUnavailable(f"PostgreSQL processes {left} of {data} do not end; stop them and start again")
    # Its pid may belong to another program by now, which would keep a new server from starting.
    (data / "postmaster.pid").unlink(missing_ok=True)
    return found


def processes_of(data: Path) -> list[int]:
    """Pids of PostgreSQL processes whose working directory is `data` (every server process has it)."""
    directory = data.resolve()
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _runs_in(entry, directory):
            pids.append(int(entry.name))
    return pids


def _runs_in(process: Path, directory: Path) -> bool:
    try:
        if (process / "cwd").readlink() != directory:
            return False
        return (process / "comm").read_text().strip().startswith("postgres")
    except OSError:  # ended meanwhile, or somebody else's: not a server of ours
        return False


def _signal_and_wait(data: Path, signal_number: signal.Signals, patience_s: float) -> bool:
    """Signal what is left and wait; True when something is still there. SIGINT goes to the postmaster alone."""
    left = processes_of(data)
    postmaster = _postmaster_of(data)
    for pid in left:
        if signal_number == signal.SIGINT and pid != postmaster:
            continue
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + patience_s
    while processes_of(data):
        if time.monotonic() > deadline:
            return True
        time.sleep(_POLL_S)
    return False


def _postmaster_of(data: Path) -> int:
    """The pid in postmaster.pid, which may have died or become another program; 0 without the file."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0
