"""`gasinsight status`: nodes, readers, facilities, lag and queues, from the database and the bus."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.bus.queue_lengths import queue_lengths
from engine.errors import BusUnavailable
from engine.historian.overview import read_overview
from engine.historian.upgrade import find_database_url
from engine.metrics import INGEST_LAG, READINGS, Snapshot
from engine.runtime import effective_settings, running_components
from engine.settings import Settings

FACILITIES_SHOWN = 50
ID_SHOWN = 13
MESSAGES_COUNTED = 2000
REPORT_AGE_S_MAX = 15.0


def run_status(overrides: dict[str, object], as_json: bool) -> int:
    """0 when the engine runs and reads all queues, else 1."""
    settings = effective_settings(**overrides)
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    state = asyncio.run(_gather(settings))
    if as_json:
        sys.stdout.write(json.dumps(state, default=str) + "\n")
    else:
        _print(Console(highlight=False), state)
    return 0 if state["healthy"] else 1


async def _gather(settings: Settings) -> dict[str, Any]:
    overview = await read_overview(find_database_url(settings), FACILITIES_SHOWN)
    engine = overview.components.get("engine", {})
    state: dict[str, Any] = {
        "healthy": _is_healthy(engine),
        "processes": running_components(settings.data_dir),
        "engine": engine,
        "lag": _lag(engine.get("metrics") or {}),
        "facilities": overview.facilities,
        "counts": overview.counts,
        "queues": await _queues(settings),
    }
    return state


async def _queues(settings: Settings) -> dict[str, Any]:
    if settings.servicebus_connection_string is None:
        return {"error": "no bus: SERVICEBUS_CONNECTION_STRING is not set and no local bus runs here"}
    connection_string = settings.servicebus_connection_string.get_secret_value()
    try:
        lengths = await queue_lengths(connection_string, settings.queues.values(), MESSAGES_COUNTED)
    except BusUnavailable as error:
        return {"error": str(error)}
    return {queue: {"waiting": waiting, "dead_letters": dead} for queue, (waiting, dead) in lengths.items()}


def _is_healthy(engine: dict[str, Any]) -> bool:
    readers = engine.get("readers") or {}
    reports = engine.get("age_s", 1e9) < REPORT_AGE_S_MAX and engine.get("state") == "running"
    return reports and bool(readers) and all(reader.get("connected") for reader in readers.values())


def _lag(metrics: Snapshot) -> dict[str, float | None]:
    """Mean seconds from arrival at the broker to commit, and readings committed, since the engine started."""
    series = metrics.get("histograms", {}).get(INGEST_LAG, {}).get("series", {}).values()
    count = sum(sum(one["counts"]) for one in series)
    total_s = sum(one["sum"] for one in series)
    readings = sum(metrics.get("counters", {}).get(READINGS, {}).values())
    return {"mean_s": total_s / count if count else None, "readings": readings}


def _print(console: Console, state: dict[str, Any]) -> None:
    engine, lag = state["engine"], state["lag"]
    if not engine:
        console.print("[yellow]the engine has never reported[/]: start `gasinsight up` or `gasinsight engine`")
    else:
        fresh = engine["age_s"] < REPORT_AGE_S_MAX
        said = f"engine {engine.get('state', 'unknown')}" if fresh else "[red]engine silent[/]"
        console.print(
            f"{said}, reported {engine['age_s']:.0f} s ago; {lag['readings']:,.0f} readings stored since start"
        )
        if lag["mean_s"] is not None:
            console.print(f"stored {1000 * lag['mean_s']:.0f} ms after arrival on average")
        if engine.get("restarting"):
            console.print(f"[yellow]restarting: {', '.join(map(str, engine['restarting']))}[/]")
    nodes = [{**node, "node_id": str(node.get("node_id"))[:ID_SHOWN]} for node in engine.get("nodes") or []]
    _print_table(console, "nodes", nodes)
    readers = engine.get("readers") or {}
    _print_table(console, "readers", [{"queue": queue, **reader} for queue, reader in readers.items()])
    _print_queues(console, state["queues"])
    shown = [{**facility, "id": facility["id"][:ID_SHOWN]} for facility in state["facilities"]]
    _print_table(console, "facilities", shown)
    counts = state["counts"]
    more = counts["facilities"] - len(state["facilities"])
    console.print(
        (f"… and {more} more facilities; " if more > 0 else "")
        + f"{counts['sensors']} sensors, {counts['active_alarms']} active alarms, {counts['parked']} parked,"
        + f" {counts['dead_letters']} dead letters recorded"
    )


def _print_queues(console: Console, queues: dict[str, Any]) -> None:
    if error := queues.get("error"):
        console.print(f"[yellow]queues: {error}[/]")
        return
    _print_table(console, "queues", [{"queue": queue, **lengths} for queue, lengths in queues.items()])


def _print_table(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in names))
    console.print(table)


def _shown(value: object) -> str:
    if value is None or value == {}:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
