"""`gasinsight import`: recordings and exports into the database, after a look at what would happen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm

from engine import faultpoints
from engine.all_or_nothing import unwound_by_signals
from engine.clock import SystemClock
from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.historian.connection import translated_errors
from engine.imports.importing import Import, Wanted
from engine.imports.moments import Fold, Zone
from engine.imports.report import Report
from engine.imports.rows import Mapped
from engine.imports.sources import Found, find
from engine.imports.storing import open_store
from engine.offline.refusals import FrameRefused
from engine.printable import escaped
from engine.runtime import find_database_url
from engine.settings import Settings, load_settings


@dataclass(frozen=True)
class ImportOptions:
    """`zone` and `fold` are as people write them."""

    paths: tuple[Path, ...]
    facility_id: str | None
    sensor_id: str | None
    zone: str | None
    fold: str | None
    with_scores: bool
    is_dry: bool
    is_agreed: bool
    as_json: bool


def run_import(overrides: dict[str, object], options: ImportOptions) -> int:
    """Exit status: 1 when something was refused, else 0."""
    if not options.is_dry and not options.is_agreed and (options.as_json or not is_terminal()):
        raise SettingsError("nobody can be asked here: --dry-run shows what would be imported, --yes imports it")
    faultpoints.install_from_environment()
    settings = load_settings(**overrides)
    try:
        found, mapped = find(options.paths), _mapped(options)
    except FrameRefused as error:
        raise SettingsError(str(error)) from error
    run = _Run(settings, options, found, Wanted(found.sources, mapped, options.with_scores))
    with unwound_by_signals():
        return run.run()


class _Run:
    def __init__(self, settings: Settings, options: ImportOptions, found: Found, wanted: Wanted) -> None:
        self._settings = settings
        self._url = find_database_url(settings)
        self._options = options
        self._found = found
        self._wanted = wanted
        self._screen = Screen(options.as_json)

    def run(self) -> int:
        options = self._options
        if options.is_dry or not options.is_agreed:
            checked = self._pass(is_dry=True)
            if options.is_dry or not self._is_wanted(checked):
                return int(checked.has_refusals)
        return int(self._pass(is_dry=False).has_refusals)

    def _is_wanted(self, checked: Report) -> bool:
        if not checked.stored and not checked.conflicts and not checked.facilities_made and not checked.sensors_made:
            return False
        return Confirm.ask("Import it?", console=self._screen.console, default=False)

    def _pass(self, *, is_dry: bool) -> Report:
        with _bar(self._options.as_json) as bar:
            total = sum(source.size_bytes() for source in self._wanted.sources)
            task = bar.add_task("looking" if is_dry else "importing", total=total)
            report = asyncio.run(self._walk(is_dry, lambda size: bar.advance(task, size)))
        report.files_refused[:0] = self._found.refused
        told = "\n".join(map(escaped, report.lines(is_done=not is_dry)))
        self._screen.event("would_import" if is_dry else "imported", told, **report.figures())
        return report

    async def _walk(self, is_dry: bool, on_bytes: Callable[[float], object]) -> Report:
        async with translated_errors("cannot import"), open_store(self._url, self._settings) as store:
            return await Import(self._wanted, store, self._settings, SystemClock(), on_bytes).run(is_dry=is_dry)


def _mapped(options: ImportOptions) -> Mapped:
    if options.fold is not None and options.zone is None:
        raise SettingsError("--fold says which of two local times is meant: say whose with --zone")
    try:
        fold = None if options.fold is None else Fold(options.fold)
    except ValueError:
        raise SettingsError(f"--fold is {' or '.join(Fold)}, not {options.fold!r}") from None
    zone = None if options.zone is None else Zone(options.zone, fold)
    return Mapped(options.facility_id, options.sensor_id, zone)


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _bar(as_json: bool) -> Progress:
    terminal = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*shown, console=terminal, transient=True, disable=as_json or not terminal.is_terminal)
