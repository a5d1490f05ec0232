"""The JSON of alarm rules: what is set for a sensor, for a type of a facility, who set it when, and what holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StringConstraints, model_validator

from engine.model import SensorType
from web.contract.alarm_shapes import Moment
from web.contract.shapes import Readable
from web.wire.alarms import Priority
from web.wire.times import ContractTime

RULES_MAX = 20
TEXT_MAX = 200


class Rule(StrEnum):
    """Rules that can be set; see docs/alarm-rules.md."""

    HIGH_HIGH = "high_high"
    HIGH = "high"
    LOW = "low"
    LOW_LOW = "low_low"
    OUT_OF_PHYSICAL_RANGE = "out_of_physical_range"
    RATE_OF_CHANGE = "rate_of_change"
    STUCK = "stuck"
    ANOMALY = "anomaly"
    STALE = "stale"
    BAD_VALUE = "bad_value"
    CLOCK = "clock"


RuleText = Annotated[str, StringConstraints(max_length=TEXT_MAX), Readable]


class RuleChange(BaseModel):
    """What is absent or null is as the profile or the type has it. Numbers are in the unit of the readings."""

    rule: Rule
    enabled: StrictBool | None = None
    limit: StrictFloat | None = None
    priority: Priority | None = None
    deadband: StrictFloat | None = None
    on_delay_s: StrictFloat | None = None
    off_delay_s: StrictFloat | None = None
    latched: StrictBool | None = Field(None, description="stays until somebody resets it")
    re_alarm_s: StrictFloat | None = Field(None, description="told again while nobody acknowledges it")
    window_s: StrictFloat | None = Field(None, description="of the rate of change and of stuck")
    source: RuleText | None = Field(None, description="where the limit comes from")
    message: RuleText | None = None
    consequence: RuleText | None = None
    response: RuleText | None = None


class RuleSettings(BaseModel):
    """All that is set here; `rules` name each rule at most once."""

    profile: Literal["hub", "ambient_safety", "gas_quality"] | None = None
    unit: RuleText | None = Field(
        None, description="of the readings, where it is not the type's; it may then stand behind the number"
    )
    number_format: Literal["point", "comma"] | None = Field(None, description="`comma`: then `35,0` is a number")
    rules: list[RuleChange] = Field(default_factory=list, max_length=RULES_MAX)

    @model_validator(mode="after")
    def _each_is_named_once(self) -> RuleSettings:
        names = [change.rule for change in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("names a rule twice")
        return self


class NewRules(RuleSettings):
    """Replaces what was set here before."""

    reason: RuleText | None = Field(None, description="why; kept with the version")

    @model_validator(mode="before")
    @classmethod
    def _holds_at_once(cls, said: Any) -> Any:
        """Whoever means a later moment must not have it now, as an unknown field would."""
        if isinstance(said, dict) and said.get("effective_from") is not None:
            raise ValueError("effective_from is of POST /planned-rules/…; what is PUT holds at once")
        return said


class NewTypeRules(NewRules):
    sensor_type: SensorType


class NewPlannedRules(RuleSettings):
    """Replaces what is set here at that moment."""

    effective_from: Moment
    reason: RuleText | None = Field(None, description="why; kept with the version")


class NewPlannedTypeRules(NewPlannedRules):
    sensor_type: SensorType


class PlannedRules(BaseModel):
    """For a sensor, or for a type of the facility's sensors: the other of the two is null."""

    id: int
    facility_id: str
    sensor_id: str | None
    sensor_type: SensorType | None
    settings: RuleSettings
    effective_from: ContractTime
    filed_at: ContractTime
    set_by: str
    set_by_name: str
    reason: str | None
    refusal: str | None = Field(description="why they did not hold when their moment had come, and never will")


class RuleInForce(BaseModel):
    """`source`: where its limit comes from."""

    rule: str
    limit: float | None
    unit: str
    priority: str
    deadband: float
    on_delay_s: float
    off_delay_s: float
    latched: bool
    re_alarm_s: float | None
    window_s: float | None
    source: str
    message: str | None
    consequence: str | None
    response: str | None


class RulesVersion(BaseModel):
    """What was set once, by whom; the newest holds."""

    version: int
    set_at: ContractTime
    set_by: str
    set_by_name: str
    settings: RuleSettings


class SensorRules(BaseModel):
    """A rule that is set for the sensor goes, whole, before what is set of it for its type in the facility."""

    sensor_id: str
    sensor_type: SensorType
    of_sensor: RuleSettings
    of_type: RuleSettings
    in_force: list[RuleInForce]
    versions: list[RulesVersion] = Field(description="of the sensor's own, the newest first")


class TypeRules(BaseModel):
    sensor_type: SensorType
    of_type: RuleSettings
    in_force: list[RuleInForce] = Field(description="for sensors that have none of their own")
    versions: list[RulesVersion] = Field(description="the newest first")


class FacilityRules(BaseModel):
    facility_id: str
    types: list[TypeRules] = Field(description="each that the facility has sensors of, or rules for")


class VersionThen(BaseModel):
    """What held from when to when; `valid_to` is null while it holds."""

    version: int
    valid_from: ContractTime
    valid_to: ContractTime | None
    set_by: str
    set_by_name: str
    reason: str | None


class RulesThen(VersionThen):
    """Of a sensor, or of a type of the facility's sensors: the other of the two is null."""

    sensor_id: str | None
    sensor_type: SensorType | None
    effective_from: ContractTime | None = Field(description="from when it was planned to hold; null: set at once")
    settings: RuleSettings
