"""What may be set of how anomalies are looked for: each limit on both sides, and what goes over what."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

import native
from engine.model import SensorType
from native import Flag
from web.api.detection import in_force
from web.contract import detection_shapes as shapes
from web.contract.detection_shapes import DetectionChanges, DetectionSettings

GOOD = [
    {},
    {"budget_days": None, "is_on": None},
    {"budget_days": shapes.BUDGET_DAYS_MIN},
    {"budget_days": native.BUDGET_DAYS_MAX},
    {"warming_readings": shapes.WARMING_READINGS_MIN},
    {"warming_readings": shapes.WARMING_READINGS_MAX},
    {"physical_low": -native.PHYSICAL_MAX, "physical_high": native.PHYSICAL_MAX},
    {"physical_low": 0, "physical_high": 1e-9},
]
BAD = [
    ({"budget_days": 0.09}, "greater than or equal to 0.1"),
    ({"budget_days": 3650.1}, "less than or equal to 3650"),
    ({"budget_days": math.nan}, "less than or equal to 3650"),
    ({"warming_readings": 49}, "greater than or equal to 50"),
    ({"warming_readings": 100_001}, "less than or equal to 100000"),
    ({"physical_low": -1.1e12, "physical_high": 0}, "greater than or equal to -1000000000000"),
    ({"physical_low": 0, "physical_high": 1.1e12}, "less than or equal to 1000000000000"),
    ({"physical_low": -math.inf, "physical_high": 0}, "greater than or equal to -1000000000000"),
    ({"budget_days": True}, "valid number"),
    ({"is_on": 0}, "valid boolean"),
    ({"physical_low": 3}, "give both or neither"),
    ({"physical_high": 3}, "give both or neither"),
    ({"physical_low": 3, "physical_high": 3}, "physical_low 3 should be below physical_high 3"),
]


@pytest.mark.parametrize("body", GOOD)
def test_what_is_within_the_limits_is_taken(body: dict[str, object]) -> None:
    assert DetectionChanges.model_validate(body).model_dump(exclude_unset=True) == body


@pytest.mark.parametrize(("body", "said"), BAD)
def test_what_is_beyond_a_limit_is_told_with_what_would_be_right(body: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DetectionChanges.model_validate(body)


@pytest.mark.parametrize("kind", SensorType)
def test_the_core_takes_whatever_may_be_set(kind: SensorType) -> None:
    """A configuration that it refused would keep the whole facility from being loaded."""
    core = native.FacilityCore("f", "{}")
    for number, body in enumerate(GOOD, start=1):
        detection = DetectionChanges.model_validate(body).model_dump(exclude_none=True)
        core.apply("config", upsert(number, kind, detection))
    assert len(core.sensor_ids()) == len(GOOD)


def test_each_setting_changes_what_the_core_says() -> None:
    """The settings of series are those of a configuration, so the facility's core does the same."""
    chance = np.random.default_rng(5)
    values = np.append(22 + 0.05 * chance.standard_normal(400), 24.5)
    at_us = np.arange(len(values), dtype=np.int64) * 15_000_000

    def scored(**detection: object) -> native.SeriesScores:
        return native.score_series(at_us, values, 15.0, json.dumps(detection), "Temperature")

    plain, rare, often = scored(), scored(budget_days=200), scored(budget_days=2)
    assert rare.threshold[-1] - plain.threshold[-1] == pytest.approx(1, abs=1e-5)
    assert plain.threshold[-1] - often.threshold[-1] == pytest.approx(1, abs=1e-5)
    off, early = scored(is_on=False), scored(warming_readings=100)
    assert plain.alarming[-1] and not off.alarming.any()
    assert np.array_equal(off.score, plain.score, equal_nan=True)
    assert np.isnan(plain.score[250]) and not np.isnan(early.score[250])
    narrow = scored(physical_low=20, physical_high=24)
    assert np.isnan(narrow.score[-1]) and narrow.flags[-1] & Flag.OUT_OF_PHYSICAL_RANGE
    with pytest.raises(ValueError, match="budget"):
        scored(budget=5)


def upsert(number: int, kind: SensorType, detection: dict[str, object]) -> bytes:
    sensor = {"op": "upsert", "sensor_id": f"s{number}", "sensor_no": number, "type": kind.value, "status": "Active"}
    return json.dumps(
        {"version": 1, "sensors": [{**sensor, "expected_interval_s": 15, "detection": detection}]}
    ).encode()


def test_a_sensor_goes_before_its_type_and_the_type_before_the_default() -> None:
    default = native.detection_defaults("Pressure")
    assert default == {
        "budget_days": 20.0, "warming_readings": 300, "physical_low": -2000.0, "physical_high": 1e7, "is_on": True
    }  # fmt: skip
    of_type = DetectionSettings(budget_days=60.0, is_on=False, warming_readings=None)
    held = in_force(SensorType.PRESSURE, of_type, DetectionSettings(budget_days=5.0, is_on=None))
    assert held.model_dump() == {**default, "budget_days": 5.0, "is_on": False}
    with pytest.raises(ValueError, match="Unheard"):
        native.detection_defaults("Unheard")
