"""`/sensor-records`: what sensors measured over a range, for charts, with its mean, minimum and maximum."""

from __future__ import annotations

from web.api.histories import History, RecordsQuery, histories
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Grid
from web.errors import NotFound
from web.serving.call import Call
from web.serving.rows import Rows
from web.wire.csv import Table

noun = Noun("sensor-records", "History of sensors")

READ_SENSORS = "SELECT id, sensor_no, facility_id, expected_freq FROM sensors WHERE id = ANY($1::text[])"
TABLE = Table(("sensor_id", "tracked_at", "data"))


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


async def _of_sensors(call: Call, sensor_ids: list[str], query: RecordsQuery) -> list[History]:
    rows = {row["id"]: row for row in await call.database.rows(READ_SENSORS, sensor_ids)}
    if len(rows) < len(sensor_ids):
        raise NotFound("Sensor")
    return histories(call, [rows[sensor_id] for sensor_id in sensor_ids], query)
