"""The processes of this machine, as the kernel lists them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SESSION_S_MAX = 3.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Listed:
    """One that lives; zombies have ended. `session`: the pid of the process that began it."""

    pid: int
    parent: int
    session: int


def living() -> Iterator[Listed]:
    """All that we see."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent, _, session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if state != b"Z":
            yield Listed(int(entry.name), int(parent), int(session))


def descendants(ancestor: int) -> set[int]:
    """Living processes below `ancestor`."""
    children: dict[int, list[int]] = {}
    for process in living():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            found.add(pid)
            waiting.append(pid)
    return found


def end_session(session: int) -> None:
    """SIGKILL everybody in it: a group is not enough, since Ray gives each actor a group of its own.

    An orphan among them would look for its parent by `getppid() == 1`, which is not so below a reaper.
    """
    deadline_s = time.monotonic() + SESSION_S_MAX
    while members := [process.pid for process in living() if process.session == session]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline_s:
            return
        time.sleep(LOOK_S)
