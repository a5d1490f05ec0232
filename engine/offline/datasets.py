"""A folder that is one recording in parts, as Spark, Dask, pandas, PyArrow and DuckDB write it.

Known by any of these: a mark of who wrote it (_SUCCESS, _metadata, _common_metadata); a name like a file's
(readings.parquet/); folders in it named key=value; files all named part-… or part.… and a number. Its parts are all
files in it and below whose names begin with neither . nor _. A table whose log says which of its files count (Delta,
Iceberg, Hudi) is refused: without the log, old rows and new would be taken together.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import polars as pl

from engine.offline import files
from engine.offline.files import SCORED, has_suffix
from engine.offline.refusals import FrameRefused
from engine.offline.tables import Table

HIDDEN: Final = (".", "_")
MARKS: Final = ("_SUCCESS", "_metadata", "_common_metadata")
PART: Final = re.compile(r"part[-.]\d+.*")
KEY: Final = re.compile(r"([^=]+)=(.*)")
LOGS: Final = {"_delta_log": "Delta", ".hoodie": "Hudi"}
TIME_KEY: Final = re.compile(r".*(year|month|week|day|date|hour|minute|time|quarter).*|yy|yyyy|[ymdh]|mm|dd|hh|dt|ds")
"""Keys that divide a recording by time, though what arrived late may lie in the folder of another day."""
NUMBERS: Final = re.compile(r"(\d+)")


def parts_of(folder: Path) -> list[Path] | None:
    """The files of a data set in the order of their names, 2 before 10; None: it is none. Raises FrameRefused."""
    entries = list(folder.iterdir())
    names = [entry.name for entry in entries]
    _refuse_table(folder, names)
    recordings = [path for path in entries if _may_be_part(path.name) and path.is_file()]
    is_data_set = (
        any(mark in names for mark in MARKS)
        or has_suffix(folder.name)
        or any(KEY.fullmatch(path.name) and path.is_dir() for path in entries if not path.name.startswith(HIDDEN))
        or (bool(recordings) and all(PART.fullmatch(path.name) for path in recordings))
    )
    return sorted(_files_below(folder), key=_in_order) if is_data_set else None


def read_parts(folder: Path, parts: Iterable[Path], *, as_received: bool) -> Table:
    """All rows by their times, or part by part when they stand in order of arrival. Raises FrameRefused.

    Of the keys in the names of folders, `sensor_id` is a column; the others are not, and must not be what tells two
    recordings apart.
    """
    frames, keys = [], []
    remarks: list[str] = []
    for part in parts:
        within = keys_of(part.relative_to(folder))
        try:
            frame, told, *_ = files.read(part)
        except FrameRefused as error:
            raise FrameRefused(f"its part {part.relative_to(folder)}: {error}") from error
        sensor = within.pop("sensor_id", None)
        if sensor is not None and "sensor_id" not in frame.columns:
            frame = frame.with_columns(sensor_id=pl.lit(sensor))
        frames.append(_in_one_unit(frame))
        keys.append("/".join(f"{key}={value}" for key, value in within.items() if not TIME_KEY.fullmatch(key.lower())))
        remarks += [remark for remark in told if remark not in remarks]
    if not frames:
        raise FrameRefused("it is a data set without parts")
    _refuse_recordings_apart(frames, keys)
    try:
        whole = pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise FrameRefused(f"its parts do not fit together: {str(error).partition(chr(10))[0]}") from error
    if not as_received and "tracked_at" in whole.columns:
        whole = whole.sort("tracked_at", maintain_order=True)
    return Table(whole, [f"one data set of {len(frames)} parts", *remarks])


def keys_of(part: Path) -> dict[str, str]:
    """What the names of the folders say that a part lies in."""
    found = (KEY.fullmatch(folder) for folder in part.parts[:-1])
    return {match[1]: unquote(match[2]) for match in found if match}


def _refuse_table(folder: Path, names: list[str]) -> None:
    kind = next((kind for name, kind in LOGS.items() if name in names), None)
    if kind is None and "metadata" in names and any((folder / "metadata").glob("*.metadata.json")):
        kind = "Iceberg"
    if kind:
        raise FrameRefused(f"it is a {kind} table, whose log says which of its files count: write it as Parquet first")


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        yield from (Path(parent, name) for name in names if _may_be_part(name))


def _may_be_part(name: str) -> bool:
    return not name.startswith(HIDDEN) and has_suffix(name) and not name.lower().endswith(SCORED)


def _in_order(path: Path) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (0, piece) for piece in NUMBERS.split(str(path))]


def _in_one_unit(frame: pl.DataFrame) -> pl.DataFrame:
    """Parts that were written at different times may have their times in different units and zones."""
    if "tracked_at" not in frame.columns or not isinstance(kind := frame["tracked_at"].dtype, pl.Datetime):
        return frame
    at = frame["tracked_at"] if kind.time_zone else frame["tracked_at"].dt.replace_time_zone("UTC")
    return frame.with_columns(at.dt.convert_time_zone("UTC").dt.cast_time_unit("us"))


def _refuse_recordings_apart(frames: list[pl.DataFrame], keys: list[str]) -> None:
    """Of two values of a key whose times overlap each is a recording by itself: mixed they would be nonsense."""
    spans: dict[str, tuple[Any, Any]] = {}
    for frame, key in zip(frames, keys, strict=True):
        if "tracked_at" not in frame.columns or frame["tracked_at"].null_count() == frame.height:
            continue
        times: list[Any] = [frame["tracked_at"].min(), frame["tracked_at"].max(), *spans.get(key, ())]
        spans[key] = (min(times), max(times))
    in_order = sorted(spans.items(), key=lambda span: span[1])
    for (key, (_, last)), (other, (first, _)) in itertools.pairwise(in_order):
        if first < last:
            raise FrameRefused(
                f"the times of {key or 'files outside of any key'} and {other} overlap, so they are recordings of their"
                " own: score each folder by itself, or, where the key names the sensor, call it sensor_id"
            )
