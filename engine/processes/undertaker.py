"""A small process of our own that outlives us by a moment: when we die by `kill -9`, it ends our children's sessions.

The kernel kills our direct children (parent-death signal), but agents and actors of Ray, their grandchildren, would go
on for a minute looking for their cluster.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from engine.processes.process_table import end_session


class Undertaker:
    """Start it before there are threads (it forks). It learns of our end by the end of a pipe that only we hold."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        if os.fork() == 0:
            os.close(self._writing)
            _wait_and_bury(reading)
        os.close(reading)

    def take_on(self, session: int) -> None:
        """From now on this session must not outlive us."""
        os.write(self._writing, b"+%d\n" % session)

    def let_go(self, session: int) -> None:
        """The session has ended; its number may soon belong to somebody else."""
        os.write(self._writing, b"-%d\n" % session)


def _wait_and_bury(reading: int) -> NoReturn:
    os.setsid()  # Ctrl-C at the terminal is not for us
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    with os.fdopen(reading, "rb") as orders:
        for order in orders:
            session = int(order[1:])
            if order.startswith(b"+"):
                sessions.add(session)
            else:
                sessions.discard(session)
    for session in sessions:
        end_session(session)
    os._exit(0)
