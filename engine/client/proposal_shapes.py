"""Proposals for alarms that are a nuisance, as frozen values; see shapes.py."""

from __future__ import annotations

from engine.client.figure_shapes import Spread
from engine.client.rule_shapes import RuleSettings
from engine.client.shapes import Shape, Time


class Load(Shape):
    """What an alarm is to people."""

    activations: int
    is_chattering: bool
    fleeting: int
    standing_s: float


class Tuning(Shape):
    """What may be changed of a rule. `deadband` is None where the rule has none."""

    deadband: float | None
    on_delay_s: float
    off_delay_s: float


class Untold(Shape):
    """What people would not be told of any more. `ended` is None: it stood at the end of the range."""

    began: Time
    ended: Time | None
    value: float | None
    verdict: str | None


class AlarmProposal(Shape):
    """What would bring one alarm to its target, and what it would have cost; docs/alarms.md says what each means.

    outcome  `proposed`, or why nothing is; without a proposal `proposed`, `after`, `delay` and `rules` are None
    rules    what to set for the sensor: `gis.rules.set(sensor_id, proposal.rules.model_dump())`
    """

    facility_id: str
    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: str
    outcome: str
    in_journal: Load
    now: Tuning | None
    proposed: Tuning | None
    before: Load | None
    after: Load | None
    meets_target: bool | None
    true_events: int | None
    delay: Spread | None
    untold_count: int | None
    untold: list[Untold]
    rules: RuleSettings | None


class AlarmProposals(Shape):
    """`bad_actors`: how many alarms there are that are not at their target."""

    start: Time
    end: Time
    bad_actors: int
    proposals: list[AlarmProposal]
