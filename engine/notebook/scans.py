"""Lazy frames over stored data: of a query, the columns, times and ids that it needs are read, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeAlias

import polars as pl
from polars.io.plugins import register_io_source

from engine.exports import moments
from engine.exports.datasets import ALARMS, FACILITIES, RECORDS, ROLLUPS, SENSORS, Dataset, schema_of
from engine.exports.selection import WHOLE_US, Asked
from engine.notebook.pushdown import about_only, time_bounds
from engine.notebook.sources import IDS, Database, Source

Ids: TypeAlias = str | Iterable[str] | None
Time: TypeAlias = str | datetime | None


def scan_records(
    facility: Ids = None, start: Time = None, end: Time = None, *, sensor: Ids = None, source: Source | None = None
) -> pl.LazyFrame:
    """Readings with their scores and flags (docs/exports.md), in the order of UTC day, facility, sensor and time.

    facility, sensor  an id or several; default: all that may be seen
    start, end        a datetime, or text as over REST: UTC without a zone, the end not included, a bare day as an end
                      meant whole
    source            `Server(url, key)`, `Database(url)`, or an `Archive` before one of them; default: the database of
                      DATABASE_URL or running here

    Rows and columns that the query does not need are not read. Nothing is read before it is collected; raises
    SelectionRefused or, of a server, NotRead then, for an id that cannot be seen.
    """
    return _scan(RECORDS, _asked(facility, sensor, start, end), source)


def scan_rollups(
    facility: Ids = None, start: Time = None, end: Time = None, *, sensor: Ids = None, source: Source | None = None
) -> pl.LazyFrame:
    """Minutes, hours and days (`width_s` 60, 3600, 86400) of readings; arguments as of `scan_records`."""
    return _scan(ROLLUPS, _asked(facility, sensor, start, end), source)


def scan_alarms(
    facility: Ids = None, start: Time = None, end: Time = None, *, sensor: Ids = None, source: Source | None = None
) -> pl.LazyFrame:
    """The journal, every transition of every alarm by its event time; arguments as of `scan_records`."""
    return _scan(ALARMS, _asked(facility, sensor, start, end), source)


def sensors(facility: Ids = None, *, source: Source | None = None) -> pl.DataFrame:
    """Sensors as they are set up now."""
    return _scan(SENSORS, _asked(facility, None, None, None), source).collect()


def facilities(*, source: Source | None = None) -> pl.DataFrame:
    """Facilities as they are set up now."""
    return _scan(FACILITIES, Asked(), source).collect()


def _scan(dataset: Dataset, asked: Asked, source: Source | None) -> pl.LazyFrame:
    origin = source or Database()
    schema = schema_of(dataset.columns)

    def frames(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del batch_size  # pieces are as the database gives them
        wanted = list(schema) if with_columns is None else with_columns
        needed = (
            wanted
            if predicate is None
            else [name for name in schema if name in {*wanted, *predicate.meta.root_names()}]
        )
        narrowed = asked if predicate is None else _narrowed(dataset, asked, predicate, origin)
        left = n_rows
        if narrowed is None:
            yield pl.DataFrame(schema=schema).select(wanted)
            return
        for frame in origin.frames(dataset, narrowed, needed or [next(iter(schema))]):
            rows = frame if predicate is None else frame.filter(predicate)
            rows = rows.select(wanted)
            if left is not None:
                rows = rows.head(left)
                left -= rows.height
            yield rows
            if left == 0:
                return

    return register_io_source(frames, schema=schema, is_pure=False)


def _narrowed(dataset: Dataset, asked: Asked, predicate: pl.Expr, origin: Source) -> Asked | None:
    """What is left to read; None for nothing."""
    start_us, end_us = asked.start_us, asked.end_us
    if dataset.time:
        found = time_bounds(predicate, dataset.time.rpartition(".")[2])
        start_us, end_us = max(start_us, found[0]), min(end_us, found[1])
    if start_us >= end_us:
        return None
    sensor_ids = asked.sensor_ids
    conditions = about_only(predicate, set(IDS)) if dataset in {RECORDS, ROLLUPS} else []
    if conditions:
        known = pl.concat(origin.frames(SENSORS, Asked(asked.facility_ids, asked.sensor_ids), IDS))
        sensor_ids = tuple(known.filter(*conditions)["sensor_id"])
        if not sensor_ids:
            return None
    return Asked(asked.facility_ids, sensor_ids, start_us, end_us)


def _asked(facility: Ids, sensor: Ids, start: Time, end: Time) -> Asked:
    return Asked(
        _ids(facility),
        _ids(sensor),
        WHOLE_US[0] if start is None else moments.start_us(_text(start)),
        WHOLE_US[1] if end is None else moments.end_us(_text(end)),
    )


def _ids(given: Ids) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


def _text(time: str | datetime) -> str:
    return time if isinstance(time, str) else time.isoformat()
