"""One file in, as a frame and what is to be told of it; the scored one out, whole or not at all.

What a file is, its first bytes say: a name may say anything. Files are opened here and handed over open, for polars
takes a name for a pattern, and some names it cannot take at all.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, Final

import polars as pl

from engine.all_or_nothing import draft_of, folders_of
from engine.offline.delimited import read_text
from engine.offline.refusals import FrameRefused, refusing
from engine.offline.tables import Table

PARQUET: Final = (".parquet", ".pq", ".parq")
TEXT: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SUFFIXES: Final = PARQUET + TEXT
"""In any case of letters: what is looked for in a folder."""
SCORED: Final = ".scores.parquet"

_PARQUET_MAGIC: Final = b"PAR1"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_OTHER_KINDS: Final = {
    b"PK\x03\x04": "a zip file or a workbook of Excel: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel: save the sheet as CSV",
    b"ARROW1\0\0": "an Arrow file: write it as Parquet",
    b"\x89HDF": "an HDF5 file: write it as Parquet",
    b"BZh91AY": "compressed with bzip2: unpack it",
    b"\xfd7zXZ": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"SQLite format 3": "a database of SQLite: write a table of it as Parquet",
}
_ZONES_ANY: Final = "POLARS_IGNORE_TIMEZONE_PARSE_ERROR"


def has_suffix(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    return name.lower().endswith(suffixes)


def read(path: Path, *, as_written: bool = False) -> Table:
    """Raises FrameRefused. `as_written`: see read_text."""
    with refusing("cannot be read"), path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        _refuse_other_kinds(head, path)
        if head.startswith(_PARQUET_MAGIC):
            return Table(_read_parquet(file), [])
        if head.startswith(_GZIP_MAGIC):
            return read_text(_unpacked(file), as_written=as_written)
        return read_text(file.read(), as_written=as_written)


def write(scored: pl.DataFrame, target: Path) -> None:
    """The file, with the folders it lies in; when it fails, or is interrupted, neither."""
    with refusing(f"cannot write {target}"), folders_of(target), draft_of(target) as draft, draft.open("wb") as file:
        scored.write_parquet(file)


def _refuse_other_kinds(head: bytes, path: Path) -> None:
    if not head:
        raise FrameRefused("it is empty: an interrupted copy?")
    kind = next((kind for magic, kind in _OTHER_KINDS.items() if head.startswith(magic)), None)
    if kind:
        raise FrameRefused(f"it is {kind}")
    if head.startswith(b"PARE") and has_suffix(path.name, PARQUET):
        raise FrameRefused("it is an encrypted Parquet file: decrypt it")
    if has_suffix(path.name, PARQUET) and not head.startswith(_PARQUET_MAGIC):
        raise FrameRefused("it is no Parquet file, it does not begin with PAR1; a text file is named .csv")


def _unpacked(file: IO[bytes]) -> bytes:
    try:
        return gzip.decompress(file.read())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FrameRefused(f"it cannot be unpacked: {error}") from error


def _read_parquet(file: IO[bytes]) -> pl.DataFrame:
    """Times in zones of names that polars does not know (+05:30, Z, GMT+1) come in UTC: the moments are the same."""
    before = os.environ.get(_ZONES_ANY)
    os.environ[_ZONES_ANY] = "1"
    try:
        frame = pl.read_parquet(file)
    finally:
        os.environ.pop(_ZONES_ANY)
        if before is not None:
            os.environ[_ZONES_ANY] = before
    return frame.with_columns(_in_utc(column) for column in frame if _zone_is_unknown(column.dtype))


def _zone_is_unknown(kind: pl.DataType) -> bool:
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        return False
    try:
        pl.Series([0]).cast(kind)
    except pl.exceptions.PolarsError:
        return True
    return False


def _in_utc(column: pl.Series) -> pl.Series:
    assert isinstance(column.dtype, pl.Datetime)
    return column.to_physical().cast(pl.Datetime(column.dtype.time_unit, "UTC"))
