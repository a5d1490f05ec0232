"""The way of an import: each file is read, judged, perhaps scored, and compared or stored in batches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from engine.clock import Clock
from engine.exports.datasets import FACILITIES, Dataset
from engine.imports import entities
from engine.imports.judging import STORED, judged
from engine.imports.known import Known, known
from engine.imports.looking import Looked, counted
from engine.imports.reasons import Reason
from engine.imports.report import Report
from engine.imports.rows import Mapped, rows_of
from engine.imports.scoring import scored
from engine.imports.sources import Source
from engine.imports.span import Span
from engine.imports.storing import Counts, Store, batches
from engine.offline.refusals import FrameRefused, refusing
from engine.settings import Settings


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
        self._settings = settings
        self._clock = clock
        self._on_bytes = on_bytes
        self._busy_days: set[dt.date] = set()
        self._looked = Looked()

    async def run(self, *, is_dry: bool) -> Report:
        """Raises what the database raises; what is stored by then stays, and the same again goes on."""
        report = Report()
        there = await known(self._store.connection)
        span = await Span.read(self._store.connection, self._settings, self._clock.now_us())
        held: list[pl.DataFrame] = []
        for source in self._wanted.sources:
            report.files += 1
            size = source.size_bytes()
            try:
                if source.entities is not None:
                    await self._make(source, source.entities, there, report, is_dry)
                    rows = STORED.to_frame()
                else:
                    rows = self._read(source, there, span, report)
            except FrameRefused as error:
                report.files_refused.append((source.path, str(error)))
                rows = STORED.to_frame()
            if rows.is_empty():
                self._on_bytes(size)
            elif is_dry:
                before = [self._read(each, there, span, Report()) for each in self._looked.add(source, rows)]
                await self._look(rows, before, report, size)
            elif self._wanted.with_scores:
                held.append(rows)
            else:
                await self._write(rows, report, size)
        if held:
            size = sum(source.size_bytes() for source in self._wanted.sources)
            await self._write(scored(pl.concat(held), there), report, size)
        if self._busy_days:
            first = min(self._busy_days)
            report.remark(f"days that are busy and get a partition later: {len(self._busy_days)}, the first {first}")
        return report

    async def _make(self, source: Source, dataset: Dataset, there: Known, report: Report, is_dry: bool) -> None:
        """Facilities and sensors that are not there yet. Raises FrameRefused."""
        missing = entities.missing_of(source.read(), dataset, there, report, source.path.name)
        if missing and not is_dry:
            made = await entities.make(self._store.connection, dataset, missing)
            _tell_made_by_others(dataset, len(missing) - made, report)
            there.sensors = (await known(self._store.connection)).sensors

    def _read(self, source: Source, there: Known, span: Span, report: Report) -> pl.DataFrame:
        """What of a file's readings can be stored. Raises FrameRefused."""
        table = source.read()
        with refusing("cannot be imported"):
            rows = rows_of(table, source.keys, self._wanted.mapped)
            return judged(rows, there, span, source.path.name, report)

    async def _look(self, rows: pl.DataFrame, before: list[pl.DataFrame], report: Report, size: float) -> None:
        present = []
        for batch in batches(rows):
            present.append(await self._store.present(batch))
            self._on_bytes(size * batch.height / rows.height)
        _tell(counted(rows, [*present, *before]), rows, report)

    async def _write(self, rows: pl.DataFrame, report: Report, size: float) -> None:
        self._busy_days |= await self._store.make_days(rows)
        for batch in batches(rows):
            _tell(await self._store.write(batch, self._clock.now_us()), batch, report)
            self._on_bytes(size * batch.height / rows.height)


def _tell(counts: Counts, rows: pl.DataFrame, report: Report) -> None:
    report.stored += counts.stored
    report.already_there += counts.already_there
    report.conflicts += counts.conflicts
    for left_out, reason, why in (
        (counts.gone, Reason.UNKNOWN_SENSOR, "removed meanwhile"),
        (counts.old, Reason.TOO_OLD, "the retention went on meanwhile"),
    ):
        for sensor_no, count in left_out.items():
            sensor_id = rows.filter(pl.col("sensor_no") == sensor_no)["sensor_id"][0]
            report.refuse(reason, count, [f"{sensor_id!r} ({why})"])


def _tell_made_by_others(dataset: Dataset, count: int, report: Report) -> None:
    """They were to be made, and are there."""
    report.already_there += count
    if dataset is FACILITIES:
        report.facilities_made -= count
    else:
        report.sensors_made -= count
