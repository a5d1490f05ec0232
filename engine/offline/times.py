"""Times in text files. The one place that reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from engine.offline.refusals import FrameRefused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def times_of(texts: pl.Series, lines: pl.Series) -> pl.Series:
    """A column of ISO 8601 times as Datetime in UTC; empty cells are null. Raises FrameRefused that names a line."""
    at_us: list[int | None] = []
    for row, text in enumerate(texts):
        try:
            at_us.append(None if text is None else _time_us(text))
        except ValueError:
            raise FrameRefused(
                f"tracked_at is {text!r} in line {lines[row]}, it must be a time such as 2026-11-23T10:15:00Z"
                " (without a zone it is UTC)"
            ) from None
    return pl.Series(at_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def _time_us(text: str) -> int:
    """Microseconds since 1970; what is finer is cut off. Raises ValueError."""
    if text[4:5] != "-" or text[10:11] not in {"", "T", "t", " "}:
        raise ValueError(text)  # numbers, most of all, which would be read as times of other forms
    at = datetime.fromisoformat(text)
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH) // MICROSECOND
