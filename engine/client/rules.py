"""When something is an alarm: rules of a sensor, and of a type of a facility's sensors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.client.asking import Asking, Part, quoted
from engine.client.history import spelled
from engine.client.rule_shapes import FacilityRules, PlannedRules, RulesThen, SensorRules

VERSIONS = 100


class Rules:
    """Of one client, as `gis.rules`. To look needs View, to change Edit.

    `settings` is what docs/alarm-rules.md shows: any of profile, unit, number_format and rules. It replaces what was
    set before; an empty one takes it back.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def of(self, sensor_id: str, *, at: datetime | None = None) -> SensorRules:
        """What is set for the sensor and for its type, what holds, and who set it when; or so `at` a moment."""
        return await self._client.get(SensorRules, _of_sensor(sensor_id), **of_moment(at))

    async def of_facility(self, facility_id: str, *, at: datetime | None = None) -> FacilityRules:
        """The same of each type that the facility has sensors of, or rules for."""
        return await self._client.get(FacilityRules, _of_facility(facility_id), **of_moment(at))

    async def set(self, sensor_id: str, settings: Mapping[str, Any], *, reason: str | None = None) -> SensorRules:
        """For this sensor alone. Unusable, in the core's words, for what would be refused."""
        body = {**settings, **because(reason)}
        return await self._client.send(SensorRules, "PUT", _of_sensor(sensor_id), body)

    async def set_facility(
        self, facility_id: str, sensor_type: str, settings: Mapping[str, Any], *, reason: str | None = None
    ) -> FacilityRules:
        """For the facility's sensors of that type, now and later; rules of single sensors stay."""
        body = {**settings, "sensor_type": sensor_type, **because(reason)}
        return await self._client.send(FacilityRules, "PUT", _of_facility(facility_id), body)

    async def history(self, sensor_id: str, *, skip: int = 0, limit: int = VERSIONS) -> Part[RulesThen]:
        """Versions of the sensor's own rules and of its type's, the newest first."""
        path = f"/rule-history/sensor/{quoted(sensor_id)}"
        return await self._client.part(RulesThen, path, skip=skip, limit=limit)

    async def history_of_facility(self, facility_id: str, *, skip: int = 0, limit: int = VERSIONS) -> Part[RulesThen]:
        """Versions of the rules of types of the facility's sensors, the newest first."""
        path = f"/rule-history/facility/{quoted(facility_id)}"
        return await self._client.part(RulesThen, path, skip=skip, limit=limit)

    async def plan(
        self, sensor_id: str, settings: Mapping[str, Any], effective_from: datetime, *, reason: str | None = None
    ) -> PlannedRules:
        """They replace what is set for the sensor at that moment. Refused when too many are planned."""
        body = {**settings, "effective_from": spelled(effective_from), **because(reason)}
        return await self._client.send(PlannedRules, "POST", f"/planned-rules/sensor/{quoted(sensor_id)}", body)

    async def plan_for_facility(
        self,
        facility_id: str,
        sensor_type: str,
        settings: Mapping[str, Any],
        effective_from: datetime,
        *,
        reason: str | None = None,
    ) -> PlannedRules:
        """The same for the facility's sensors of that type."""
        body = {**settings, "sensor_type": sensor_type, "effective_from": spelled(effective_from), **because(reason)}
        return await self._client.send(PlannedRules, "POST", f"/planned-rules/facility/{quoted(facility_id)}", body)

    async def planned(self, sensor_id: str, *, skip: int = 0, limit: int = VERSIONS) -> Part[PlannedRules]:
        """For the sensor and its type, in the order in which they will hold."""
        path = f"/planned-rules/sensor/{quoted(sensor_id)}"
        return await self._client.part(PlannedRules, path, skip=skip, limit=limit)

    async def planned_of_facility(
        self, facility_id: str, *, skip: int = 0, limit: int = VERSIONS
    ) -> Part[PlannedRules]:
        """For all of the facility's sensors and types, in the order in which they will hold."""
        path = f"/planned-rules/facility/{quoted(facility_id)}"
        return await self._client.part(PlannedRules, path, skip=skip, limit=limit)

    async def withdraw(self, facility_id: str, planned_id: int) -> PlannedRules:
        """They will not hold. NotFound where they hold already."""
        path = f"/planned-rules/{planned_id}?facility_id={quoted(facility_id)}"
        return await self._client.send(PlannedRules, "DELETE", path)


def of_moment(at: datetime | None) -> dict[str, str]:
    """As a query."""
    return {} if at is None else {"at": spelled(at)}


def because(reason: str | None) -> dict[str, str]:
    """As part of a body."""
    return {} if reason is None else {"reason": reason}


def _of_sensor(sensor_id: str) -> str:
    return f"/rules/sensor/{quoted(sensor_id)}"


def _of_facility(facility_id: str) -> str:
    return f"/rules/facility/{quoted(facility_id)}"
