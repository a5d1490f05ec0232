"""`/sensor-readings`: what is stored of one sensor, reading by reading, a part at a time.

A part goes on after the time of the last reading, which no other has: whatever arrives meanwhile, none that was there
comes twice or is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import to_json

from web.api.histories import Beginning, End
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Reading, Readings
from web.errors import NotFound
from web.history.grid_readings import PLAN_ONCE, about_sensor
from web.serving.call import Call
from web.serving.lists import next_link
from web.serving.rows import PIECE_ROWS, SLICE_ROWS, Rows
from web.wire.csv import Table
from web.wire.numbers import reading_text
from web.wire.times import MICROSECOND, TIME_IN_PATTERN, contract_text, first_moment, from_us

noun = Noun("sensor-readings", "Readings of one sensor as they are stored")

READ_SENSOR_NO = "SELECT sensor_no FROM sensors WHERE id = $1"
READ_READINGS = """
SELECT tracked_at, value, text_value, score, flags
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at BETWEEN $2 AND $3
 ORDER BY tracked_at {order}
 LIMIT $4
"""
TABLE = Table(("tracked_at", "data", "score", "flags"))


class ReadingsQuery(BaseModel):
    """`start_date` and `end_date` without a zone are UTC; a bare day is meant whole; `end_date` is now if absent."""

    start_date: Beginning
    end_date: End | None = None
    order: Literal["asc", "desc"] = Field("asc", description="`desc`: the newest first")
    limit: int = Field(SLICE_ROWS, ge=1, le=SLICE_ROWS)
    after: (
        Annotated[
            datetime,
            BeforeValidator(lambda text: first_moment(str(text))),
            WithJsonSchema({"type": "string", "pattern": TIME_IN_PATTERN}),
        ]
        | None
    ) = Field(None, description="`next` of the part before, in the same order")


@noun.get("/sensor-readings/{sensor_id}", Need.VIEW, Readings, table=TABLE, has_next=True)
async def read_readings(call: Call, sensor_id: str, query: ReadingsQuery) -> Rows:
    """In order of time; `Link` has the address of the next part. For more than some parts, take an export."""
    sensor_no = await call.database.value(READ_SENSOR_NO, sensor_id)
    if sensor_no is None:
        raise NotFound("Sensor")
    start, end = _bounds(query, from_us(call.services.clock.now_us()))
    async with about_sensor(call.database, sensor_no, PLAN_ONCE) as connection:
        statement = READ_READINGS.format(order=query.order.upper())
        found = await connection.fetch(statement, sensor_no, start, end, query.limit + 1)
    rows = found[: query.limit]
    following = f"{contract_text(rows[-1]['tracked_at'])}Z" if len(found) > len(rows) else None
    return Rows(
        weight=len(rows),
        pieces=_pieces(rows),
        head=b'{"readings":[',
        tail=lambda: b'],"next":%b}' % to_json(following),
        headers={} if following is None else {"Link": next_link(frozenset({"after"}), [("after", following)])},
    )


def _bounds(query: ReadingsQuery, now: datetime) -> tuple[datetime, datetime]:
    """Both included."""
    start, end = query.start_date, query.end_date or now
    if query.after is None:
        return start, end
    if query.order == "asc":
        return max(start, query.after + MICROSECOND), end
    return start, min(end, query.after - MICROSECOND)


async def _pieces(rows: list[Any]) -> AsyncIterator[bytes]:
    for start in range(0, len(rows), PIECE_ROWS):
        yield to_json([_shown(row) for row in rows[start : start + PIECE_ROWS]])[1:-1]


def _shown(row: Any) -> Reading:
    return Reading(
        tracked_at=row["tracked_at"],
        data=reading_text(row["value"], row["text_value"]),
        score=row["score"],
        flags=row["flags"],
    )
