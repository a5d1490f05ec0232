"""The JSON of groups: what several sensors of a facility are judged by together, and who set it when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from web.contract.rule_shapes import Rule, RuleText, VersionThen
from web.contract.shapes import Readable
from web.wire.alarms import Priority
from web.wire.times import ContractTime

GROUPS_MAX = 200
MEMBERS_MAX = 32
TERMS_MAX = 32
BODY_BYTES_MAX = 262_144
"""So many groups of three sensors each, beside as many suppressions."""

Name = Annotated[str, StringConstraints(min_length=1), Readable]
"""How long it may be, the core says: it counts bytes."""
SensorId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Member(BaseModel):
    """A sensor, and the rules by which it takes part."""

    sensor_id: SensorId
    rules: list[Rule] = Field(min_length=1)


class Expression(BaseModel):
    """One of `all`, `any` and `not`, or a sensor with one of `rule`, `is`, `above` and `below`. What a sensor that is
    silent or faulty would say is unknown.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True, extra="forbid")

    all: list[Expression] | None = Field(None, max_length=TERMS_MAX)
    any: list[Expression] | None = Field(None, max_length=TERMS_MAX)
    not_: Expression | None = Field(None, alias="not")
    sensor_id: SensorId | None = None
    rule: Rule | None = None
    is_: RuleText | None = Field(None, alias="is")
    above: StrictFloat | None = None
    below: StrictFloat | None = None


class Group(BaseModel):
    """`name` is its own in the facility; under it its alarms go on when it is set anew.

    vote         `votes` of `members` must agree; `degraded`: `safe`, each that left counts as a vote, or `same`
    first_out    the first of `members` since all were normal is marked
    discrepancy  `commanded` and `reported` differ in words, or by more than `limit`
    combination  `when` is so
    """

    name: Name
    kind: Literal["vote", "first_out", "discrepancy", "combination"]
    members: list[Member] = Field(default_factory=list, max_length=MEMBERS_MAX)
    votes: StrictInt | None = None
    degraded: Literal["safe", "same"] | None = None
    when: Expression | None = None
    commanded: SensorId | None = None
    reported: SensorId | None = None
    limit: StrictFloat | None = None
    deadband: StrictFloat | None = None
    priority: Priority | None = None
    on_delay_s: StrictFloat | None = None
    off_delay_s: StrictFloat | None = None
    latched: StrictBool | None = None
    re_alarm_s: StrictFloat | None = None
    message: RuleText | None = None
    consequence: RuleText | None = None
    response: RuleText | None = None


class NumberedGroup(Group):
    no: int = Field(description="its alarms have the ids `{no}:vote` and so on")


class Rest(BaseModel):
    """While `while` is so, `alarms` are suppressed by design; what is not known suppresses nothing."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: Name
    while_: Expression = Field(alias="while")
    alarms: list[Member] = Field(min_length=1)


class NewGroups(BaseModel):
    """Replaces all groups and suppressions of the facility."""

    groups: list[Group] = Field(default_factory=list, max_length=GROUPS_MAX)
    rests: list[Rest] = Field(default_factory=list, max_length=GROUPS_MAX)
    reason: RuleText | None = Field(None, description="why; kept with the version")


class GroupSettings(BaseModel):
    groups: list[NumberedGroup] = Field(default_factory=list)
    rests: list[Rest] = Field(default_factory=list)


class GroupsVersion(BaseModel):
    """What was set once, by whom; the newest holds."""

    version: int
    set_at: ContractTime
    set_by: str
    set_by_name: str
    settings: GroupSettings


class FacilityGroups(GroupSettings):
    facility_id: str
    versions: list[GroupsVersion] = Field(description="the newest first")


class GroupsThen(VersionThen):
    """All groups of the facility as one version had them."""

    settings: GroupSettings
