"""The recordings in a folder, files and data sets alike, and where the scores of each go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.offline import files
from engine.offline.datasets import parts_of, read_parts
from engine.offline.files import SCORED, SUFFIXES
from engine.offline.refusals import FrameRefused
from engine.offline.tables import Table


@dataclass(frozen=True)
class Recording:
    """A file, or a folder that is one data set."""

    path: Path
    parts: tuple[Path, ...] | None = None

    def read(self, *, as_received: bool) -> Table:
        """Raises FrameRefused."""
        if self.parts is None:
            return files.read(self.path)
        return read_parts(self.path, self.parts, as_received=as_received)

    def size_bytes(self) -> int:
        """For a bar; what is not there counts nothing."""
        return sum(part.stat().st_size for part in self.parts or (self.path,) if part.exists())


@dataclass
class Found:
    """`refused`: folders of which it is known already that they cannot be scored, and why."""

    recordings: list[Recording] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def find(source: Path, out: Path | None = None) -> Found:
    """The file, the data set, or every recording in a folder and below in the order of their names.

    Left out: hidden files and folders, what was scored before, and `out` where it lies in the folder. Raises
    FrameRefused when there is nothing.
    """
    source = Path(os.path.abspath(source))  # noqa: PTH100 - the scores of `.` go beside a folder that has a name
    if source.is_file():
        return Found([Recording(source)])
    if not source.is_dir():
        raise FrameRefused(f"there is no file or folder {source}")
    found = Found()
    _look_into(source, Path(os.path.abspath(out)) if out else None, found)  # noqa: PTH100
    if not found.recordings and not found.refused:
        raise FrameRefused(f"there is no recording in {source}: none of {', '.join('*' + each for each in SUFFIXES)}")
    return found


def target_of(recording: Recording, source: Path, out: Path | None) -> Path:
    """Beside the recording; or the file `out`; or, for a folder of recordings, in the folder `out` under its own name.

    A name keeps what it has, but for `.parquet`: pump.parquet, pump.pq and pump.csv have scores of their own.
    """
    source = Path(os.path.abspath(source))  # noqa: PTH100
    stem = recording.path.name.removesuffix(".parquet")
    if out is None:
        return recording.path.with_name(stem + SCORED)
    is_alone = recording.path == source
    target = out if is_alone else out / recording.path.relative_to(source).with_name(f"{stem}.parquet")
    itself = recording.path.resolve()
    if target.resolve() == itself or (recording.parts is not None and itself in target.resolve().parents):
        raise FrameRefused(f"{target} is the recording itself, or in it: scores go elsewhere")
    return target


def _look_into(folder: Path, out: Path | None, found: Found) -> None:
    try:
        parts = parts_of(folder)
        entries = sorted(folder.iterdir())
    except (OSError, FrameRefused) as error:
        found.refused.append((folder, error.strerror or str(error) if isinstance(error, OSError) else str(error)))
        return
    if parts is not None:
        found.recordings.append(Recording(folder, tuple(parts)))
        return
    for path in _visible(entries):
        if path.is_dir():
            if path != out and not path.is_symlink():
                _look_into(path, out, found)
        elif files.has_suffix(path.name) and not path.name.lower().endswith(SCORED):
            found.recordings.append(Recording(path))


def _visible(entries: list[Path]) -> Iterator[Path]:
    return (path for path in entries if not path.name.startswith("."))
