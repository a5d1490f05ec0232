"""What an import would do with rows: held against what is stored, and against what stands in files before them.

Of files that were read only the spans of their sensors are remembered, so that a look needs no more memory than the
largest of them; where spans overlap, the caller reads the earlier file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from engine.imports.sources import Source
from engine.imports.storing import Counts

READING: Final = ("sensor_no", "at_us")


@dataclass(frozen=True, slots=True)
class _Seen:
    """`sensors`: from when to when each has readings in it."""

    source: Source
    first_us: int
    last_us: int
    sensors: pl.DataFrame


class Looked:
    """The files of one look, in the order of reading."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []

    def add(self, source: Source, rows: pl.DataFrame) -> list[Source]:
        """Those before it that may have the same readings."""
        sensors = rows.group_by("sensor_no").agg(first=pl.col("at_us").min(), last=pl.col("at_us").max())
        first_us, last_us = (rows["at_us"].min(), rows["at_us"].max())
        assert isinstance(first_us, int)
        assert isinstance(last_us, int)
        seen = _Seen(source, first_us, last_us, sensors)
        overlapping = [each.source for each in self._seen if _overlap(each, seen)]
        self._seen.append(seen)
        return overlapping


def _overlap(one: _Seen, other: _Seen) -> bool:
    if one.first_us > other.last_us or other.first_us > one.last_us:
        return False
    both = one.sensors.join(other.sensors, on="sensor_no", suffix="_of_other")
    column = pl.col
    return not both.filter(
        (column("first") <= column("last_of_other")) & (column("first_of_other") <= column("last"))
    ).is_empty()


def counted(rows: pl.DataFrame, before: Sequence[pl.DataFrame]) -> Counts:
    """What storing them after `before` comes to: of several rows of one sensor and time the first stays."""
    own = rows.with_row_index("place").select(*READING, "value", "text", "place")
    firsts = pl.concat([*_same_readings(own, before), own]).unique(READING, keep="first", maintain_order=True)
    found = own.join(firsts, on=READING, suffix="_of_first")
    column = pl.col
    is_first = column("place").eq_missing(column("place_of_first"))
    differs = column("value").ne_missing(column("value_of_first")) | (
        column("value").is_null() & column("text").ne_missing(column("text_of_first"))
    )
    stored = found.filter(is_first).height
    conflicts = found.filter(~is_first & differs).height
    return Counts(stored, rows.height - stored - conflicts, conflicts)


def _same_readings(own: pl.DataFrame, before: Sequence[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for frame in before:
        common = frame.join(own, on=READING, how="semi")
        yield common.select(*READING, "value", "text", place=pl.lit(None, pl.get_index_type()))
