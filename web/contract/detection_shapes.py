"""The JSON about how anomalies are looked for: what is set for a sensor, for a type of a facility, and what holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictBool, StrictFloat, model_validator

from engine.model import SensorType
from native import BUDGET_DAYS_MAX, PHYSICAL_MAX

BUDGET_DAYS_MIN = 0.1
WARMING_READINGS_MIN = 50
"""Fewer tell nothing about what is rare."""
WARMING_READINGS_MAX = 100_000

BudgetDays = Annotated[
    StrictFloat, Field(ge=BUDGET_DAYS_MIN, le=BUDGET_DAYS_MAX, description="days in which one false alarm is accepted")
]
WarmingReadings = Annotated[
    int,
    Field(ge=WARMING_READINGS_MIN, le=WARMING_READINGS_MAX, description="readings before the score has a say"),
]
PhysicalLow = Annotated[
    StrictFloat,
    Field(
        ge=-PHYSICAL_MAX,
        le=PHYSICAL_MAX,
        description="below it a reading is a fault of the instrument; in the sensor's unit, with `physical_high`",
    ),
]
PhysicalHigh = Annotated[
    StrictFloat, Field(ge=-PHYSICAL_MAX, le=PHYSICAL_MAX, description="the same above; with `physical_low`")
]
IsOn = Annotated[StrictBool, Field(description="false: readings are scored, but raise no anomaly alarm")]


class DetectionSettings(BaseModel):
    """What is set; null: not said here."""

    budget_days: float | None = None
    warming_readings: int | None = None
    physical_low: float | None = None
    physical_high: float | None = None
    is_on: bool | None = None


class DetectionInForce(BaseModel):
    """What holds, whoever said it."""

    budget_days: float
    warming_readings: int
    physical_low: float
    physical_high: float
    is_on: bool


class SensorDetection(BaseModel):
    """What is set for the sensor goes before what is set for its type in the facility, and that before the default."""

    sensor_id: str
    sensor_type: SensorType
    of_sensor: DetectionSettings
    of_type: DetectionSettings
    in_force: DetectionInForce


class TypeDetection(BaseModel):
    sensor_type: SensorType
    of_type: DetectionSettings
    in_force: DetectionInForce = Field(description="for sensors that have no settings of their own")


class FacilityDetection(BaseModel):
    facility_id: str
    types: list[TypeDetection] = Field(description="each that the facility has sensors of, or settings for")


class DetectionChanges(BaseModel):
    """What is absent or null stays as it is. The limits of the physical range go together."""

    budget_days: BudgetDays | None = None
    warming_readings: WarmingReadings | None = None
    physical_low: PhysicalLow | None = None
    physical_high: PhysicalHigh | None = None
    is_on: IsOn | None = None

    @model_validator(mode="after")
    def _limits_go_together(self) -> DetectionChanges:
        low, high = self.physical_low, self.physical_high
        if (low is None) != (high is None):
            raise ValueError("physical_low and physical_high go together: give both or neither")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"physical_low {low:g} should be below physical_high {high:g}")
        return self


class TypeDetectionChanges(DetectionChanges):
    sensor_type: SensorType
