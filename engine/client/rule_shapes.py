"""Alarm rules: what is set, by whom, and what holds, as frozen values; see shapes.py."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from engine.client.shapes import Shape, Time


class RuleChange(Shape):
    """What is set of one rule; None: as the profile or the type has it."""

    rule: str
    enabled: bool | None = None
    limit: float | None = None
    priority: str | None = None
    deadband: float | None = None
    on_delay_s: float | None = None
    off_delay_s: float | None = None
    latched: bool | None = None
    re_alarm_s: float | None = None
    window_s: float | None = None
    source: str | None = None
    message: str | None = None
    consequence: str | None = None
    response: str | None = None


class RuleSettings(Shape):
    """All that is set in one place."""

    profile: str | None = None
    unit: str | None = None
    number_format: str | None = None
    rules: list[RuleChange] = Field(default_factory=list)


class RuleInForce(Shape):
    """What holds, whoever said it. `source`: where its limit comes from."""

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


class RulesVersion(Shape):
    """What was set once; the newest holds."""

    version: int
    set_at: Time
    set_by: str
    set_by_name: str
    settings: RuleSettings


class SensorRules(Shape):
    """A rule that is set for the sensor goes, whole, before what is set of it for its type in the facility."""

    sensor_id: str
    sensor_type: str
    of_sensor: RuleSettings
    of_type: RuleSettings
    in_force: list[RuleInForce]
    versions: list[RulesVersion]


class TypeRules(Shape):
    """`in_force`: for sensors of the type that have no rules of their own."""

    sensor_type: str
    of_type: RuleSettings
    in_force: list[RuleInForce]
    versions: list[RulesVersion]


class FacilityRules(Shape):
    facility_id: str
    types: list[TypeRules]


class PlannedRules(Shape):
    """For a sensor or a type, whichever is named. `refusal`: why they did not hold when their moment had come."""

    id: int
    facility_id: str
    sensor_id: str | None
    sensor_type: str | None
    settings: RuleSettings
    effective_from: Time
    filed_at: Time
    set_by: str
    set_by_name: str
    reason: str | None
    refusal: str | None


class VersionThen(Shape):
    """What held from when to when; no `valid_to`: it holds."""

    version: int
    valid_from: Time
    valid_to: Time | None
    set_by: str
    set_by_name: str
    reason: str | None


class RulesThen(VersionThen):
    """Of a sensor or of a type, whichever is named. `effective_from`: from when it was planned to hold."""

    sensor_id: str | None
    sensor_type: str | None
    effective_from: Time | None
    settings: RuleSettings


class GroupsThen(VersionThen):
    """`settings`: groups and rests as in docs/alarm-rules.md."""

    settings: dict[str, Any]
