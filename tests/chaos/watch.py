"""What can be seen of a run while it goes on: what was sent and stored, and what the engine counts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from engine.historian.overview import read_overview
from engine.metrics import FENCED_WRITES, REDELIVERIES
from tests.chaos.house import AWAY, House
from tests.chaos.ledger import Ledger

EVERY_S = 2.0
ANSWER_S_MAX = 10.0


@dataclass(slots=True)
class Watch:
    """`moments`: (seconds since the start, last message in the ledger). The counts are at least what happened.

    An engine that is killed takes what it counted since the last look (two seconds) with it.
    """

    house: House
    ledger: Ledger
    started_s: float = field(default_factory=time.time)
    moments: list[tuple[float, int]] = field(default_factory=list)
    stored: int = 0
    redeliveries: int = 0
    fenced: int = 0
    _before: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.moments.append((time.time() - self.started_s, self.ledger.last_sequence))
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    await self._look()
            except AWAY:
                pass  # the database is down or on its way up, which is what a run is for
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        overview = await read_overview(self.house.database_url, 0)
        counters = (overview.components.get("engine", {}).get("metrics") or {}).get("counters", {})
        self.redeliveries += self._more(REDELIVERIES, counters)
        self.fenced += self._more(FENCED_WRITES, counters)
        self.stored, _ = await counted(self.house.database_url)

    def _more(self, name: str, counters: dict[str, Any]) -> int:
        """What was counted since the last look; a new engine starts at 0."""
        now = int(sum(counters.get(name, {}).values()))
        before = self._before.get(name, 0)
        self._before[name] = now
        return now - before if now >= before else now


async def counted(database_url: str) -> tuple[int, bool]:
    """(readings that the database holds, whether some of them wait for their rollups)."""
    connection = await asyncpg.connect(database_url)
    try:
        stored = await connection.fetchval("SELECT count(*) FROM sensor_records")
        return int(stored), bool(await connection.fetchval("SELECT EXISTS (SELECT FROM rollup_dirty)"))
    finally:
        await connection.close(timeout=ANSWER_S_MAX)
