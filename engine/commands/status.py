"""`gasinsight status`: nodes, readers, facilities, lag and queues, from the database and the bus."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.bus.queue_lengths import queue_lengths
from engine.commands.status_view import print_state
from engine.diagnosis import judge, problems
from engine.errors import BusUnavailable, StoreUnavailable
from engine.historian.overview import Overview, read_overview
from engine.metrics import INGEST_LAG, READINGS, Snapshot
from engine.runtime import effective_settings, find_database_url, read_report, running_components
from engine.settings import Settings

FACILITIES_SHOWN = 50
MESSAGES_COUNTED = 2000


def run_status(overrides: dict[str, object], as_json: bool) -> int:
    """0 when the engine runs and reads all queues, else 1."""
    settings = effective_settings(**overrides)
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    state = asyncio.run(_gather(settings))
    if as_json:
        sys.stdout.write(json.dumps(state, default=str) + "\n")
    else:
        print_state(Console(highlight=False), state)
    return 0 if state["healthy"] else 1


async def _gather(settings: Settings) -> dict[str, Any]:
    overview = await _overview(settings)
    engine = newest_report(settings.data_dir, overview.components.get("engine", {}))
    judged = judge(engine, engine.get("age_s"), overview.error)
    state: dict[str, Any] = {
        "healthy": all(each.ready for each in judged.values()),
        "problems": problems(judged),
        "processes": running_components(settings.data_dir),
        "engine": engine,
        "lag": _lag(engine.get("metrics") or {}),
        "facilities": overview.facilities,
        "counts": overview.counts,
        "queues": await _queues(settings),
    }
    return state


async def _overview(settings: Settings) -> Overview:
    """What the database knows; while it is away, that it is."""
    try:
        return await read_overview(find_database_url(settings), FACILITIES_SHOWN)
    except StoreUnavailable as error:
        return Overview("", {}, [], {}, str(error))


def newest_report(data_dir: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """The engine's report with its `age_s`: as stored, or its file on this machine when that is newer."""
    filed, age_s = read_report(data_dir)
    return {**filed, "age_s": age_s} if age_s is not None and age_s < stored.get("age_s", 1e9) else stored


async def _queues(settings: Settings) -> dict[str, Any]:
    if settings.servicebus_connection_string is None:
        return {"error": "no bus: SERVICEBUS_CONNECTION_STRING is not set and no local bus runs here"}
    connection_string = settings.servicebus_connection_string.get_secret_value()
    try:
        lengths = await queue_lengths(connection_string, settings.queues.values(), MESSAGES_COUNTED)
    except BusUnavailable as error:
        return {"error": str(error)}
    return {queue: {"waiting": waiting, "dead_letters": dead} for queue, (waiting, dead) in lengths.items()}


def _lag(metrics: Snapshot) -> dict[str, float | None]:
    """Mean seconds from arrival at the broker to commit, and readings committed, since the engine started."""
    series = metrics.get("histograms", {}).get(INGEST_LAG, {}).get("series", {}).values()
    count = sum(sum(one["counts"]) for one in series)
    total_s = sum(one["sum"] for one in series)
    readings = sum(metrics.get("counters", {}).get(READINGS, {}).values())
    return {"mean_s": total_s / count if count else None, "readings": readings}
