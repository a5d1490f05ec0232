"""The JSON of alarm figures; beyond the wire contract."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from web.wire.alarms import Priority
from web.wire.times import ContractTime

Rolling = Literal["10m", "24h", "30d"]


class Measure(BaseModel):
    """One figure beside its target.

    value   null: there is nothing to say it of
    met     null: nobody can say; of shares, where there are too few alarms
    """

    name: str
    value: float | None
    unit: str
    target: str
    met: bool | None


class Spread(BaseModel):
    """Of times in seconds: half of them are at most `p50_s`, nine of ten at most `p90_s`. All null where `n` is 0."""

    n: int
    p50_s: float | None
    p90_s: float | None
    max_s: float | None


class AlarmTally(BaseModel):
    """What happened, counted.

    activations       that people were told of: the load
    silent            that nobody was told of, while they were suppressed or something else told of them
    re_alarmed        told again, as nobody had acknowledged; no part of the load
    past              that were over before they could be told
    acknowledged      of the activations, in the range
    returned          ends of what people were told of
    """

    activations: int
    silent: int
    re_alarmed: int
    past: int
    acknowledged: int
    returned: int


class Flood(BaseModel):
    """More alarms than anybody can read. `ended` is null while it goes on."""

    began: ContractTime
    ended: ContractTime | None
    activations: int


class FiguresOfDay(BaseModel):
    """Of a UTC day, as far as it is in the range."""

    day: date
    activations: int
    flood_s: float
    stale: int = Field(description="different ones that stood for more than 24 hours at some moment of it")


class Load(BaseModel):
    """What an alarm is to people."""

    activations: int
    is_chattering: bool
    fleeting: int
    standing_s: float = Field(description="how long it stood in the range, all together")


class Offender(BaseModel):
    """An alarm and its part of the load."""

    facility_id: str
    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: Priority
    activations: int
    share: float
    is_chattering: bool
    fleeting: int
    standing_s: float = Field(description="how long it stood in the range, all together")


class Figures(BaseModel):
    """Of a range by event time, both ends within.

    window      null: the range was asked for by its ends
    floods      the longest first, at most 20 of them
    offenders   who was heard most often, at most 10
    stale       which have stood longest at the end, of those above 24 hours, at most 10
    days        every UTC day of the range
    """

    window: Rolling | None
    start: ContractTime
    end: ContractTime
    tally: AlarmTally
    measures: list[Measure]
    acknowledged_after: Spread
    stood: Spread
    floods: list[Flood]
    offenders: list[Offender]
    stale: list[Offender]
    days: list[FiguresOfDay]


class AlarmFigures(BaseModel):
    """One for each window that was asked for, the shortest first."""

    figures: list[Figures]
