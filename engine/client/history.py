"""How history is asked for: the range, and what is wanted of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from engine.client.shapes import Aggregation

SENSORS_AT_ONCE = 20
COUNTS = "n,good_fraction"


class Wanted(TypedDict, total=False):
    """Without any of it: means over cells of 15 minutes.

    freq         length of a cell: a whole number of S, T, H or D (`15S`, `1H`); never finer than the sensor sends
    aggregation  what a cell shows of its readings
    max_points   instead of `freq`: cells as long as it takes to have at most so many
    downsample   with `max_points` (4 to 10,000): readings at their own times instead of cells, that draw the same line;
                 with `minmax` no peak is lost, `lttb` keeps the shape with fewer
    counts       say of each cell how many readings with a number it has, and which part of its readings is good
    """

    freq: str
    aggregation: Aggregation
    max_points: int
    downsample: Literal["minmax", "lttb"]
    counts: bool


def history_query(start: datetime, end: datetime | None, wanted: Wanted) -> dict[str, Any]:
    """Parameters of `/sensor-records`."""
    query: dict[str, Any] = {name: value for name, value in wanted.items() if name != "counts"}
    return range_query(start, end) | query | ({"with": COUNTS} if wanted.get("counts") else {})


def range_query(start: datetime, end: datetime | None) -> dict[str, Any]:
    """From `start` to `end`, or to now."""
    return {"start_date": spelled(start)} | ({} if end is None else {"end_date": spelled(end)})


def spelled(moment: datetime) -> str:
    """As the server reads it; ValueError for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone: write datetime(…, tzinfo=UTC), or .astimezone() for local time")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
