"""Records as a polars frame; the one file that needs polars, and only when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from engine.client.shapes import Record

if TYPE_CHECKING:
    import polars

    Frame: TypeAlias = polars.DataFrame


def frame_of(records: Sequence[Record]) -> Frame:
    """Columns tracked_at (UTC, to the microsecond), value (float, null for text and for nothing), data (text)."""
    import polars  # noqa: PLC0415 - optional: programs that want no frames need not have it

    columns = {
        "tracked_at": [record.tracked_at for record in records],
        "value": [record.value for record in records],
        "data": [record.data for record in records],
    }
    return polars.DataFrame(
        columns, schema={"tracked_at": polars.Datetime("us", "UTC"), "value": polars.Float64, "data": polars.String}
    )
