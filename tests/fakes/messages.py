"""What a field hub sends, in a few words: setups, activations, deactivations, readings; times in seconds after T0."""

from __future__ import annotations

import json

import native
from engine.clock import US_PER_S
from engine.messages import time_text
from engine.model import FacilitySetup, FacilityType, Location, SensorActivation, SensorDeactivation, SensorType

T0_US = 1_767_262_500 * US_PER_S  # 2026-01-01T10:15:00Z


def setup(facility_id: str = "f", name: str = "Alpha") -> FacilitySetup:
    return FacilitySetup(facility_id, name, FacilityType.TANK_FARM, Location(None, 10.0, 59.0), T0_US)


def activation(
    sensor_id: str = "s", at_s: float = 0, facility_id: str = "f", kind: SensorType = SensorType.TEMPERATURE
) -> SensorActivation:
    place = Location("Quay 1", 10.0, 59.0)
    return SensorActivation(sensor_id, facility_id, kind, place, 15, T0_US + round(at_s * US_PER_S))


def deactivation(sensor_id: str = "s", at_s: float = 0, facility_id: str = "f") -> SensorDeactivation:
    return SensorDeactivation(sensor_id, facility_id, T0_US + round(at_s * US_PER_S))


def batch(*rows: tuple[str, float, str], facility_id: str = "f", received_s: float | None = None) -> bytes:
    """Rows (sensor_id, seconds after T0, data); received right after the newest unless said."""
    newest_s = max(at_s for _, at_s, _ in rows)
    received_us = T0_US + round((newest_s if received_s is None else received_s) * US_PER_S)
    return native.encode_batch(
        facility_id, [(sensor_id, T0_US + round(at_s * US_PER_S), data) for sensor_id, at_s, data in rows], received_us
    )


def reading_body(sensor_id: str, at_s: float, data: str, facility_id: str = "f") -> bytes:
    at = time_text(T0_US + round(at_s * US_PER_S))
    return json.dumps({"sensor_id": sensor_id, "facility_id": facility_id, "tracked_at": at, "data": data}).encode()
