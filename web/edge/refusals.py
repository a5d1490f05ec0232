"""What is said of strangers: each refusal is counted, and told in one line, at most one a second of each kind."""

from __future__ import annotations

from typing import Any

import structlog

from engine.clock import Clock
from engine.metrics import Metrics
from web.edge.printing import printable
from web.edge.proxies import client_address

HANDSHAKES_REFUSED = "gasinsight_handshakes_refused_total"
TOLD_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class Seldom:
    """Log lines of one kind, of which a flood says no more than one a second and how many went unsaid."""

    def __init__(self, event: str, clock: Clock) -> None:
        self._event = event
        self._clock = clock
        self._told_at_s: float | None = None
        self._unsaid = 0

    def say(self, **fields: object) -> None:
        """Log a warning, or count it for the next."""
        now_s = self._clock.monotonic_s()
        if self._told_at_s is not None and now_s - self._told_at_s < TOLD_EVERY_S:
            self._unsaid += 1
            return
        log.warning(self._event, **fields, unsaid_before=self._unsaid)
        self._told_at_s, self._unsaid = now_s, 0


class Refusals:
    """Of one application."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._handshakes = Seldom("handshake_refused", clock)

    def handshake(self, scope: Any, status: int) -> None:
        """A websocket was answered with `status` instead of the 101."""
        self._metrics.add(HANDSHAKES_REFUSED, status=str(status))
        self._handshakes.say(path=printable(scope["path"]), status=status, address=client_address(scope))
