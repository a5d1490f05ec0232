"""The supervisor's eye on the historian actors: how their commits go, and the end of one that hangs."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import ray
import structlog
from ray.exceptions import RayError

from engine.clock import Clock
from engine.cluster.private_ray import NAMESPACE
from engine.historian.actor import historian_name

ANSWER_S_MAX: Final = 2.0
SILENCE_S_MAX: Final = 30.0

log = structlog.get_logger()


class HistorianWatch:
    """One actor. A process that dies comes back by itself; one that says nothing is ended so that it can."""

    def __init__(self, number: int, clock: Clock) -> None:
        self._name = historian_name(number)
        self._clock = clock
        self._heard_at_s = clock.monotonic_s()
        self._waits_for: str | None = "is starting"
        self.commits: dict[str, Any] = {}

    async def look(self) -> None:
        """Ask it once."""
        try:
            historian = ray.get_actor(self._name, namespace=NAMESPACE)
            self.commits = await asyncio.wait_for(historian.status.remote(), ANSWER_S_MAX)
        except TimeoutError:
            self._waits_for, self.commits = "does not answer", {}
            if self._silent_s() >= SILENCE_S_MAX:
                log.error("historian_ended", name=self._name, silent_s=round(self._silent_s()))
                self._heard_at_s = self._clock.monotonic_s()
                ray.kill(historian, no_restart=False)
        except (RayError, ValueError):
            self._waits_for, self.commits = "is starting again", {}
        else:
            self._waits_for = None
            self._heard_at_s = self._clock.monotonic_s()

    def trouble(self) -> str | None:
        """In words; None when it answers."""
        if self._waits_for is None:
            return None
        return f"{self._name}, which writes to PostgreSQL, {self._waits_for} ({self._silent_s():.0f} s by now)"

    def _silent_s(self) -> float:
        return self._clock.monotonic_s() - self._heard_at_s
