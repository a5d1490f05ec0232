"""The way of an import: each file is read, judged, perhaps scored, and compared or stored in batches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from engine.clock import US_PER_S, Clock
from engine.imports import entities
from engine.imports.judging import STORED, Span, judged
from engine.imports.known import Known, known
from engine.imports.report import Report
from engine.imports.rows import Mapped, rows_of
from engine.imports.scoring import scored
from engine.imports.sources import Source
from engine.imports.storing import Store, batches
from engine.offline.refusals import FrameRefused, refusing
from engine.settings import Settings

DAY_US: Final = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is imported, and how. `with_scores`: what brings none is scored, for which all files are held in memory."""

    sources: Sequence[Source]
    mapped: Mapped
    with_scores: bool


class Import:
    """One pass over the files. `is_dry`: nothing is written, and the report says what would be."""

    def __init__(
        self, wanted: Wanted, store: Store, settings: Settings, clock: Clock, on_bytes: Callable[[float], object]
    ) -> None:
        self._wanted = wanted
        self._store = store
        self._on_bytes = on_bytes
        self._busy_days: set[dt.date] = set()
        now_us = clock.now_us()
        self._span = Span(now_us - settings.retention_days * DAY_US, now_us + round(settings.future_s_max * US_PER_S))

    async def run(self, *, is_dry: bool) -> Report:
        """Raises what the database raises; what is stored by then stays, and the same again goes on."""
        report = Report()
        there = await known(self._store.connection)
        held: list[pl.DataFrame] = []
        for source in self._wanted.sources:
            report.files += 1
            size = source.size_bytes()
            try:
                rows = await self._read(source, there, report, is_dry)
            except FrameRefused as error:
                report.files_refused.append((source.path, str(error)))
                rows = STORED.to_frame()
            if self._wanted.with_scores and not is_dry:
                held.append(rows)
            else:
                await self._take(rows, report, size, is_dry)
            if rows.is_empty():
                self._on_bytes(size)
        if held:
            size = sum(source.size_bytes() for source in self._wanted.sources)
            await self._take(scored(pl.concat(held), there), report, size, is_dry)
        if self._busy_days:
            first = min(self._busy_days)
            report.remark(f"days that are busy and get a partition later: {len(self._busy_days)}, the first {first}")
        return report

    async def _read(self, source: Source, there: Known, report: Report, is_dry: bool) -> pl.DataFrame:
        """Facilities and sensors are made; of readings those that can be stored. Raises FrameRefused."""
        table = source.read()
        if source.entities is None:
            with refusing("cannot be imported"):
                rows = rows_of(table, source.keys, self._wanted.mapped)
                return judged(rows, there, self._span, source.path.name, report)
        made = entities.missing_of(table, source.entities, there, report, source.path.name)
        if made and not is_dry:
            await entities.make(self._store.connection, source.entities, made)
            there.sensors = (await known(self._store.connection)).sensors
        return STORED.to_frame()

    async def _take(self, rows: pl.DataFrame, report: Report, size: float, is_dry: bool) -> None:
        if not is_dry and not rows.is_empty():
            self._busy_days |= await self._store.make_days(rows)
        for batch in batches(rows):
            counts = await (self._store.compare(batch) if is_dry else self._store.write(batch))
            report.stored += counts.stored
            report.already_there += counts.already_there
            report.conflicts += counts.conflicts
            self._on_bytes(size * batch.height / rows.height)
