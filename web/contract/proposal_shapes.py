"""The JSON of proposals for alarms that are a nuisance; beyond the wire contract."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from web.contract.figure_shapes import Load, Spread
from web.contract.rule_shapes import RuleSettings
from web.wire.alarms import Priority
from web.wire.times import ContractTime

Outcome = Literal[
    "proposed",
    "at_target",
    "all_true",
    "nothing_helps",
    "instrument",
    "several",
    "not_reproduced",
    "too_many_readings",
    "gone",
]


class Tuning(BaseModel):
    """What may be changed of a rule so that it is told less often. `deadband` is null where the rule has none."""

    deadband: float | None
    on_delay_s: float
    off_delay_s: float


class Untold(BaseModel):
    """What people were told of and would not be any more. `ended` is null: it stood at the end of the range."""

    began: ContractTime
    ended: ContractTime | None
    value: float | None
    verdict: Literal["true", "false", "expected"] | None


class AlarmProposal(BaseModel):
    """What would bring one alarm to its target, lived again over its sensor's stored readings.

    outcome       `proposed`, or why nothing is
    in_journal    as people were told, by the journal
    before        as today's rules tell it of the stored readings; null where it was not lived again
    after         the same with what is proposed
    meets_target  no chattering, nothing fleeting, at most one a day beside the true ones; false: it is only better
    true_events   how many of `before` are true: by a verdict, or because they stood long
    delay         how much later each of these is told
    untold_count  excursions that nobody is told of any more, none of them true; `untold` are the longest of them
    rules         what to PUT to /rules/sensor/{sensor_id}
    """

    facility_id: str
    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: Priority
    outcome: Outcome
    in_journal: Load
    now: Tuning | None = None
    proposed: Tuning | None = None
    before: Load | None = None
    after: Load | None = None
    meets_target: bool | None = None
    true_events: int | None = None
    delay: Spread | None = None
    untold_count: int | None = None
    untold: list[Untold] = []
    rules: RuleSettings | None = None


class AlarmProposals(BaseModel):
    """Of a range by event time, both ends within; who was heard most often first."""

    start: ContractTime
    end: ContractTime
    bad_actors: int = Field(description="how many alarms there are that chatter, are fleeting, or are told too often")
    proposals: list[AlarmProposal]
