"""What was named on the command line as files to read, one after the other, and what the names of folders say of them.

Read are Parquet and CSV as recordings are (engine/offline), and whatever an export wrote: Arrow, NDJSON, folders by
facility and day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from engine.exports.datasets import FACILITIES, SENSORS, Dataset
from engine.offline import files, recordings
from engine.offline.datasets import keys_of
from engine.offline.refusals import FrameRefused, refusing
from engine.offline.tables import Table

ENTITIES: Final = (FACILITIES, SENSORS)
_ARROW_MAGIC: Final = b"ARROW1"
_NDJSON: Final = ".ndjson"
_READ_AS: Final[Mapping[str, pl.DataType]] = {
    "facility_id": pl.String(),
    "sensor_id": pl.String(),
    "tracked_at": pl.String(),
    "text": pl.String(),
    "value": pl.Float64(),
}
_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file. `keys` are what its folders say; `entities`: it is an export of facilities or sensors."""

    path: Path
    keys: Mapping[str, str] = field(default_factory=dict)
    entities: Dataset | None = None

    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def read(self) -> Table:
        """Raises FrameRefused."""
        with refusing("cannot be read"):
            if self.entities is not None:
                return Table(_entities(self.path), [])
            if self.path.name.lower().endswith(_NDJSON):
                there = _columns(self.path)
                kinds = {name: kind for name, kind in _READ_AS.items() if name in there}
                return Table(pl.read_ndjson(self.path.read_bytes(), schema_overrides=kinds), [])
            with self.path.open("rb") as file:
                if file.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC:
                    file.seek(0)
                    return Table(pl.read_ipc(file), [])
        return files.read(self.path, as_written=True)


@dataclass
class Found:
    """Facilities before sensors before readings. `refused`: what is none of these, and why."""

    sources: list[Source] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def find(paths: Iterable[Path]) -> Found:
    """Files, data sets in parts, and folders of such. Raises FrameRefused for a name that is nothing of the kind."""
    found = Found()
    for path in paths:
        within = recordings.find(path)
        found.refused += within.refused
        for recording in within.recordings:
            for part in recording.parts or (recording.path,):
                keys = keys_of(part.relative_to(recording.path)) if recording.parts else {}
                try:
                    found.sources.append(Source(part, keys, _kind(part)))
                except FrameRefused as error:
                    found.refused.append((part, str(error)))
    found.sources.sort(key=lambda source: ENTITIES.index(source.entities) if source.entities else len(ENTITIES))
    return found


def _kind(path: Path) -> Dataset | None:
    """By its columns: readings have times, facilities and sensors have names. Raises FrameRefused."""
    columns = _columns(path)
    if "tracked_at" in columns:
        return None
    for dataset in ENTITIES:
        if columns == {column.name for column in dataset.columns}:
            return dataset
    return None


def _columns(path: Path) -> set[str]:
    with refusing("cannot be read"), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if head.startswith(b"PAR1"):
            return set(pl.read_parquet_schema(file))
        if head.startswith(_ARROW_MAGIC):
            return set(pl.read_ipc_schema(file))
        first = head.partition(b"\n")[0]
        if path.name.lower().endswith(_NDJSON):
            return set(pl.read_ndjson(first).columns) if first else set()
        return {name.strip().strip('"') for name in first.decode("utf-8-sig", "replace").strip().split(",")}


def _entities(path: Path) -> pl.DataFrame:
    """As an export wrote them, in whatever format; times perhaps as text."""
    with path.open("rb") as file:
        head = file.read(len(_ARROW_MAGIC))
        file.seek(0)
        if head.startswith(b"PAR1"):
            return pl.read_parquet(file)
        if head == _ARROW_MAGIC:
            return pl.read_ipc(file)
        if path.name.lower().endswith(_NDJSON):
            return pl.read_ndjson(file.read(), infer_schema_length=None)
        return pl.read_csv(file, infer_schema=False)
