"""`gasinsight db maintain`: partitions and retention now, or what would be done; and how large the days are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engine import faultpoints
from engine.clock import SystemClock
from engine.commands.steps import Screen
from engine.historian.connection import translated_errors
from engine.historian.maintenance import Did, maintain, opened, planned
from engine.historian.partitions import Day, days
from engine.printable import escaped
from engine.runtime import find_database_url
from engine.settings import Settings, load_settings

MIB = 1024**2
WORDS = {
    "waiting": "waiting: {name}",
    "made": "{name}: made, {rows:,} readings moved into it",
    "set_aside": "{name}: {rows:,} readings of before the retention are dead letters",
    "dropped": "{name}: dropped, {mib:,.1f} MiB",
    "expired": "{name}: {rows:,} readings removed ({why})",
    "given_back": "{name}: written anew, {mib:,.1f} MiB given back",
    "rollups_expired": "rollups of {name}: {rows:,} removed",
    "log_trimmed": "{name}: {rows:,} entries removed",
    "commands_expired": "{name}: {rows:,} removed",
    "put_off": "{name}: put off, {why}",
}
WOULD = {
    "made": "{name}: to be made, {rows:,} readings to be moved into it",
    "set_aside": "{name}: {rows:,} readings of before the retention become dead letters",
    "dropped": "{name}: to be dropped, {mib:,.1f} MiB",
    "expired": "{name}: {rows:,} readings to be removed ({why})",
    "rollups_expired": "rollups of {name}: {rows:,} to be removed",
    "log_trimmed": "{name}: {rows:,} entries to be removed",
    "commands_expired": "{name}: {rows:,} to be removed",
}


def run_maintain(overrides: dict[str, object], dry_run: bool, as_json: bool) -> None:
    """Everything that is due, or with `dry_run` only told."""
    faultpoints.install_from_environment()
    settings = load_settings(**overrides)
    asyncio.run(_run(find_database_url(settings), settings, dry_run, Screen(as_json)))


async def _run(url: str, settings: Settings, dry_run: bool, screen: Screen) -> None:
    now_us = SystemClock().now_us()
    words = WOULD if dry_run else WORDS

    def told(did: Did) -> None:
        text = words[did.what].format(name=did.name, rows=did.rows, mib=did.bytes / MIB, why=did.why)
        screen.event(did.what, escaped(text), **{name: value for name, value in asdict(did).items() if name != "what"})

    async with translated_errors("cannot look after the database"), opened(url, settings) as connection:
        if dry_run:
            found = await planned(connection, settings.retention, now_us, told)
            for day in found:
                _tell_size(screen, day)
        else:
            with _turning(screen):
                await maintain(connection, settings.retention, now_us, told)
            found = await days(connection)
    _tell_sizes(screen, found)


@contextmanager
def _turning(screen: Screen) -> Iterator[None]:
    """On a terminal something moves, and says how long it has."""
    if screen.as_json or not screen.console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("looking after the database"), TimeElapsedColumn())
    with Progress(*columns, console=screen.console, transient=True) as progress:
        progress.add_task("", total=None)
        yield


def _tell_size(screen: Screen, day: Day) -> None:
    per_reading = round(day.bytes / day.readings, 1) if day.readings else None
    counted = "not counted yet" if day.readings is None else f"about {day.readings:,} readings"
    each = f", {per_reading} bytes a reading" if per_reading else ""
    screen.event(
        "day",
        f"  {day.name}  {day.bytes / MIB:,.1f} MiB, {counted}{each}",
        name=day.name,
        bytes=day.bytes,
        readings=day.readings,
        bytes_per_reading=per_reading,
    )


def _tell_sizes(screen: Screen, found: Sequence[Day]) -> None:
    """Bytes a reading: over the days that PostgreSQL has counted and found readings in."""
    counted = [day for day in found if day.readings]
    readings = sum(day.readings or 0 for day in counted)
    per_reading = round(sum(day.bytes for day in counted) / readings, 1) if readings else None
    total = sum(day.bytes for day in found)
    each = f", {per_reading} bytes a reading" if per_reading else ""
    screen.event(
        "sizes",
        f"{len(found)} days, {total / MIB:,.1f} MiB, about {readings:,} readings{each}",
        days=len(found),
        bytes=total,
        readings=readings,
        bytes_per_reading=per_reading,
    )
