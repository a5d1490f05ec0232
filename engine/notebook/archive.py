"""Readings of exported days, from the folders of the export; whatever is not there from the source behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote

import polars as pl

from engine.exports import moments
from engine.exports.datasets import RECORDS, SENSORS, Dataset
from engine.exports.pieces import DAY_US
from engine.exports.selection import Asked, SelectionRefused
from engine.notebook.sources import IDS, Database, NotRead, Source

_ORDER: Final = (*IDS, "tracked_at")
"""Of the readings of a day."""
_Days: TypeAlias = Mapping[int, Mapping[str, Path]]
"""By the first microsecond of each day, the files of facilities, in the order of their ids."""


@dataclass(frozen=True, slots=True)
class Archive:
    """`folder`: what `gasinsight export --hive` wrote, whole days with all columns; one such folder, or several in it.

    A day of a facility that is there comes from there, as it was exported: what the database has of it is not read.
    Facilities and sensors, and all data sets but readings, are those of `behind`.
    """

    folder: str | Path
    behind: Source = field(default_factory=Database)

    def frames(self, dataset: Dataset, asked: Asked, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        if dataset is not RECORDS:
            yield from self.behind.frames(dataset, asked, columns)
            return
        known = pl.concat(self.behind.frames(SENSORS, Asked(asked.facility_ids, asked.sensor_ids), IDS))
        facilities = set(known["facility_id"])
        days = _days(_files(Path(self.folder)), facilities, asked)
        for archived, stretch in groupby(_parts(days, asked), key=lambda part: frozenset(days.get(part[0], ()))):
            bounds = list(stretch)
            start_us = max(asked.start_us, bounds[0][0])
            within = Asked(asked.facility_ids, asked.sensor_ids, start_us, bounds[-1][1])
            rest = sorted(facilities - archived)
            if not archived:
                yield from self.behind.frames(RECORDS, within, columns)
            elif not rest:
                for day_us, _ in bounds:
                    yield from (_read(*file, within, columns) for file in days[day_us].items())
            else:
                sensor_ids = known.filter(pl.col("facility_id").is_in(rest))["sensor_id"] if asked.sensor_ids else ()
                others = Asked(tuple(rest), tuple(sensor_ids), within.start_us, within.end_us)
                read = [*columns, *(name for name in _ORDER if name not in columns)]
                for frame in _beside(days, self.behind.frames(RECORDS, others, read), within, read):
                    yield frame.select(columns)


def _files(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Facility, day and file. A name that begins with a point is an export that is not whole yet."""
    if not folder.is_dir():
        raise NotRead(f"{folder} is no folder")
    for file in folder.glob("**/facility_id=*/day=*/readings.parquet"):
        if not any(part.startswith(".") for part in file.relative_to(folder).parts):
            facility, day = (part.partition("=")[2] for part in file.parts[-3:-1])
            try:
                yield unquote(facility), moments.start_us(day), file
            except SelectionRefused as error:
                raise NotRead(f"{file}: {error}") from error


def _days(files: Iterable[tuple[str, int, Path]], facilities: set[str], asked: Asked) -> _Days:
    """Those that are asked for."""
    days: dict[int, dict[str, Path]] = {}
    for facility_id, day_us, file in sorted(files, key=lambda each: each[0].encode()):
        if facility_id in facilities and day_us < asked.end_us and day_us + DAY_US > asked.start_us:
            other = days.setdefault(day_us, {}).setdefault(facility_id, file)
            if other != file:
                raise NotRead(f"a day of {facility_id} is there twice: {other} and {file}")
    return days


def _parts(days: _Days, asked: Asked) -> Iterator[tuple[int, int]]:
    """The range asked for: each archived day by itself, from its first microsecond, and what lies between them."""
    at_us = asked.start_us
    for day_us in sorted(days):
        if day_us > at_us:
            yield at_us, day_us
        at_us = min(day_us + DAY_US, asked.end_us)
        yield day_us, at_us
    if at_us < asked.end_us:
        yield at_us, asked.end_us


def _read(facility_id: str, file: Path, asked: Asked, columns: Sequence[str]) -> pl.DataFrame:
    rows = pl.scan_parquet(file, hive_partitioning=False, glob=False)
    there = {*rows.collect_schema(), IDS[0]}
    for name in (*columns, *_ORDER):
        if name not in there:
            raise NotRead(f"{file} has no column {name}: an archive holds all columns")
    start, end = (pl.lit(us).cast(pl.Datetime("us", "UTC")) for us in (asked.start_us, asked.end_us))
    rows = rows.filter(pl.col("tracked_at") >= start, pl.col("tracked_at") < end)
    if asked.sensor_ids:
        rows = rows.filter(pl.col("sensor_id").is_in(asked.sensor_ids))
    return rows.with_columns(pl.lit(facility_id).alias(IDS[0])).select(columns).collect()


def _beside(
    days: _Days, others: Iterator[pl.DataFrame], asked: Asked, columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Day by day the archived readings together with those of other facilities, which come in the order of days."""
    by_day = groupby(_split(others), key=lambda part: part[0])
    coming = next(by_day, None)
    for day_us in sorted(days):
        if day_us >= asked.end_us or day_us + DAY_US <= asked.start_us:
            continue
        parts = [_read(*file, asked, columns) for file in days[day_us].items()]
        if coming is not None and coming[0] == day_us:
            parts += [rows for _, rows in coming[1]]
            coming = next(by_day, None)
        yield pl.concat(parts).sort(_ORDER)


def _split(frames: Iterator[pl.DataFrame]) -> Iterator[tuple[int, pl.DataFrame]]:
    for frame in frames:
        day_us = pl.col("tracked_at").dt.truncate("1d").to_physical().alias("day_us")
        for (day,), rows in frame.group_by(day_us, maintain_order=True):
            yield int(str(day)), rows
