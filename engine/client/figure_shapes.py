"""Figures of alarms, as frozen values; see shapes.py."""

from __future__ import annotations

from datetime import date

from engine.client.shapes import Shape, Time


class Measure(Shape):
    """One figure beside its target. `met` is None where nobody can say, as of shares of few alarms."""

    name: str
    value: float | None
    unit: str
    target: str
    met: bool | None


class Spread(Shape):
    """Of times: half of them are at most `p50_s`, nine of ten at most `p90_s`."""

    n: int
    p50_s: float | None
    p90_s: float | None
    max_s: float | None


class AlarmTally(Shape):
    """`activations` is what people were told of; `silent` and `re_alarmed` are no part of it."""

    activations: int
    silent: int
    re_alarmed: int
    past: int
    acknowledged: int
    returned: int


class Flood(Shape):
    """`ended` is None while it goes on."""

    began: Time
    ended: Time | None
    activations: int


class FiguresOfDay(Shape):
    """Of a UTC day."""

    day: date
    activations: int
    flood_s: float
    stale: int


class Offender(Shape):
    """An alarm and its part of the load."""

    facility_id: str
    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: str
    activations: int
    share: float
    is_chattering: bool
    fleeting: int
    standing_s: float


class Figures(Shape):
    """Of a range by event time. `window` is 10m, 24h or 30d, or None where the range was asked for by its ends."""

    window: str | None
    start: Time
    end: Time
    tally: AlarmTally
    measures: list[Measure]
    acknowledged_after: Spread
    stood: Spread
    floods: list[Flood]
    offenders: list[Offender]
    stale: list[Offender]
    days: list[FiguresOfDay]

    def measure(self, name: str) -> Measure:
        """KeyError for one that is none."""
        return {each.name: each for each in self.measures}[name]


class AlarmFigures(Shape):
    figures: list[Figures]
