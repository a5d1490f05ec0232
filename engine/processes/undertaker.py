"""A small process of our own that outlives us by a moment: when we die by `kill -9`, it ends our children's sessions.

The kernel kills our direct children (parent-death signal), but agents and actors of Ray, their grandchildren, would go
on for a minute looking for their cluster.
"""

from __future__ import annotations

import subprocess
import sys

from engine.environments import basic_environment


class Undertaker:
    """It learns of our end by the end of a pipe that only we hold."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.processes.burial"],
            env=basic_environment(),
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal is not for it
        )

    def take_on(self, session: int) -> None:
        """From now on this session must not outlive us."""
        self._tell(b"+%d\n" % session)

    def let_go(self, session: int) -> None:
        """The session has ended; its number may soon belong to somebody else."""
        self._tell(b"-%d\n" % session)

    def _tell(self, order: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(order)
        self._process.stdin.flush()
