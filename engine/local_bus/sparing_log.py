"""Log lines that clients cause, bounded: however often one comes back, the log grows by a line in some seconds."""

from __future__ import annotations

import logging
from typing import NamedTuple

from engine.clock import Clock

QUIET_S = 10.0

_logger = logging.getLogger(__name__)


class SparingLog:
    """The first line at once; what comes within QUIET_S of one is counted, and told with the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet_until_s = float("-inf")
        self._untold_count = 0

    def tell(self, sentence: str, error: Exception | None = None) -> None:
        """With the traceback of `error`."""
        now_s = self._clock.monotonic_s()
        if now_s < self._quiet_until_s:
            self._untold_count += 1
            return
        more = f" (and {self._untold_count} times something like it before)" if self._untold_count else ""
        self._quiet_until_s = now_s + QUIET_S
        self._untold_count = 0
        _logger.warning("local bus: %s%s", sentence, more, exc_info=error)


class Logs(NamedTuple):
    """Apart, so that strangers cannot hide what happens to clients, nor either of them an error of the bus."""

    strangers: SparingLog
    clients: SparingLog
    failures: SparingLog

    @classmethod
    def made(cls, clock: Clock) -> Logs:
        return cls(SparingLog(clock), SparingLog(clock), SparingLog(clock))
