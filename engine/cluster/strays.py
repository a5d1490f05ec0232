"""Readings in the default partition: moved as soon as they are seen, told once, and counted until they are gone."""

from __future__ import annotations

from dataclasses import asdict

import structlog

from engine.historian.maintenance import STRAYS_COUNTED_MAX
from engine.historian.port import HousekeepingPort
from engine.metrics import STRAY_READINGS, Metrics

log = structlog.get_logger()


class StrayWatch:
    """`readings`: how many there were at the last look, for the engine's report."""

    def __init__(self, historian: HousekeepingPort, metrics: Metrics) -> None:
        self._historian = historian
        self._metrics = metrics
        self.readings = 0

    async def look(self) -> None:
        """What is found is told before it is moved, which may be long, or fail."""
        strays = await self._historian.stray_readings(STRAYS_COUNTED_MAX)
        if strays and not self.readings:
            log.warning("default_partition_hit", readings=strays)
        self._count(strays)
        if strays:
            await maintain(self._historian)
            self._count(await self._historian.stray_readings(STRAYS_COUNTED_MAX))

    def _count(self, strays: int) -> None:
        if self.readings and not strays:
            log.info("default_partition_empty")
        self.readings = strays
        self._metrics.gauge(STRAY_READINGS, strays)


async def maintain(historian: HousekeepingPort) -> None:
    """A run of maintenance, each of its steps in the log when it is done."""
    await historian.maintain(lambda did: log.info("maintenance", **asdict(did)))
