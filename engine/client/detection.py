"""How anomalies are looked for: per sensor, and per type of a facility's sensors. A sensor goes before its type."""

from __future__ import annotations

from typing import Any

from engine.client.asking import Asking, quoted
from engine.client.shapes import FacilityDetection, SensorDetection


class Detection:
    """Of one client, as `gis.detection`. To look needs View, to change Edit.

    `budget_days`: days in which one false alarm is accepted. `warming_readings`: readings before the score has a say.
    `physical_range`: what lies outside is a fault of the instrument. `is_on` False: scored, but no anomaly alarm.
    What is None stays as it is.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def of_sensor(self, sensor_id: str) -> SensorDetection:
        return await self._client.get(SensorDetection, _of_sensor(sensor_id))

    async def set_for_sensor(
        self,
        sensor_id: str,
        *,
        budget_days: float | None = None,
        warming_readings: int | None = None,
        physical_range: tuple[float, float] | None = None,
        is_on: bool | None = None,
    ) -> SensorDetection:
        body = _changes(budget_days, warming_readings, physical_range, is_on)
        return await self._client.send(SensorDetection, "PUT", _of_sensor(sensor_id), body)

    async def reset_sensor(self, sensor_id: str) -> SensorDetection:
        """As its type again."""
        return await self._client.send(SensorDetection, "DELETE", _of_sensor(sensor_id))

    async def of_facility(self, facility_id: str) -> FacilityDetection:
        return await self._client.get(FacilityDetection, _of_facility(facility_id))

    async def set_for_type(
        self,
        facility_id: str,
        sensor_type: str,
        *,
        budget_days: float | None = None,
        warming_readings: int | None = None,
        physical_range: tuple[float, float] | None = None,
        is_on: bool | None = None,
    ) -> FacilityDetection:
        """For the facility's sensors of that type, now and later."""
        body = {"sensor_type": sensor_type, **_changes(budget_days, warming_readings, physical_range, is_on)}
        return await self._client.send(FacilityDetection, "PUT", _of_facility(facility_id), body)

    async def reset_type(self, facility_id: str, sensor_type: str) -> FacilityDetection:
        """As by default again; settings of single sensors stay."""
        path = f"{_of_facility(facility_id)}?sensor_type={quoted(sensor_type)}"
        return await self._client.send(FacilityDetection, "DELETE", path)


def _changes(
    budget_days: float | None,
    warming_readings: int | None,
    physical_range: tuple[float, float] | None,
    is_on: bool | None,
) -> dict[str, Any]:
    low, high = physical_range or (None, None)
    changes = {
        "budget_days": budget_days,
        "warming_readings": warming_readings,
        "physical_low": low,
        "physical_high": high,
        "is_on": is_on,
    }
    return {name: value for name, value in changes.items() if value is not None}


def _of_sensor(sensor_id: str) -> str:
    return f"/detection/sensor/{quoted(sensor_id)}"


def _of_facility(facility_id: str) -> str:
    return f"/detection/facility/{quoted(facility_id)}"
