"""What a frame holds: one series, a facility in long form, or a facility with a column for each sensor."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

import native
from engine.offline.refusals import FrameRefused

NEVER_FED = "label"
"""Recordings name their known faults in this column; no detector may see it."""
ROW_NUMBERS: Final = re.compile(r"(__index_level_\d+__|Unnamed: \d+)?")
"""How pandas names the numbers of its rows in Parquet and in a CSV read again; a CSV's column of them has no name."""
ID_KINDS: Final = (pl.String, pl.Categorical, pl.Enum, pl.Binary)
"""What may be an id, beside numbers."""
INTERVAL_READINGS_MAX = 1_000
INTERVAL_S_UNKNOWN = 60.0
NOBODY = -1
"""Whose a row of a wide table is in which no cell has a reading."""

Times: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Readings:
    """Readings in their order of arrival."""

    sensors: list[str]
    row: Places | None
    """Where each stands in the frame; none: one row, one reading."""
    place: Places
    """Of which of `sensors` each is; NOBODY: no reading, only its time."""
    at_us: Times
    values: Numbers
    is_null: npt.NDArray[np.bool_]
    """Rows without a number, which a live system would have received as text."""

    @property
    def is_wide(self) -> bool:
        return self.row is not None

    def rows_until(self, reading: int) -> int:
        """Rows of the frame that lie before this reading, about."""
        reading = min(reading, len(self.at_us))
        return reading if self.row is None or reading == 0 else int(self.row[reading - 1]) + 1

    def intervals(self) -> list[float]:
        """Seconds between readings of each sensor, the median of its first ones."""
        by_sensor = np.argsort(self.place, kind="stable")
        ends = np.searchsorted(self.place[by_sensor], np.arange(len(self.sensors) + 1))
        readings = (by_sensor[start:end][: INTERVAL_READINGS_MAX + 1] for start, end in itertools.pairwise(ends))
        return [_interval_s(self.at_us[own]) for own in readings]


def _interval_s(at_us: Times) -> float:
    apart_us = np.diff(at_us)
    apart_us = apart_us[apart_us > 0]
    return float(np.median(apart_us)) / 1e6 if len(apart_us) else INTERVAL_S_UNKNOWN


def readings_of(frame: pl.DataFrame, *, as_received: bool) -> Readings:
    """Find out the form of a frame and read it. Raises FrameRefused."""
    if "tracked_at" not in frame.columns:
        raise FrameRefused(
            f"there is no column tracked_at (there are: {_listed(frame.columns) or 'none'}): the column of times must"
            " have this name"
        )
    at_us = _times(frame["tracked_at"])
    if not as_received:
        _refuse_unsorted(at_us)
    if "value" in frame.columns:
        return _long(frame, at_us)
    if "sensor_id" in frame.columns:
        raise FrameRefused(
            "there is a column sensor_id and none named value: the column of readings must have this name"
        )
    return _wide(frame, at_us)


def may_be_sensor(name: str) -> bool:
    """Of a column of a wide table."""
    return name not in {"tracked_at", NEVER_FED} and not ROW_NUMBERS.fullmatch(name)


def unscored(frame: pl.DataFrame) -> list[str]:
    """Columns of numbers that somebody might take for scored ones; they are kept as they are."""
    if "value" in frame.columns:
        named = [name for name in frame.columns if name not in {"tracked_at", "value", "sensor_id", NEVER_FED}]
        return [name for name in named if frame[name].dtype.is_numeric()]
    return [name for name in frame.columns if name != "tracked_at" and ROW_NUMBERS.fullmatch(name)]


def _times(column: pl.Series) -> Times:
    """Naive times are UTC, as in the wire contract; what is finer than a microsecond is cut off."""
    if not isinstance(column.dtype, pl.Datetime | pl.String):
        raise FrameRefused(
            f"tracked_at is {column.dtype}, it must be a Datetime, or text such as 2026-11-22T10:15:00: "
            "pl.from_epoch() makes times of numbers"
        )
    if column.null_count():
        raise FrameRefused(f"tracked_at is null in row {column.is_null().arg_max()}: every reading needs its time")
    if isinstance(column.dtype, pl.String):
        return _read(column)
    counted = column.dt.epoch("us")
    if counted.null_count():
        raise FrameRefused(f"the time of row {counted.is_null().arg_max()} is no microsecond that can be counted")
    at_us = counted.to_numpy()
    _refuse_outside(at_us)
    return at_us


def _read(column: pl.Series) -> Times:
    at_us = np.empty(len(column), np.int64)
    for row, text in enumerate(column):
        try:
            at_us[row] = native.parse_time(text)
        except native.TimeRefused as error:
            raise FrameRefused(f"tracked_at in row {row}, {text[:64]!r}: {error}") from error
    return at_us


def _refuse_outside(at_us: Times) -> None:
    is_outside = (at_us < native.TIME_US_FIRST) | (at_us >= native.TIME_US_END)
    if rows := int(is_outside.sum()):
        row = int(is_outside.argmax())
        shown = np.datetime64(int(at_us[row]), "us")
        raise FrameRefused(
            f"tracked_at is outside of the years 1970 to 2200 in {rows} of {len(at_us)} rows, first in row {row}, "
            f"{shown}: drop those rows, or name the unit of numbers that became times (pl.from_epoch(…, time_unit=…))"
        )


def _refuse_unsorted(at_us: Times) -> None:
    backwards = np.flatnonzero(at_us[1:] < at_us[:-1])
    if len(backwards):
        row = int(backwards[0]) + 1
        before, after = (_shown(int(at)) for at in at_us[row - 1 : row + 1])
        raise FrameRefused(
            f"tracked_at goes back in row {row}, from {before} to {after}: sort by tracked_at; or, when the rows "
            "stand in the order in which they were received, say so (as_received=True, --as-received): late ones are "
            "then flagged and not learned, as live"
        )


def _shown(at_us: int) -> str:
    try:
        return str(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us))
    except OverflowError:
        return f"{at_us} µs after 1970"


def _long(frame: pl.DataFrame, at_us: Times) -> Readings:
    values, is_null = _numbers(frame["value"])
    if "sensor_id" not in frame.columns:
        return Readings([""], None, np.zeros(len(at_us), np.int32), at_us, values, is_null)
    column = frame["sensor_id"]
    if column.null_count():
        raise FrameRefused(f"sensor_id is null in row {column.is_null().arg_max()}: whose reading is it?")
    if not (column.dtype.is_numeric() or column.dtype in ID_KINDS):
        raise FrameRefused(f"sensor_id is {column.dtype}, it must be text, a number or a category")
    try:
        ids = column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise FrameRefused(f"sensor_id is {column.dtype} and cannot be read as text: {error}") from error
    sensors = ids.unique(maintain_order=True)
    place = ids.replace_strict(sensors, pl.int_range(len(sensors), eager=True), return_dtype=pl.Int32)
    return Readings(sensors.to_list(), None, place.to_numpy(), at_us, values, is_null)


def _wide(frame: pl.DataFrame, at_us: Times) -> Readings:
    """Row by row, in a row column by column; an empty cell is no reading."""
    sensors = [name for name in frame.columns if may_be_sensor(name)]
    if not sensors:
        raise FrameRefused("there is neither a column value nor one for each sensor beside tracked_at")
    table = np.column_stack([_numbers(frame[name])[0] for name in sensors])
    row, place = np.nonzero(~np.isnan(table))
    # in a row without any reading time passes, and somebody may have been silent for too long
    empty = np.flatnonzero(np.isnan(table).all(axis=1))
    row, place = np.append(row, empty), np.append(place, np.full(len(empty), NOBODY))
    in_order = np.argsort(row, kind="stable")
    row, place = row[in_order], place[in_order]
    values = np.where(place == NOBODY, np.nan, table[row, place])
    no_null = np.zeros(len(values), np.bool_)
    return Readings(sensors, row.astype(np.int32), place.astype(np.int32), at_us[row], values, no_null)


def _numbers(column: pl.Series) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    if not column.dtype.is_numeric() and column.dtype != pl.Null:
        raise FrameRefused(
            f"{column.name} is {column.dtype}, it must be numbers: pl.col({column.name!r}).cast(pl.Float64, "
            "strict=False) makes nulls of what is none; a column that is of no sensor does not belong here"
        )
    numbers = column.rename("").cast(pl.Float64)  # polars takes some names for patterns, also that of a Series
    return numbers.fill_null(float("nan")).to_numpy(), numbers.is_null().to_numpy()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
