"""`/sensor-records`: readings on a regular grid, and their mean, minimum and maximum.

PostgreSQL groups readings or rollups into cells (web/history/grid_readings.py); only the cells travel.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator
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
from web.history.analytics import Summary, bounded_mean
from web.history.grid import CELLS_MAX, NO_CELLS, FilledCells, Window, grid_texts, needs_last_text, step_for
from web.history.grid_readings import Asked, Cell, about_sensor
from web.history.slices import read_slices
from web.serving.call import Call
from web.serving.rows import PIECE_ROWS, Rows
from web.wire.csv import Table
from web.wire.frequency import FREQUENCY_PATTERN, parse_frequency
from web.wire.numbers import reading_text, shortest
from web.wire.times import TIME_IN_PATTERN, first_moment, from_us, last_moment, to_us

noun = Noun("sensor-records", "History of one sensor")

READ_SENSOR = "SELECT sensor_no, expected_freq FROM sensors WHERE id = $1"
READ_AT = """
SELECT tracked_at, value, text_value FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY($2::timestamptz[])
"""
READINGS_A_ROW = 20  # that PostgreSQL groups in the time in which a row is given

TABLE = Table(("sensor_id", "tracked_at", "data"))
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
async def read_records(call: Call, sensor_id: str, query: RecordsQuery) -> Rows:
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
    summary = Summary()
    return Rows(
        weight=max(window.cells_max, 0 if asked.is_long else asked.readings // READINGS_A_ROW),
        pieces=_pieces(call, sensor_id, asked, query.aggregation, summary),
        head=b'{"records":[',
        tail=lambda: b'],"analytics":%b}' % to_json(_analytics(summary)),
    )


async def _pieces(call: Call, sensor_id: str, asked: Asked, aggregation: str, summary: Summary) -> AsyncIterator[bytes]:
    window, before = asked.window, NO_CELLS
    async for part in read_slices(call.database, call.services.database, asked):
        rows = part.cells.rows
        summary.add(part.cells)
        last_texts = await _last_texts(call, asked.sensor_no, window, rows)
        for start in range(0, len(part.starts_us), PIECE_ROWS):
            starts_us = part.starts_us[start : start + PIECE_ROWS]
            is_end = start + PIECE_ROWS >= len(part.starts_us)
            until = len(rows) if is_end else bisect_right(rows, starts_us[-1], key=lambda row: row.start_us)
            filled = before + _filled(rows[:until], part.cells.scale, aggregation, last_texts)
            rows = rows[until:]
            yield _records(sensor_id, starts_us, grid_texts(window, starts_us, filled))
            before = filled.last()


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


def _filled(rows: list[Cell], scale: float, aggregation: str, last_texts: dict[int, str]) -> FilledCells:
    return FilledCells(
        _starts_us(rows),
        [_cell_text(row, scale, aggregation, last_texts) for row in rows],
        _last_us(rows),
        [_last_text(row, last_texts) for row in rows],
    )


def _starts_us(rows: list[Cell]) -> NDArray[np.int64]:
    return np.array([row.start_us for row in rows], dtype=np.int64)


def _last_us(rows: list[Cell]) -> NDArray[np.int64]:
    return np.array([row.last_at_us for row in rows], dtype=np.int64)


def _cell_text(row: Cell, scale: float, aggregation: str, last_texts: dict[int, str]) -> str:
    if row.readings == 1 or row.numbers == 0:
        return _last_text(row, last_texts)
    if aggregation == "mean":
        return shortest(bounded_mean(row.total, row.numbers, scale, row.lowest, row.highest))
    return shortest(row.lowest if aggregation == "min" else row.highest)


def _last_text(row: Cell, last_texts: dict[int, str]) -> str:
    """Of a cell with one reading its own; else what was looked up, and nothing where it is never shown."""
    if row.readings == 1:
        return reading_text(row.lowest, row.a_text)
    return last_texts.get(row.last_at_us, "")


def _analytics(summary: Summary) -> Analytics:
    return Analytics(mean=summary.mean, min=summary.lowest, max=summary.highest)


def _zulu(starts_us: NDArray[np.int64]) -> list[str]:
    """Whole seconds with Z."""
    seconds = starts_us.astype("datetime64[us]").astype("datetime64[s]")
    return [f"{text}Z" for text in np.datetime_as_string(seconds).tolist()]


def _records(sensor_id: str, starts_us: NDArray[np.int64], texts: list[str | None]) -> bytes:
    """Of `Grid`, with commas between, written without a model for each."""
    records = [
        {"sensor_id": sensor_id, "tracked_at": time, "data": text}
        for time, text in zip(_zulu(starts_us), texts, strict=True)
    ]
    return to_json(records)[1:-1]
