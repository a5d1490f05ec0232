"""`/sensor-records`: readings on a regular grid, and their mean, minimum and maximum.

PostgreSQL groups the raw readings into cells; only the cells travel.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import asyncpg
import numpy as np
from numpy.typing import NDArray
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
"""
READ_AT = """
SELECT tracked_at, value, text_value FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY($2::timestamptz[])
"""
SMALL_SCALE = 2.0**-64
LARGE_VALUE = 1e280  # sums of larger ones may not be finite

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
    cells = await _cells(call, sensor["sensor_no"], query.start_date, end, timedelta(seconds=step_s))
    if not cells.rows:
        return _encoded(sensor_id, [], [], Analytics(mean=None, min=None, max=None))
    last_texts = await _last_texts(call, sensor["sensor_no"], window, cells.rows)
    # up to 100,000 cells are made into text: not on the loop that also serves the websockets
    return await asyncio.to_thread(_body, sensor_id, window, cells, last_texts, query.aggregation)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows of READ_CELLS in order of time; their `total` is the sum of the readings times `scale`."""

    rows: list[Any]
    scale: float


async def _cells(call: Call, sensor_no: int, start: datetime, end: datetime, step: timedelta) -> _Cells:
    scale = 1.0
    try:
        rows = await call.services.database.rows(READ_CELLS, sensor_no, start, end, step, scale)
    except asyncpg.NumericValueOutOfRangeError:  # the sum of finite readings is not finite
        scale = SMALL_SCALE
        rows = await call.services.database.rows(READ_CELLS, sensor_no, start, end, step, scale)
    rows.sort(key=lambda row: row["start_at"])  # PostgreSQL would sort every reading for it
    return _Cells(rows, scale)


async def _last_texts(call: Call, sensor_no: int, window: Window, rows: list[Any]) -> dict[datetime, str]:
    """The last reading of each cell that shows it: in the empty cells that follow, or because it holds only texts."""
    is_repeated = needs_last_text(window, _times_us(rows, "start_at"), _times_us(rows, "last_at"))
    wanted = [
        row["last_at"]
        for row, repeated in zip(rows, is_repeated.tolist(), strict=True)
        if row["readings"] > 1 and (repeated or row["numbers"] == 0)
    ]
    found = await call.services.database.rows(READ_AT, sensor_no, wanted) if wanted else []
    return {row["tracked_at"]: reading_text(row["value"], row["text_value"]) for row in found}


def _body(sensor_id: str, window: Window, cells: _Cells, last_texts: dict[datetime, str], aggregation: str) -> bytes:
    filled = FilledCells(
        _times_us(cells.rows, "start_at"),
        [_cell_text(row, cells.scale, aggregation, last_texts) for row in cells.rows],
        _times_us(cells.rows, "last_at"),
        [_last_text(row, last_texts) for row in cells.rows],
    )
    starts_us, texts = grid_texts(window, to_us(cells.rows[0]["t0"]), filled)
    return _encoded(sensor_id, _zulu(starts_us), texts, _analytics(cells))


def _times_us(rows: list[Any], column: str) -> NDArray[np.int64]:
    return np.array([to_us(row[column]) for row in rows], dtype=np.int64)


def _cell_text(row: Any, scale: float, aggregation: str, last_texts: dict[datetime, str]) -> str:
    if row["readings"] == 1 or row["numbers"] == 0:
        return _last_text(row, last_texts)
    if aggregation == "mean":
        return shortest(_mean(row["total"], row["numbers"], scale, row["lowest"], row["highest"]))
    return shortest(row["lowest"] if aggregation == "min" else row["highest"])


def _last_text(row: Any, last_texts: dict[datetime, str]) -> str:
    """Of a cell with one reading its own; else what was looked up, and nothing where it is never shown."""
    if row["readings"] == 1:
        return reading_text(row["lowest"], row["a_text"])
    return last_texts.get(row["last_at"], "")


def _mean(total: float, numbers: int, scale: float, lowest: float, highest: float) -> float:
    """Never outside its readings, whatever the rounding."""
    mean: float = min(max(total / numbers / scale, lowest), highest)
    return mean


def _analytics(cells: _Cells) -> Analytics:
    numeric = [row for row in cells.rows if row["numbers"]]
    if not numeric:
        return Analytics(mean=None, min=None, max=None)
    lowest, highest = min(row["lowest"] for row in numeric), max(row["highest"] for row in numeric)
    numbers = sum(row["numbers"] for row in numeric)
    scale = SMALL_SCALE if max(abs(lowest), abs(highest)) > LARGE_VALUE else 1.0
    total = math.fsum(row["total"] * scale for row in numeric)
    mean = _mean(total, numbers, cells.scale * scale, lowest, highest)
    return Analytics(mean=mean, min=lowest, max=highest)


def _zulu(starts_us: NDArray[np.int64]) -> list[str]:
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
