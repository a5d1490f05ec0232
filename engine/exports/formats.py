"""Frames as a file that grows while they come: polars writes, in its own threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, TypeAlias

import polars as pl
from polars.io.plugins import register_io_source

from engine.exports.datasets import UTC_TIME

ROW_GROUP_ROWS: Final = 50_000
Frames: TypeAlias = Iterator[pl.DataFrame]
_IO_TROUBLE: Final = "underlying IO error"  # as the writer of Parquet says it; the others raise OSError themselves
_TIME_AS_TEXT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. `write` blocks; what it writes to gets bytes in order and is never asked to go back."""

    name: str
    suffix: str
    mime_type: str
    sink: Callable[[pl.LazyFrame, Any], object]

    def write(self, frames: Frames, schema: pl.Schema, file: IO[bytes]) -> None:
        """The same frames make the same bytes. Raises what `frames` or `file` raise."""
        problem: list[BaseException] = []

        def source(
            with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            del with_columns, predicate, n_rows, batch_size  # a sink asks for all
            try:
                yield from frames
            except BaseException as error:
                problem.append(error)  # polars makes an error of its own of it
                raise

        try:
            self.sink(register_io_source(source, schema=schema), file)
        except Exception as error:
            if problem:
                raise problem[0] from None
            if isinstance(error, pl.exceptions.ComputeError) and _IO_TROUBLE in str(error):
                raise OSError(str(error).partition(_IO_TROUBLE)[2].strip(" :")) from error
            raise


def _times_as_text(frame: pl.LazyFrame) -> pl.LazyFrame:
    times = [name for name, kind in frame.collect_schema().items() if kind == UTC_TIME]
    return frame.with_columns(pl.col(times).dt.strftime(_TIME_AS_TEXT)) if times else frame


def _parquet(frame: pl.LazyFrame, file: Any) -> None:
    frame.sink_parquet(file, compression="zstd", statistics=True, row_group_size=ROW_GROUP_ROWS)


def _arrow(frame: pl.LazyFrame, file: Any) -> None:
    frame.sink_ipc(file, compression="zstd", record_batch_size=ROW_GROUP_ROWS)


def _csv(frame: pl.LazyFrame, file: Any) -> None:
    _times_as_text(frame).sink_csv(file)


def _ndjson(frame: pl.LazyFrame, file: Any) -> None:
    _times_as_text(frame).sink_ndjson(file)


FORMATS: Final[Mapping[str, Format]] = {
    kind.name: kind
    for kind in (
        Format("parquet", ".parquet", "application/vnd.apache.parquet", _parquet),
        Format("arrow", ".arrow", "application/vnd.apache.arrow.file", _arrow),
        Format("csv", ".csv", "text/csv", _csv),
        Format("ndjson", ".ndjson", "application/x-ndjson", _ndjson),
    )
}
