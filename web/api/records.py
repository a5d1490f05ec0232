"""`/sensor-records`: readings on a regular grid, and their mean, minimum and maximum.

PostgreSQL groups readings or rollups into cells (web/history/grid_readings.py); only the cells travel.
"""

from __future__ import annotations

import asyncio
import math
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import to_json

from engine.clock import US_PER_S
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Analytics, Grid
from web.errors import NotFound, NotUsable
from web.history.grid import CELLS_MAX, FilledCells, Window, grid_texts, needs_last_text, step_for
from web.history.grid_readings import SMALL_SCALE, Asked, Cell, Cells, about_sensor, read_cells
from web.serving.call import Call
from web.wire.csv import Table
from web.wire.frequency import FREQUENCY_PATTERN, parse_frequency
from web.wire.numbers import reading_text, rounded_mean, shortest
from web.wire.times import TIME_IN_PATTERN, first_moment, from_us, last_moment, to_us

noun = Noun("sensor-records", "History of one sensor")

READ_SENSOR = "SELECT sensor_no, expected_freq FROM sensors WHERE id = $1"
READ_AT = """
SELECT tracked_at, value, text_value FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY($2::timestamptz[])
"""
LARGE_VALUE = 1e280  # sums of larger ones may not be finite

TABLE = Table(("sensor_id", "tracked_at", "data"), rows_in="records")
_TIME_IN = WithJsonSchema({"type": "string", "pattern": TIME_IN_PATTERN})
Beginning = Annotated[datetime, BeforeValidator(lambda text: first_moment(str(text))), _TIME_IN]
End = Annotated[datetime, BeforeValidator(lambda text: last_moment(str(text))), _TIME_IN]
_SPELLED = WithJsonSchema({"type": "string", "pattern": FREQUENCY_PATTERN})


class RecordsQuery(BaseModel):
    """`start_date` and `end_date` without a zone are UTC; a bare day is meant whole; `end_date` is now if absent."""

    start_date: Beginning
    end_date: End | None = None
    freq: Annotated[str, BeforeValidator(lambda text: parse_frequency(str(text)) and text), _SPELLED] = "15T"
    aggregation: Literal["mean", "min", "max"] = "mean"
    max_points: int | None = Field(
        None,
        ge=1,
        le=CELLS_MAX,
        description="instead of `freq`: cells as long as it takes to have at most so many, in whole seconds, minutes,"
        " hours or days, and beginning with one (UTC)",
    )


@noun.get("/sensor-records/{sensor_id}", Need.VIEW, Grid, statuses=(401, 403, 404, 422), table=TABLE)
async def read_records(call: Call, sensor_id: str, query: RecordsQuery) -> bytes:
    """One record a cell; a cell is as long as `freq` or the sensor's own interval, whichever is longer."""
    sensor = await call.database.row(READ_SENSOR, sensor_id)
    if sensor is None:
        raise NotFound("Sensor")
    end = query.end_date or from_us(call.services.clock.now_us())
    expected_interval_s = parse_frequency(sensor["expected_freq"])
    start_us, end_us = to_us(query.start_date), to_us(end)
    step_s, unit_s = _step(query, max(0, end_us - start_us), expected_interval_s)
    window = Window(start_us, end_us, step_s * US_PER_S, expected_interval_s * US_PER_S)
    if window.cells_max > CELLS_MAX:
        raise NotUsable.of(
            "query", "freq", f"makes {window.cells_max} cells of {step_s} s; at most {CELLS_MAX} are given"
        )
    asked = Asked(sensor["sensor_no"], call.facility_id or "", window, unit_s * US_PER_S)
    cells = await read_cells(call.database, call.services.database, asked)
    if not cells.rows:
        return _encoded(sensor_id, [], [], Analytics(mean=None, min=None, max=None))
    last_texts = await _last_texts(call, sensor["sensor_no"], window, cells.rows)
    # up to 100,000 cells are made into text: not on the loop that also serves the websockets
    return await asyncio.to_thread(_body, sensor_id, window, cells, last_texts, query.aggregation)


def _step(query: RecordsQuery, range_us: int, expected_interval_s: int) -> tuple[int, int]:
    """Length of a cell, and what the first cell's start is rounded down to, in seconds."""
    if query.max_points is None:
        return max(parse_frequency(query.freq), expected_interval_s), 1
    return step_for(range_us, query.max_points, expected_interval_s)


async def _last_texts(call: Call, sensor_no: int, window: Window, rows: list[Cell]) -> dict[int, str]:
    """The last reading of each cell that shows it: in the empty cells that follow, or because it holds only texts."""
    is_repeated = needs_last_text(window, _starts_us(rows), _last_us(rows))
    wanted = [
        from_us(row.last_at_us)
        for row, repeated in zip(rows, is_repeated.tolist(), strict=True)
        if row.readings > 1 and (repeated or row.numbers == 0)
    ]
    if not wanted:
        return {}
    async with about_sensor(call.database, sensor_no) as connection:
        found = await connection.fetch(READ_AT, sensor_no, wanted)
    return {to_us(row["tracked_at"]): reading_text(row["value"], row["text_value"]) for row in found}


def _body(sensor_id: str, window: Window, cells: Cells, last_texts: dict[int, str], aggregation: str) -> bytes:
    filled = FilledCells(
        _starts_us(cells.rows),
        [_cell_text(row, cells.scale, aggregation, last_texts) for row in cells.rows],
        _last_us(cells.rows),
        [_last_text(row, last_texts) for row in cells.rows],
    )
    starts_us, texts = grid_texts(window, cells.t0_us, filled)
    return _encoded(sensor_id, _zulu(starts_us), texts, _analytics(cells))


def _starts_us(rows: list[Cell]) -> NDArray[np.int64]:
    return np.array([row.start_us for row in rows], dtype=np.int64)


def _last_us(rows: list[Cell]) -> NDArray[np.int64]:
    return np.array([row.last_at_us for row in rows], dtype=np.int64)


def _cell_text(row: Cell, scale: float, aggregation: str, last_texts: dict[int, str]) -> str:
    if row.readings == 1 or row.numbers == 0:
        return _last_text(row, last_texts)
    if aggregation == "mean":
        return shortest(_mean(row.total, row.numbers, scale, row.lowest, row.highest))
    return shortest(row.lowest if aggregation == "min" else row.highest)


def _last_text(row: Cell, last_texts: dict[int, str]) -> str:
    """Of a cell with one reading its own; else what was looked up, and nothing where it is never shown."""
    if row.readings == 1:
        return reading_text(row.lowest, row.a_text)
    return last_texts.get(row.last_at_us, "")


def _mean(total: float, numbers: int, scale: float, lowest: float, highest: float) -> float:
    """Never outside its readings but for the twelve digits that it is rounded to."""
    return rounded_mean(min(max(total / numbers / scale, lowest), highest))


def _analytics(cells: Cells) -> Analytics:
    numeric = [row for row in cells.rows if row.numbers]
    if not numeric:
        return Analytics(mean=None, min=None, max=None)
    lowest, highest = min(row.lowest for row in numeric), max(row.highest for row in numeric)
    numbers = sum(row.numbers for row in numeric)
    scale = SMALL_SCALE if max(abs(lowest), abs(highest)) > LARGE_VALUE else 1.0
    total = math.fsum(row.total * scale for row in numeric)
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
