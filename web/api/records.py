"""`/sensor-records`: readings on a regular grid, and their mean, minimum and maximum.

PostgreSQL groups the raw readings into cells; only the cells travel.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import asyncpg
import numpy as np
from pydantic import BaseModel, BeforeValidator
from pydantic_core import to_json

from web.auth.guard import Need
from web.declare import Call, Noun
from web.errors import NotFound, NotUsable
from web.frequency import parse_frequency
from web.grid import CELLS_MAX, FilledCells, Window, grid_texts, needs_last_text
from web.numbers import reading_text, shortest
from web.shapes import Analytics, Grid
from web.times import from_us, parse_time, to_us

noun = Noun("sensor-records", "History of one sensor")

READ_SENSOR = "SELECT sensor_no, expected_freq FROM sensors WHERE id = $1"
# $4 step, $5 scale: 1, or a small power of two when a sum would overflow
READ_CELLS = """
WITH first AS MATERIALIZED (
    SELECT date_trunc('second', tracked_at) AS t0
      FROM sensor_records
     WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
     ORDER BY tracked_at
     LIMIT 1
)
SELECT date_bin($4, tracked_at, (SELECT t0 FROM first)) AS start_at,
       (SELECT t0 FROM first) AS t0,
       count(*) AS readings,
       count(value) AS numbers,
       sum(value * $5::float8) AS total,
       min(value) AS lowest,
       max(value) AS highest,
       max(tracked_at) AS last_at,
       min(text_value COLLATE "C") AS a_text
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
 GROUP BY 1
 ORDER BY 1
"""
READ_AT = """
SELECT tracked_at, value, text_value FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY($2::timestamptz[])
"""
SMALL_SCALE = 2.0**-64

Time = Annotated[datetime, BeforeValidator(lambda text: parse_time(str(text)))]


class RecordsQuery(BaseModel):
    """`start_date` and `end_date` without a zone are UTC; `end_date` is now if absent."""

    start_date: Time
    end_date: Time | None = None
    freq: Annotated[str, BeforeValidator(lambda text: parse_frequency(str(text)) and text)] = "15T"
    aggregation: Literal["mean", "min", "max"] = "mean"


@noun.get("/sensor-records/{sensor_id}", Need.VIEW, Grid, statuses=(401, 403, 404, 422))
async def read_records(call: Call, sensor_id: str, query: RecordsQuery) -> bytes:
    """One record a cell; a cell is as long as `freq` or the sensor's own interval, whichever is longer."""
    sensor = await call.services.database.row(READ_SENSOR, sensor_id)
    if sensor is None:
        raise NotFound("Sensor")
    end = query.end_date or from_us(call.services.clock.now_us())
    expected_s = parse_frequency(sensor["expected_freq"])
    step_s = max(parse_frequency(query.freq), expected_s)
    window = Window(to_us(query.start_date), to_us(end), step_s * 1_000_000, expected_s * 1_000_000)
    if window.cells_max > CELLS_MAX:
        raise NotUsable.of(
            "query", "freq", f"makes {window.cells_max} cells of {step_s} s; at most {CELLS_MAX} are given"
        )
    rows = await _cells(call, sensor["sensor_no"], query.start_date, end, timedelta(seconds=step_s))
    if not rows:
        return _encoded(sensor_id, [], [], Analytics(mean=None, min=None, max=None))
    cells = await _filled(call, sensor["sensor_no"], window, rows, query.aggregation)
    starts_us, texts = grid_texts(window, to_us(rows[0]["t0"]), cells)
    return _encoded(sensor_id, _zulu(starts_us), texts, _analytics(rows))


async def _cells(call: Call, sensor_no: int, start: datetime, end: datetime, step: timedelta) -> list[dict[str, Any]]:
    """Rows of READ_CELLS with `mean`."""
    scale = 1.0
    try:
        rows = await call.services.database.rows(READ_CELLS, sensor_no, start, end, step, scale)
    except asyncpg.NumericValueOutOfRangeError:  # the sum of finite readings is not finite
        scale = SMALL_SCALE
        rows = await call.services.database.rows(READ_CELLS, sensor_no, start, end, step, scale)
    return [{**row, "scale": scale} for row in rows]


async def _filled(
    call: Call, sensor_no: int, window: Window, rows: list[dict[str, Any]], aggregation: str
) -> FilledCells:
    starts_us = np.array([to_us(row["start_at"]) for row in rows], dtype=np.int64)
    last_at_us = np.array([to_us(row["last_at"]) for row in rows], dtype=np.int64)
    is_repeated = needs_last_text(window, starts_us, last_at_us)
    wanted = [
        row["last_at"]
        for row, repeated in zip(rows, is_repeated.tolist(), strict=True)
        if row["readings"] > 1 and (repeated or row["numbers"] == 0)
    ]
    last = {
        row["tracked_at"]: reading_text(row["value"], row["text_value"])
        for row in (await call.services.database.rows(READ_AT, sensor_no, wanted) if wanted else [])
    }
    return FilledCells(
        starts_us,
        [_cell_text(row, aggregation, last) for row in rows],
        last_at_us,
        [last[row["last_at"]] if row["last_at"] in last else _only_text(row) for row in rows],
    )


def _cell_text(row: dict[str, Any], aggregation: str, last: dict[datetime, str]) -> str:
    if row["readings"] == 1:
        return _only_text(row)
    if row["numbers"] == 0:
        return last[row["last_at"]]
    if aggregation == "mean":
        return shortest(_mean(row["total"], row["numbers"], row["scale"], row["lowest"], row["highest"]))
    return shortest(row["lowest"] if aggregation == "min" else row["highest"])


def _only_text(row: dict[str, Any]) -> str:
    return reading_text(row["lowest"], row["a_text"])


def _mean(total: float, numbers: int, scale: float, lowest: float, highest: float) -> float:
    """Never outside its readings, whatever the rounding."""
    return min(max(total / numbers / scale, lowest), highest)


def _analytics(rows: list[dict[str, Any]]) -> Analytics:
    numeric = [row for row in rows if row["numbers"]]
    if not numeric:
        return Analytics(mean=None, min=None, max=None)
    lowest = min(row["lowest"] for row in numeric)
    highest = max(row["highest"] for row in numeric)
    numbers = sum(row["numbers"] for row in numeric)
    scale = numeric[0]["scale"]
    try:
        total = math.fsum(row["total"] for row in numeric)
    except OverflowError:
        scale *= SMALL_SCALE
        total = math.fsum(row["total"] * SMALL_SCALE for row in numeric)
    return Analytics(mean=_mean(total, numbers, scale, lowest, highest), min=lowest, max=highest)


def _zulu(starts_us: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
    """Whole seconds with Z."""
    seconds = starts_us.astype("datetime64[us]").astype("datetime64[s]")
    return [f"{text}Z" for text in np.datetime_as_string(seconds).tolist()]


def _encoded(sensor_id: str, times: list[str], texts: list[str | None], analytics: Analytics) -> bytes:
    """The body of `Grid`, written without a model for each of up to 100,000 records."""
    return to_json(
        {
            "records": [
                {"sensor_id": sensor_id, "tracked_at": time, "data": text}
                for time, text in zip(times, texts, strict=True)
            ],
            "analytics": analytics,
        }
    )
