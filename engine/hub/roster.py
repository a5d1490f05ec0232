"""Which facilities and sensors the simulated field has, and their messages as the field hub writes them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from engine.hub.signals import MACHINES, PROFILES
from engine.model import FacilityType, SensorType

_PLACES = (
    ("North Ridge Storage", FacilityType.UNDERGROUND_STORAGE, "Cavern Road 4, Etzel", 7.90, 53.45),
    ("Harbour Import Terminal", FacilityType.IMPORT_TERMINAL, "Quay 12, Rotterdam", 4.05, 51.96),
    ("Willow Creek Processing", FacilityType.PROCESSING_PLANT, "Plant Lane 1, Midland", -102.08, 31.99),
    ("Blackwater Tank Farm", FacilityType.TANK_FARM, "Depot Street 9, Cushing", -96.77, 35.98),
    ("Eastern Trunk Pipelines", FacilityType.PIPELINES, "Compressor Station 7, Mallnow", 14.49, 52.46),
    ("Polar Rig Seven", FacilityType.DRILLING_RIG, None, 7.30, 65.10),
    ("Sunrise Export Terminal", FacilityType.EXPORT_TERMINAL, "Jetty Road 2, Gladstone", 151.25, -23.83),
)
_TYPES = tuple(PROFILES)


@dataclass(frozen=True, slots=True)
class SimulatedFacility:
    facility_id: str
    name: str
    type: FacilityType
    address: str | None
    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class SimulatedSensor:
    sensor_id: str
    facility: int
    type: SensorType


@dataclass(frozen=True, slots=True)
class Roster:
    """The field: sensors point into `facilities` by index."""

    facilities: tuple[SimulatedFacility, ...]
    sensors: tuple[SimulatedSensor, ...]


def make_roster(facilities: int, sensors: int, seed: int, *, machines: bool = False) -> Roster:
    """`facilities` with `sensors` each, and with `machines`. Ids follow from the seed: each start is the same field."""
    types = [_TYPES[n % len(_TYPES)] for n in range(sensors)] + (list(MACHINES) if machines else [])
    random = np.random.default_rng([seed, 0])
    places: list[SimulatedFacility] = []
    placed: list[SimulatedSensor] = []
    for number in range(facilities):
        name, type_, address, longitude, latitude = _PLACES[number % len(_PLACES)]
        lap = number // len(_PLACES)
        places.append(
            SimulatedFacility(
                _identity(random), f"{name} {lap + 1}" if lap else name, type_, address, longitude, latitude
            )
        )
        placed.extend(SimulatedSensor(_identity(random), number, type_) for type_ in types)
    return Roster(tuple(places), tuple(placed))


def setup_body(facility: SimulatedFacility, at_us: int) -> bytes:
    return _json(
        facility_id=facility.facility_id,
        facility_name=facility.name,
        address=facility.address,
        longitude=facility.longitude,
        latitude=facility.latitude,
        facility_type=facility.type.value,
        tracked_at=naive_utc(at_us),
    )


def activation_body(
    sensor: SimulatedSensor, facility: SimulatedFacility, expected_interval_s: int, at_us: int
) -> bytes:
    return _json(
        sensor_id=sensor.sensor_id,
        facility_id=facility.facility_id,
        address=facility.address,
        longitude=facility.longitude,
        latitude=facility.latitude,
        sensor_type=sensor.type.value,
        signal_interval=expected_interval_s,
        tracked_at=naive_utc(at_us),
    )


def reading(sensor: SimulatedSensor, facility: SimulatedFacility, at_us: int, value: float) -> dict[str, str]:
    """One reading as the contract has it: `data` is a string with two decimals."""
    return {
        "sensor_id": sensor.sensor_id,
        "facility_id": facility.facility_id,
        "tracked_at": naive_utc(at_us),
        "data": f"{value:.2f}",
    }


def naive_utc(at_us: int) -> str:
    """UTC without a zone suffix, always with microseconds."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_us % 1_000_000:06d}"


def _identity(random: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=random.bytes(16), version=4))


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()
