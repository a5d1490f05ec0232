"""`/sensor-records`: what sensors measured over a range, for charts, with its mean, minimum and maximum."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field
from pydantic_core import to_json

from web.api.histories import History, RecordsQuery, histories
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Grid, Grids
from web.errors import NotFound
from web.serving.call import Call
from web.serving.rows import Rows
from web.wire.csv import Table

noun = Noun("sensor-records", "History of sensors")

READ_SENSORS = "SELECT id, sensor_no, facility_id, expected_freq FROM sensors WHERE id = ANY($1::text[])"
SENSORS_MAX = 20
TABLE = Table(("sensor_id", "tracked_at", "data"))


class SeveralQuery(RecordsQuery):
    """As for one sensor; `sensor_id` is given once for each."""

    sensor_id: Annotated[list[str], Field(min_length=1, max_length=SENSORS_MAX)]


@noun.get("/sensor-records/{sensor_id}", Need.VIEW, Grid, statuses=(401, 403, 404, 422), table=TABLE)
async def read_records(call: Call, sensor_id: str, query: RecordsQuery) -> Rows:
    """One record a cell; a cell is as long as `freq` or the sensor's own interval, whichever is longer."""
    (history,) = await _of_sensors(call, [sensor_id], query)
    return Rows(
        weight=history.weight,
        pieces=history.pieces(),
        head=b'{"records":[',
        tail=lambda: b'],"analytics":%b}' % history.analytics(),
        more_columns=query.counts or (),
    )


@noun.get("/sensor-records", Need.VIEW, Grids, statuses=(401, 403, 404, 422))
async def read_several_records(call: Call, query: SeveralQuery) -> Rows:
    """A grid a sensor, in the order in which they are named; all of facilities that the caller may view."""
    found = await _of_sensors(call, list(dict.fromkeys(query.sensor_id)), query)
    return Rows(
        weight=sum(history.weight for history in found),
        pieces=_one_after_the_other(found),
        head=b'{"grids":[',
        tail=lambda: b"]}",
    )


async def _of_sensors(call: Call, sensor_ids: list[str], query: RecordsQuery) -> list[History]:
    rows = {row["id"]: row for row in await call.database.rows(READ_SENSORS, sensor_ids)}
    if len(rows) < len(sensor_ids):
        raise NotFound("Sensor")
    return histories(call, [rows[sensor_id] for sensor_id in sensor_ids], query)


async def _one_after_the_other(found: list[History]) -> AsyncIterator[bytes]:
    """Each piece is held back until the next one: the last of a grid also ends it, so that commas go between all."""
    for history in found:
        held = b'{"sensor_id":%b,"records":[' % to_json(history.sensor_id)
        is_begun = False
        async for piece in history.pieces():
            if piece and is_begun:
                yield held
                held = piece
            elif piece:
                held += piece
                is_begun = True
            else:
                yield b""
        yield held + b'],"analytics":%b}' % history.analytics()
