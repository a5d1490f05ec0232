"""Times in text files."""

from __future__ import annotations

import polars as pl

import native
from engine.offline.refusals import FrameRefused


def times_of(texts: pl.Series, lines: pl.Series) -> pl.Series:
    """A column of ISO 8601 times as Datetime in UTC; empty cells are null. Raises FrameRefused that names a line."""
    at_us: list[int | None] = []
    for row, text in enumerate(texts):
        try:
            at_us.append(None if text is None else native.parse_time(text))
        except native.TimeRefused as error:
            raise FrameRefused(
                f"tracked_at is {text[:64]!r} in line {lines[row]}: {error} (without a zone it is UTC)"
            ) from error
    return pl.Series(at_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
