"""Ends the engine's process when its Ray is gone. A thread, because calls into such a Ray may block for a minute.

Nothing is saved first: everything that counts is in PostgreSQL and on the bus, and whoever starts us again (`gasinsight
up`, systemd, Kubernetes) finds a process that begins at the beginning.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final

import structlog

CHECK_S: Final = 0.5
CONNECT_S_MAX: Final = 2.0
MISSES_MAX: Final = 3
RAY_LOST_STATUS: Final = 75

log = structlog.get_logger()


class RayWatch:
    """Watches what of Ray must be there for us: `parts` are (host, port) by what they are called."""

    def __init__(self, parts: Mapping[str, tuple[str, int]], clear_away: Callable[[], None]) -> None:
        self._parts = parts
        self._clear_away = clear_away
        self._ended = threading.Event()

    def start(self) -> None:
        """From now on."""
        threading.Thread(target=self._watch, name="ray-watch", daemon=True).start()

    def end(self) -> None:
        """We are leaving Ray ourselves."""
        self._ended.set()

    def _watch(self) -> None:
        misses = dict.fromkeys(self._parts, 0)
        while not self._ended.wait(CHECK_S):
            for part, (host, port) in self._parts.items():
                misses[part] = 0 if answers(host, port) else misses[part] + 1
                if misses[part] >= MISSES_MAX and not self._ended.is_set():
                    give_up(f"{part} at {host}:{port} does not answer any more", self._clear_away)


def give_up(what: str, clear_away: Callable[[], None]) -> None:
    """Say what is lost and end this process at once; Ray's own way out would wait for what is gone."""
    log.critical(
        "ray_lost", what=what, then="this engine ends; started again, it rebuilds everything from the database"
    )
    ending = threading.Thread(target=clear_away, daemon=True)
    ending.start()
    ending.join(timeout=2.0)
    os._exit(RAY_LOST_STATUS)


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), CONNECT_S_MAX).close()
    except OSError:
        return False
    return True
