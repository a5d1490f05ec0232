"""Named points of the walk where a test may end or pause a run. In production they cost a call.

received, decoded, before_complete, between_completes, completed   in the reader
before_score, scored, committed, at_checkpoint, loaded             in the facility
in_commit                                                          in the historian, inside the transaction
floors_raised, strays_set_aside, day_filled, day_dropped, rows_expired, day_copied, day_swapped, rollups_expired
                                                                   in a maintenance run, most inside a transaction
piece_stored, piece_committed                                      in an import, the first inside its transaction
notification_sent                                                  between sending a notification and marking it
replay_begun, replay_ended                                         in the process of a replay: before it, and before its
                                                                   result is written

A process started with GASINSIGHT_FAULTPOINTS=<folder> can be told from outside: who reaches point NAME and finds a file
<folder>/NAME takes it (it becomes <folder>/NAME.<pid>) and does what its text says, `kill` or `pause SECONDS`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = "GASINSIGHT_FAULTPOINTS"

POINTS: Final = frozenset(
    {
        "received",
        "decoded",
        "before_score",
        "scored",
        "in_commit",
        "committed",
        "before_complete",
        "between_completes",
        "completed",
        "at_checkpoint",
        "loaded",
    }
)

MAINTENANCE_POINTS: Final = frozenset(
    {
        "floors_raised",
        "strays_set_aside",
        "day_filled",
        "day_dropped",
        "rows_expired",
        "day_copied",
        "day_swapped",
        "rollups_expired",
    }
)
"""Reached when something is due, hourly at most: a plan of blows that wants to hit something chooses of POINTS."""

IMPORT_POINTS: Final = frozenset({"piece_stored", "piece_committed"})

NOTIFICATION_POINTS: Final = frozenset({"notification_sent"})

REPLAY_POINTS: Final = frozenset({"replay_begun", "replay_ended"})

ALL: Final = POINTS | MAINTENANCE_POINTS | IMPORT_POINTS | NOTIFICATION_POINTS | REPLAY_POINTS

Handler = Callable[[str], Awaitable[None]]

_handler: Handler | None = None


def install(handler: Handler | None) -> Handler | None:
    """Let `handler` be awaited at each point of this process (None: nobody); returns the one before."""
    global _handler
    previous, _handler = _handler, handler
    return previous


async def reached(name: str) -> None:
    """Tell the installed handler that the walk is at `name`; what it raises ends the walk there."""
    if _handler is not None:
        await _handler(name)


def install_from_environment() -> None:
    """Obey the files of a folder when the environment names one; otherwise nothing is installed."""
    if folder := os.environ.get(ENVIRONMENT):
        install(_Orders(Path(folder)).obey)


class _Orders:
    """One order a file, obeyed by the first process that takes it: renaming is atomic, and cheap when there is none."""

    def __init__(self, folder: Path) -> None:
        self._paths = {name: str(folder / name) for name in ALL}

    async def obey(self, name: str) -> None:
        taken = f"{self._paths[name]}.{os.getpid()}"
        try:
            os.rename(self._paths[name], taken)  # noqa: PTH104  (a Path would cost more than the call, at each point)
        except FileNotFoundError:
            return
        _carry_out(Path(taken))


def _carry_out(taken: Path) -> None:
    order, *seconds = taken.read_text(encoding="utf-8").split()
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == "pause":
        _stop(float(seconds[0]))
    else:
        raise ValueError(f"{taken} says {order!r}, `kill` or `pause SECONDS` would be right")


def _stop(seconds: float) -> None:
    """Stop with all threads, as a suspended machine does (a sleep would stop one); a process of its own wakes us."""
    waking = f"import os, signal, time; time.sleep({seconds}); os.kill({os.getpid()}, signal.SIGCONT)"
    waker = subprocess.Popen([sys.executable, "-S", "-c", waking], start_new_session=True)  # noqa: S603
    os.kill(os.getpid(), signal.SIGSTOP)
    waker.wait()
