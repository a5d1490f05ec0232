"""Figures with what they mean: a table for people, JSON for programs. Medians; ratios within one run."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line. `goal` in words of the unit; `met` None: nothing was asked."""

    name: str
    value: float
    unit: str
    runs: list[float] = field(default_factory=list)
    goal: str = ""
    met: bool | None = None


def median(name: str, runs: Sequence[float], unit: str, goal: str = "", at_least: float | None = None) -> Figure:
    """The median of several runs, judged against a bar."""
    value = statistics.median(runs)
    return Figure(name, value, unit, list(runs), goal, None if at_least is None else value >= at_least)


def at_most(name: str, runs: Sequence[float], unit: str, limit: float) -> Figure:
    """The median of several runs, which should not exceed `limit`."""
    value = statistics.median(runs)
    return Figure(name, value, unit, list(runs), f"<= {limit:g}", value <= limit)


def load() -> str:
    """Processors and how busy the machine was: figures of a busy machine say less."""
    one, five, _ = os.getloadavg()
    return f"{os.cpu_count()} processors, load {one:.1f} (1 min) {five:.1f} (5 min)"


def print_figures(bench: str, figures: Sequence[Figure], load_before: str, as_json: bool) -> None:
    """The result of one bench."""
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if as_json:
        result = {"bench": bench, "at": at, "machine": machine, "load_before": load_before, "load_after": load()}
        sys.stdout.write(json.dumps({**result, "figures": [asdict(figure) for figure in figures]}) + "\n")
        sys.stdout.flush()
        return
    table = Table(title=f"{bench}   {at}   {machine}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (
        ("figure", "left"),
        ("median", "right"),
        ("unit", "left"),
        ("runs", "left"),
        ("goal", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for figure in figures:
        runs = " ".join(_number(run) for run in figure.runs)
        met = "" if figure.met is None else " [green]met[/]" if figure.met else " [red]not met[/]"
        table.add_row(figure.name, _number(figure.value), figure.unit, runs, figure.goal + met)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(f"before: {load_before}; after: {load()}\n", style="dim")


def percentile(values: Sequence[float], part: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")
