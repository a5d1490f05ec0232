"""When something is an alarm: rules of a sensor, and of a type of a facility's sensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.client.asking import Asking, quoted
from engine.client.rule_shapes import FacilityRules, SensorRules


class Rules:
    """Of one client, as `gis.rules`. To look needs View, to change Edit.

    `settings` is what docs/alarm-rules.md shows: any of profile, unit, number_format and rules. It replaces what was
    set before; an empty one takes it back.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def of(self, sensor_id: str) -> SensorRules:
        """What is set for the sensor and for its type, what holds, and who set it when."""
        return await self._client.get(SensorRules, _of_sensor(sensor_id))

    async def of_facility(self, facility_id: str) -> FacilityRules:
        """The same of each type that the facility has sensors of, or rules for."""
        return await self._client.get(FacilityRules, _of_facility(facility_id))

    async def set(self, sensor_id: str, settings: Mapping[str, Any]) -> SensorRules:
        """For this sensor alone. Unusable, in the core's words, for what would be refused."""
        return await self._client.send(SensorRules, "PUT", _of_sensor(sensor_id), dict(settings))

    async def set_facility(self, facility_id: str, sensor_type: str, settings: Mapping[str, Any]) -> FacilityRules:
        """For the facility's sensors of that type, now and later; rules of single sensors stay."""
        body = {**settings, "sensor_type": sensor_type}
        return await self._client.send(FacilityRules, "PUT", _of_facility(facility_id), body)


def _of_sensor(sensor_id: str) -> str:
    return f"/rules/sensor/{quoted(sensor_id)}"


def _of_facility(facility_id: str) -> str:
    return f"/rules/facility/{quoted(facility_id)}"
