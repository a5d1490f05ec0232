"""How old the newest stored reading of each facility is, and what /readyz says, over the time of a test."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Final

import asyncpg

from tests.hosts.site import Site

EVERY_S: Final = 0.5
FRESH_S: Final = 5.0
"""Younger than this: readings are sent every second or so, in messages of up to a round of all sensors."""
AGE: Final = """
SELECT max(age_s) FROM (
    SELECT extract(epoch FROM clock_timestamp() - max(r.tracked_at))::float8 AS age_s
    FROM sensors s JOIN sensor_records r USING (sensor_no)
    WHERE r.tracked_at > now() - interval '30 minutes' GROUP BY s.facility_id
) each_facility
"""


@dataclass(slots=True)
class Freshness:
    """`ages`: (time.time(), age of the facility that is worst off, inf when the database does not say)."""

    site: Site
    ages: list[tuple[float, float]] = field(default_factory=list)
    answers: list[tuple[float, int, str]] = field(default_factory=list)

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as looking:
            looking.create_task(self._follow_readings())
            looking.create_task(self._follow_readiness())

    def is_fresh(self) -> bool:
        return bool(self.ages) and self.ages[-1][1] < FRESH_S

    def is_ready(self) -> bool:
        return bool(self.answers) and self.answers[-1][1] == 200

    def stale_s(self, since_s: float) -> float:
        """Seconds from then until the last moment at which a facility's newest reading was not fresh; 0: never."""
        return max((at_s - since_s for at_s, age_s in self.ages if at_s >= since_s and age_s >= FRESH_S), default=0.0)

    def oldest_s(self, since_s: float) -> float:
        """The worst age since then, of those that the database told."""
        return max((age_s for at_s, age_s in self.ages if at_s >= since_s and isfinite(age_s)), default=0.0)

    def first_not_ready_s(self, since_s: float) -> float | None:
        """Seconds from then until /readyz did not answer 200 for the first time."""
        return next((at_s - since_s for at_s, status, _ in self.answers if at_s >= since_s and status != 200), None)

    async def _follow_readings(self) -> None:
        while True:
            asked_s = time.time()
            try:
                age_s = await asyncio.wait_for(self.site.ask(AGE), 5)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                age_s = None
            self.ages.append((asked_s, inf if age_s is None else age_s))
            await asyncio.sleep(EVERY_S)

    async def _follow_readiness(self) -> None:
        while True:
            status, body = await self.site.ready()
            self.answers.append((time.time(), status, body["detail"]))
            await asyncio.sleep(EVERY_S)
