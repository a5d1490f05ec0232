"""The engine's newest report: from the database, or from the engine's file while that is away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.retries import Retries
from engine.runtime import read_report
from web.database import Database

READ_S_MAX = 2.0
READ_REPORT = """
SELECT state, extract(epoch FROM clock_timestamp() - updated_at)::float8 AS age_s
FROM engine_status WHERE component = 'engine'
"""


@dataclass(frozen=True, slots=True)
class Known:
    """`report` {} and `age_s` None: the engine never reported. `database_error`: why the database told nothing."""

    report: dict[str, Any]
    age_s: float | None
    database_error: str | None = None


class EngineReports:
    """One question to the database at a time, which a probe joins: however many ask, one connection hangs."""

    def __init__(self, database: Database, data_dir: Path, clock: Clock) -> None:
        self._database = database
        self._data_dir = data_dir
        self._retries = Retries(clock)
        self._asking: asyncio.Task[Known] | None = None

    async def read(self) -> Known:
        """Within READ_S_MAX, whatever is away."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="engine report")
        await asyncio.wait({self._asking}, timeout=READ_S_MAX)
        stored = self._asking.result() if self._asking.done() else self._away()
        filed, age_s = read_report(self._data_dir)
        if age_s is not None and (stored.age_s is None or age_s < stored.age_s):
            return Known(filed, age_s, stored.database_error)
        return stored

    def close(self) -> None:
        """Ask no more; the database's own end lets go of a question that hangs."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> Known:
        try:
            with self._retries.one():
                row = await self._database.row(READ_REPORT)
        except StoreUnavailable:
            return self._away()
        return Known({}, None) if row is None else Known(json.loads(row["state"]), row["age_s"])

    def _away(self) -> Known:
        status = self._retries.status()
        since_s = max(status["trying_s"] or 0.0, status["failing_s"] or 0.0)
        return Known({}, None, status["error"] or f"PostgreSQL has not answered for {since_s:.0f} s")
