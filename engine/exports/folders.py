"""Readings as a folder of Parquet files by facility and day, as Hive, Spark, DuckDB and polars know them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final
from urllib.parse import quote

import polars as pl

from engine.exports.formats import FORMATS

KEYS: Final = ("facility_id", "day")
NEEDED: Final = ("facility_id", "tracked_at")
"""Columns that say where a row goes; the first is then in the names of the folders and not in the files."""


def write_folder(folder: Path, frames: Iterator[pl.DataFrame]) -> int:
    """`facility_id=…/day=…/readings.parquet`; how many files. Frames come in the order of day and facility."""
    files = 0
    for (facility_id, day), parts in groupby(_by_file(frames), key=lambda part: part[0]):
        place = folder / f"facility_id={quote(facility_id, safe='')}" / f"day={day}"
        place.mkdir(parents=True)
        rows = (part for _, part in parts)
        first = next(rows)
        with (place / "readings.parquet").open("xb") as file:
            FORMATS["parquet"].write(_after(first, rows), first.schema, file)
        files += 1
    return files


def _by_file(frames: Iterator[pl.DataFrame]) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    for frame in frames:
        keyed = frame.with_columns(pl.col("tracked_at").dt.strftime("%Y-%m-%d").alias("day"))
        for (facility_id, day), rows in keyed.group_by(KEYS, maintain_order=True):
            yield (str(facility_id), str(day)), rows.drop(KEYS)


def _after(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest
