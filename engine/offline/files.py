"""Recordings in parquet files: which there are, and the scored ones, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from engine.offline.shapes import FrameRefused

SUFFIX = ".parquet"
SCORED = ".scores.parquet"


def recordings(source: Path) -> list[Path]:
    """The file itself, or every recording in a folder and below, in the order of their names."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FrameRefused(f"there is no file or folder {source}")
    found = sorted(path for path in source.rglob(f"*{SUFFIX}") if not path.name.endswith(SCORED))
    if not found:
        raise FrameRefused(f"there is no file *{SUFFIX} in {source}")
    return found


def target_of(recording: Path, source: Path, out: Path | None) -> Path:
    """Beside the recording; or the file `out`; or, for a folder, in the folder `out` under the recording's own name."""
    if out is None:
        return recording.with_name(recording.name.removesuffix(SUFFIX) + SCORED)
    target = out if source.is_file() else out / recording.relative_to(source)
    if target.resolve() == recording.resolve():
        raise FrameRefused(f"{target} is the recording itself: scores go elsewhere")
    return target


def rows_of(recording: Path) -> int:
    """As the file's footer says, without reading the rows."""
    try:
        return int(pl.scan_parquet(recording).select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FrameRefused(f"cannot be read as a parquet file: {_first_line(error)}") from error


def read(recording: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(recording)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FrameRefused(f"cannot be read as a parquet file: {_first_line(error)}") from error


def write(scored: pl.DataFrame, target: Path) -> None:
    draft = target.with_name(f".{target.name}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scored.write_parquet(draft)
        draft.replace(target)
    except OSError as error:
        raise FrameRefused(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
