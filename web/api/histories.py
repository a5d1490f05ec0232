"""The history of a sensor as pieces of an answer: cells of a grid, or the readings that draw the same line.

PostgreSQL groups readings or rollups into cells (web/history/grid_readings.py); only the cells travel.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import to_json

from engine.clock import US_PER_S
from native import POINTS_MIN
from web.contract.shapes import Analytics
from web.errors import NotUsable
from web.history.analytics import Summary, bounded_means
from web.history.cells import Cells
from web.history.grid import CELLS_MAX, NO_CELLS, FilledCells, Window, grid_texts, needs_last_text, step_for
from web.history.grid_readings import Asked, about_sensor
from web.history.line import Reduced, read_line
from web.history.slices import read_slices
from web.serving.call import Call
from web.serving.rows import PIECE_ROWS
from web.wire.frequency import FREQUENCY_PATTERN, parse_frequency
from web.wire.numbers import mean_texts, reading_text, shortest
from web.wire.times import TIME_IN_PATTERN, contract_text, first_moment, from_us, last_moment, to_us

READ_AT = """
SELECT tracked_at, value, text_value FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY($2::timestamptz[])
"""
READINGS_A_ROW = 20  # that PostgreSQL groups in the time in which a row is given
POINTS_MAX = 10_000
COUNTS = ("n", "good_fraction")

_TIME_IN = WithJsonSchema({"type": "string", "pattern": TIME_IN_PATTERN})
Beginning = Annotated[datetime, BeforeValidator(lambda text: first_moment(str(text))), _TIME_IN]
End = Annotated[datetime, BeforeValidator(lambda text: last_moment(str(text))), _TIME_IN]
_SPELLED = WithJsonSchema({"type": "string", "pattern": FREQUENCY_PATTERN})


def _counts(text: object) -> tuple[str, ...]:
    names = str(text).split(",")
    if not set(names) <= set(COUNTS):
        raise ValueError(f"should name some of {', '.join(COUNTS)}, with a comma between")
    return tuple(name for name in COUNTS if name in names)


Counts = Annotated[
    tuple[str, ...],
    BeforeValidator(_counts),
    WithJsonSchema({"type": "string", "pattern": "^({0})(,({0}))*$".format("|".join(COUNTS))}),
]


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
    downsample: Literal["minmax", "lttb"] | None = Field(
        None,
        description=f"instead of cells: at most `max_points` readings ({POINTS_MIN} to {POINTS_MAX}), each at its own"
        " time, that draw the same line; of each span the smallest and the largest, or the largest triangles. Texts"
        " are left out",
    )
    counts: Counts | None = Field(
        None,
        alias="with",
        description="say of each cell also `n`, how many readings with a number it has, and `good_fraction`, which part"
        " of its readings is such a number within what its instrument can measure",
    )


@dataclass(frozen=True, slots=True)
class History:
    """Of one sensor, as it is asked for; read while `pieces` are."""

    call: Call
    sensor_id: str
    asked: Asked
    query: RecordsQuery
    summary: Summary = field(default_factory=Summary)

    @property
    def weight(self) -> int:
        """In rows of an answer."""
        asked = self.asked
        return max(asked.window.cells_max, 0 if asked.is_long else asked.readings // READINGS_A_ROW)

    def pieces(self) -> AsyncIterator[bytes]:
        """Records with commas between; an empty piece is a pause."""
        return _cells(self) if self.query.downsample is None else _points(self, self.query.downsample)

    def analytics(self) -> bytes:
        """Over all readings of the range, once all pieces were read."""
        summary = self.summary
        return to_json(Analytics(mean=summary.mean, min=summary.lowest, max=summary.highest))


def histories(call: Call, sensors: Sequence[Any], query: RecordsQuery) -> list[History]:
    """Of rows of `sensors`. NotUsable when that is too much, or does not go together."""
    if query.downsample is not None:
        _check_points(query)
    end = query.end_date or from_us(call.services.clock.now_us())
    return [History(call, row["id"], _asked(row, query, to_us(query.start_date), to_us(end)), query) for row in sensors]


def _check_points(query: RecordsQuery) -> None:
    if query.max_points is None or not POINTS_MIN <= query.max_points <= POINTS_MAX:
        raise NotUsable.of("query", "max_points", f"should be {POINTS_MIN} to {POINTS_MAX} with downsample")
    if query.counts is not None:
        raise NotUsable.of("query", "with", "is of cells; downsample gives readings")


def _asked(sensor: Any, query: RecordsQuery, start_us: int, end_us: int) -> Asked:
    expected_interval_s = parse_frequency(sensor["expected_freq"])
    step_s, unit_s = _step(query, max(0, end_us - start_us), expected_interval_s)
    window = Window(start_us, end_us, step_s * US_PER_S, expected_interval_s * US_PER_S)
    if window.cells_max > CELLS_MAX:
        raise NotUsable.of(
            "query", "freq", f"makes {window.cells_max} cells of {step_s} s; at most {CELLS_MAX} are given"
        )
    counts_good = "good_fraction" in (query.counts or ())
    return Asked(sensor["sensor_no"], sensor["facility_id"], window, unit_s * US_PER_S, counts_good)


def _step(query: RecordsQuery, range_us: int, expected_interval_s: int) -> tuple[int, int]:
    """Length of a cell, and what the first cell's start is rounded down to, in seconds."""
    if query.max_points is None:
        return max(parse_frequency(query.freq), expected_interval_s), 1
    return step_for(range_us, query.max_points, expected_interval_s)


async def _points(history: History, method: str) -> AsyncIterator[bytes]:
    call, sensor_id = history.call, history.sensor_id
    reduced = Reduced(history.query.max_points or POINTS_MAX, method)
    line = read_line(call.database, call.services.database, history.asked, reduced, history.summary)
    async for points in line:
        for start in range(0, max(1, len(points)), PIECE_ROWS):
            yield to_json(
                [
                    {
                        "sensor_id": sensor_id,
                        "tracked_at": f"{contract_text(point.at)}Z",
                        "data": point.text,
                    }
                    for point in points[start : start + PIECE_ROWS]
                ]
            )[1:-1]


async def _cells(history: History) -> AsyncIterator[bytes]:
    call, asked, before = history.call, history.asked, NO_CELLS
    window, aggregation = asked.window, history.query.aggregation
    async for part in read_slices(call.database, call.services.database, asked):
        cells = part.cells
        history.summary.add(cells)
        last_texts = await _last_texts(call, asked.sensor_no, window, cells)
        for start in range(0, len(part.starts_us), PIECE_ROWS):
            starts_us = part.starts_us[start : start + PIECE_ROWS]
            is_end = start + PIECE_ROWS >= len(part.starts_us)
            until = len(cells) if is_end else int(np.searchsorted(cells.starts_us, starts_us[-1], side="right"))
            shown = cells.at(slice(until))
            filled = before + _filled(shown, aggregation, last_texts)
            texts = grid_texts(window, starts_us, filled)
            yield _records(history.sensor_id, starts_us, texts, _said(history.query.counts, starts_us, shown))
            cells = cells.at(slice(until, None))
            before = filled.last()


async def _last_texts(call: Call, sensor_no: int, window: Window, cells: Cells) -> dict[int, str]:
    """The last reading of each cell that shows it: in the empty cells that follow, or because it holds only texts."""
    is_repeated = needs_last_text(window, cells.starts_us, cells.last_at_us)
    wanted_us = cells.last_at_us[(cells.readings > 1) & (is_repeated | (cells.numbers == 0))]
    if not len(wanted_us):
        return {}
    wanted = [from_us(time_us) for time_us in wanted_us.tolist()]
    async with about_sensor(call.database, sensor_no) as connection:
        found = await connection.fetch(READ_AT, sensor_no, wanted)
    return {to_us(row["tracked_at"]): reading_text(row["value"], row["text_value"]) for row in found}


def _filled(cells: Cells, aggregation: str, last_texts: dict[int, str]) -> FilledCells:
    """The last text of a cell with one reading is its own; else what was looked up, and nothing where it is never
    shown."""
    shows_last = (cells.readings == 1) | (cells.numbers == 0)
    last = [last_texts.get(time_us, "") for time_us in cells.last_at_us.tolist()]
    alone = np.flatnonzero(cells.readings == 1)
    for place, text in zip(alone.tolist(), _reading_texts(cells.at(alone)), strict=True):
        last[place] = text
    texts = last.copy()
    others = np.flatnonzero(~shows_last)
    for place, text in zip(others.tolist(), _texts(cells.at(others), aggregation), strict=True):
        texts[place] = text
    return FilledCells(cells.starts_us, texts, cells.last_at_us, last)


def _reading_texts(cells: Cells) -> list[str]:
    """Of cells with one reading each."""
    values = zip(cells.lowest.tolist(), cells.numbers.tolist(), cells.a_texts.tolist(), strict=True)
    return [reading_text(value if numbers else None, text) for value, numbers, text in values]


def _texts(cells: Cells, aggregation: str) -> list[str]:
    """Of cells that have numbers."""
    if aggregation == "mean":
        return mean_texts(bounded_means(cells).tolist())
    return [shortest(value) for value in (cells.lowest if aggregation == "min" else cells.highest).tolist()]


def _said(counts: tuple[str, ...] | None, starts_us: NDArray[np.int64], cells: Cells) -> list[dict[str, Any]]:
    """What is said beside each cell's text."""
    if not counts:
        return [{}] * len(starts_us)
    columns = cells.starts_us.tolist(), cells.numbers.tolist(), (cells.good / cells.readings).tolist()
    said = {start_us: {"n": numbers, "good_fraction": good} for start_us, numbers, good in zip(*columns, strict=True)}
    empty = {"n": 0, "good_fraction": None}
    found = [said.get(start_us, empty) for start_us in starts_us.tolist()]
    return [{name: one[name] for name in counts} for one in found]


def _zulu(starts_us: NDArray[np.int64]) -> list[str]:
    """Whole seconds with Z."""
    seconds = starts_us.astype("datetime64[us]").astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(seconds, timezone="UTC").tolist()
    return texts


def _records(
    sensor_id: str, starts_us: NDArray[np.int64], texts: list[str | None], said: list[dict[str, Any]]
) -> bytes:
    """Of `Grid`, with commas between, written without a model for each."""
    records = [
        {"sensor_id": sensor_id, "tracked_at": time, "data": text, **more}
        for time, text, more in zip(_zulu(starts_us), texts, said, strict=True)
    ]
    return to_json(records)[1:-1]
