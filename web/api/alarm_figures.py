"""Figures to judge the alarms of some facilities by: live over rolling windows, or over any range of the past."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, Field, model_validator

from web.api.histories import Beginning, End
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.figure_shapes import AlarmFigures, Figures, Offender, Rolling
from web.errors import NotUsable
from web.figures.lives import LOOK_BACK, READ, ROWS_MAX, Life, lives_of
from web.figures.measuring import Range, figures_of
from web.serving.call import Call
from web.wire.times import from_us

noun = Noun("alarm-figures", "How good the alarms themselves are")

ROLLING: Final[dict[Rolling, timedelta]] = {
    "10m": timedelta(minutes=10),
    "24h": timedelta(hours=24),
    "30d": timedelta(days=30),
}
RANGE_MAX: Final = timedelta(days=366)
NAME_ALARMS = """
SELECT a.facility_id, a.alarm_key, s.id, s.name
  FROM unnest($1::text[], $2::text[]) AS wanted (facility_id, alarm_key)
  JOIN alarms a ON a.facility_id = wanted.facility_id AND a.alarm_key = wanted.alarm_key
  JOIN sensors s ON s.sensor_no = a.sensor_no
"""


class FiguresQuery(BaseModel):
    """By event time. Without `start_date` up to now, over the rolling windows."""

    facility_id: list[str] = Field([], description="together, as one operator looks after them; none: all one may view")
    window: Rolling | None = Field(None, description="this one only")
    start_date: Beginning | None = None
    end_date: End | None = Field(None, description="without: now")

    @model_validator(mode="after")
    def _is_one(self) -> FiguresQuery:
        if self.window is not None and self.start_date is not None:
            raise ValueError("give a window or a start_date, not both")
        if self.end_date is not None and self.start_date is None:
            raise ValueError("an end_date needs a start_date")
        return self


@noun.get("/alarm-figures", Need.VIEW, AlarmFigures, statuses=(401, 403, 404, 422))
async def read_figures(call: Call, query: FiguresQuery) -> AlarmFigures:
    """Load, floods, what chatters and what stands too long, each with its target beside it; and who is to blame."""
    now = from_us(call.services.clock.now_us())
    if query.start_date is not None:
        within = checked_range(query.start_date, query.end_date or now)
        return AlarmFigures(figures=[await figures_in(call, query.facility_id, within)])
    windows = ROLLING if query.window is None else {query.window: ROLLING[query.window]}
    found = [
        await figures_in(call, query.facility_id, Range(now - length, now), window)
        for window, length in windows.items()
    ]
    return AlarmFigures(figures=found)


def checked_range(start: datetime, end: datetime, longest: timedelta = RANGE_MAX) -> Range:
    """NotUsable when it is none, or too long."""
    if end < start:
        raise NotUsable.of("query", "end_date", "is before start_date")
    if end - start > longest:
        raise NotUsable.of("query", "start_date", f"is more than {longest.days} days before end_date")
    return Range(start, end)


async def figures_in(call: Call, facility_ids: list[str], within: Range, window: Rolling | None = None) -> Figures:
    """Of those facilities, or of all that the caller may view."""
    lives = await read_lives(call, facility_ids, within)
    found = await asyncio.to_thread(figures_of, lives, within, window)
    return await _named(call, found)


async def read_lives(call: Call, facility_ids: list[str], within: Range) -> list[Life]:
    """NotUsable when the journal has too many rows of that range."""
    rows = await call.database.rows(
        READ, call.caller.is_admin, call.caller.principal, facility_ids, within.start - LOOK_BACK, within.end
    )
    if len(rows) > ROWS_MAX:
        raise NotUsable.of(
            "query",
            "start_date",
            f"the journal has more than {ROWS_MAX} rows of this range; ask for a shorter one, or for fewer facilities",
        )
    return await asyncio.to_thread(lives_of, rows)


async def _named(call: Call, figures: Figures) -> Figures:
    """With the sensors of its alarms."""
    offenders, stale = figures.offenders, figures.stale
    found = await named(call, [*offenders, *stale])
    return figures.model_copy(update={"offenders": found[: len(offenders)], "stale": found[len(offenders) :]})


async def named(call: Call, about: Sequence[Offender]) -> list[Offender]:
    """With their sensors."""
    rows = await call.database.rows(NAME_ALARMS, [one.facility_id for one in about], [one.alarm_id for one in about])
    known: dict[tuple[str, str], Any] = {(row["facility_id"], row["alarm_key"]): row for row in rows}

    def with_sensor(one: Offender) -> Offender:
        row = known.get((one.facility_id, one.alarm_id))
        return one if row is None else one.model_copy(update={"sensor_id": row["id"], "sensor_name": row["name"]})

    return [with_sensor(one) for one in about]
