"""A table as rows that say whose, when and what, whichever form it has: one series, long, or wide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from engine.imports.moments import Zone, moments_of
from engine.offline.refusals import FrameRefused
from engine.offline.shapes import ID_KINDS, may_be_sensor
from engine.offline.tables import Table

ROWS: Final = pl.Schema(
    {
        "place": pl.Int64,
        "facility_id": pl.String,
        "sensor_id": pl.String,
        "shown": pl.String,
        "at_us": pl.Int64,
        "reason": pl.String,
        "detail": pl.String,
        "value": pl.Float64,
        "text": pl.String,
        "score": pl.Float32,
        "flags": pl.Int64,
    }
)
"""place    where the row stands: the line of a text file, else the row, the first is 1
shown    the time as it is written
reason   why there is no moment; null where there is one
detail   what the reader of times said of it
"""
LOOKED_AT: Final = ("tracked_at", "facility_id", "sensor_id", "value", "text", "score", "flags")
COLUMNS_TOLD_MAX: Final = 8
KEYS: Final = ("facility_id", "sensor_id")


@dataclass(frozen=True, slots=True)
class Mapped:
    """What people say of files that do not say it themselves."""

    facility_id: str | None = None
    sensor_id: str | None = None
    zone: Zone | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """`unit`: what `place` counts. `remarks` are to be told."""

    frame: pl.DataFrame
    unit: str
    remarks: list[str]


def rows_of(table: Table, keys: Mapping[str, str], mapped: Mapped) -> Rows:
    """`keys`: what the names of folders say. Raises FrameRefused."""
    frame = table.frame
    if "tracked_at" not in frame.columns:
        raise FrameRefused("there is no column tracked_at: the column of times must have this name")
    for key in KEYS:
        if key in keys and key not in frame.columns:
            frame = frame.with_columns(pl.lit(keys[key]).alias(key))
    frame = _with_given(frame, mapped)
    is_long = "value" in frame.columns
    # in a wide table all cells of a row share its time, and the rows have one order
    whose = _ids(frame, "sensor_id") if is_long else pl.Series([""]).new_from_index(0, frame.height)
    moments = moments_of(frame["tracked_at"], whose, mapped.zone)
    places = pl.int_range(1, frame.height + 1, eager=True) if table.lines is None else table.lines
    times = pl.DataFrame(
        {
            "place": places.cast(pl.Int64),
            "shown": frame["tracked_at"].cast(pl.String),
            "at_us": moments.at_us,
            "reason": moments.reason,
            "detail": moments.detail,
        }
    )
    rows = _long(frame, times, table.words) if is_long else _wide(frame, times, table.words)
    remarks = [*table.remarks, *_told_of_words(frame, table.words), *_told_of_columns(frame)]
    told = places.filter(pl.Series(moments.told_by_order))
    if len(told):
        remarks.append(
            f"the hour that clocks showed twice is told apart by the order of its rows, {len(told)} of them from"
            f" {unit_of(table)} {told[0]} to {told[-1]}"
        )
    return Rows(rows.select(ROWS.names()).cast(ROWS), unit_of(table), remarks)


def unit_of(table: Table) -> str:
    return "row" if table.lines is None else "line"


def _told_of_words(frame: pl.DataFrame, words: Mapping[str, pl.Series]) -> list[str]:
    fed = [column for name, column in words.items() if name == "value" or "value" not in frame.columns]
    count = sum(len(column) - column.null_count() for column in fed)
    return [f"words in place of numbers are kept as texts: {count:,}"] if count else []


def _told_of_columns(frame: pl.DataFrame) -> list[str]:
    """Those of a long table that say something else; of a wide one all are sensors."""
    if "value" not in frame.columns:
        return []
    names = [name for name in frame.columns if name not in LOOKED_AT and may_be_sensor(name)]
    more = ", …" if len(names) > COLUMNS_TOLD_MAX else ""
    return [f"columns that are not imported: {', '.join(names[:COLUMNS_TOLD_MAX])}{more}"] if names else []


def _with_given(frame: pl.DataFrame, mapped: Mapped) -> pl.DataFrame:
    for key, given in zip(KEYS, (mapped.facility_id, mapped.sensor_id), strict=True):
        if given is None:
            continue
        if key in frame.columns:
            raise FrameRefused(f"it has a column {key} of its own, so --{key.removesuffix('_id')} has nothing to say")
        frame = frame.with_columns(pl.lit(given).alias(key))
    if "value" not in frame.columns and "sensor_id" in frame.columns:
        raise FrameRefused("there is no column value: with a column for each sensor, nothing else names sensors")
    if "value" in frame.columns and "sensor_id" not in frame.columns:
        raise FrameRefused("it is one series and nothing says whose: give --sensor ID, or a column sensor_id")
    return frame


def _long(frame: pl.DataFrame, times: pl.DataFrame, words: Mapping[str, pl.Series]) -> pl.DataFrame:
    said = words.get("value", _nothing(frame, pl.String()))
    text = _texts(frame["text"]) if "text" in frame.columns else said
    return times.with_columns(
        facility_id=_ids(frame, "facility_id"),
        sensor_id=_ids(frame, "sensor_id"),
        value=_numbers(frame["value"]),
        text=text.zip_with(text.is_not_null(), said),
        score=_given(frame, "score", pl.Float32()),
        flags=_given(frame, "flags", pl.Int64()),
    )


def _wide(frame: pl.DataFrame, times: pl.DataFrame, words: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Sensor by sensor; an empty cell is no reading, a word is one. Raises FrameRefused when there is no sensor."""
    names = [name for name in frame.columns if may_be_sensor(name) and name != "facility_id"]
    if not names:
        raise FrameRefused("there is neither a column value nor one for each sensor beside tracked_at")
    nothing = _nothing(frame, pl.String())
    common = times.with_columns(
        facility_id=_ids(frame, "facility_id"), score=_nothing(frame, pl.Float32()), flags=_nothing(frame, pl.Int64())
    )
    parts = []
    for name in names:
        value, text = _numbers(frame[name]).fill_nan(None), words.get(name, nothing)
        part = common.with_columns(sensor_id=pl.lit(name), value=value, text=text)
        parts.append(part.filter(value.is_not_null() | text.is_not_null()))
    return pl.concat(parts)


def _nothing(frame: pl.DataFrame, kind: pl.DataType) -> pl.Series:
    return pl.Series([None], dtype=kind).new_from_index(0, frame.height)


def _ids(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        return _nothing(frame, pl.String())
    column = frame[name]
    if not (column.dtype.is_integer() or column.dtype in ID_KINDS):
        raise FrameRefused(f"{name} is {column.dtype}, it must be text, a whole number or a category")
    return column.cast(pl.String)


def _numbers(column: pl.Series) -> pl.Series:
    if not column.dtype.is_numeric() and column.dtype != pl.Null:
        raise FrameRefused(f"{column.name} is {column.dtype}, it must be numbers; texts stand in a column text")
    return column.rename("").cast(pl.Float64)


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype not in {pl.String, pl.Null} and column.dtype not in ID_KINDS:
        raise FrameRefused(f"text is {column.dtype}, it must be text")
    return column.cast(pl.String)


def _given(frame: pl.DataFrame, name: str, kind: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return _nothing(frame, kind)
    column = frame[name]
    if not column.dtype.is_numeric() and column.dtype != pl.Null:
        raise FrameRefused(f"{name} is {column.dtype}, it must be numbers as an export has them")
    return column.cast(kind)
