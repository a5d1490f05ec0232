"""Sensors that a configuration retires or does not name any more: the core forgets them, and replay agrees."""

from __future__ import annotations

from dataclasses import replace

import pytest

import native
from engine.clock import US_PER_S
from engine.facility.payloads import config_payload
from engine.model import SensorConfig, SensorStatus, SensorType
from tests.fakes.messages import T0_US, batch


def sensor(sensor_id: str, sensor_no: int, **changes: object) -> SensorConfig:
    kind, status = SensorType.TEMPERATURE, SensorStatus.ACTIVE
    made = SensorConfig(sensor_id, sensor_no, "f", sensor_id, kind, status, 15, T0_US, T0_US)
    return replace(made, **changes)  # type: ignore[arg-type]


A, B = sensor("a", 1), sensor("b", 2)
RETIRED = replace(A, is_retired=True, status=SensorStatus.INACTIVE)


def apply(cores: list[native.FacilityCore], kind: str, payload: bytes) -> native.Effects:
    """To the first core; the second one replays what the first one writes to the log."""
    effects = cores[0].apply(kind, payload)
    cores[1].replay(kind, effects.log_payload)
    assert cores[0].snapshot() == cores[1].snapshot()
    return effects


@pytest.fixture
def cores() -> list[native.FacilityCore]:
    made = [native.FacilityCore("f", "{}") for _ in range(2)]
    apply(made, "config", config_payload([A, B], facility_name="F", at_us=T0_US))
    rows = [(name, at_s, "99") for at_s in range(0, 300, 15) for name in ("a", "b")]
    effects = apply(made, "batch", batch(*rows))
    assert [event.transition for event in effects.events if event.rule == "high"] == ["activated"] * 2
    return made


def test_a_retired_sensor_ends_its_alarms_and_is_not_known_any_more(cores: list[native.FacilityCore]) -> None:
    at_us = T0_US + 400 * US_PER_S
    effects = apply(cores, "config", config_payload([RETIRED, B], facility_name="F", at_us=at_us))
    assert {event.alarm_key for event in effects.events if event.transition == "returned"} >= {"1:high"}
    assert not [event for event in effects.events if event.sensor_no == 2]
    assert cores[0].sensor_ids() == ["b"]
    effects = apply(cores, "batch", batch(("a", 500, "21"), ("b", 500, "21")))
    assert [row[0] for row in effects.unknown] == ["a"]
    again = apply(cores, "config", config_payload([RETIRED, B], facility_name="F", at_us=at_us + 1))
    assert again.events == []


def test_a_sensor_that_is_not_named_goes_without_a_word(cores: list[native.FacilityCore]) -> None:
    effects = apply(cores, "config", config_payload([B], facility_name="F", at_us=T0_US + 400 * US_PER_S))
    assert effects.events == []
    assert cores[0].sensor_ids() == ["b"]
    effects = apply(cores, "config", config_payload([sensor("c", 3)], at_us=T0_US + 401 * US_PER_S))
    assert cores[0].sensor_ids() == ["b", "c"], "an incomplete configuration takes nobody away"


def test_one_that_comes_back_is_new_and_a_snapshot_keeps_it_all(cores: list[native.FacilityCore]) -> None:
    for at_s, sensors in ((400, [RETIRED, B]), (500, [A, B]), (600, [B]), (700, [replace(A, sensor_no=9), B])):
        apply(cores, "config", config_payload(sensors, facility_name="F", at_us=T0_US + at_s * US_PER_S))
    restored = native.FacilityCore.restore("f", cores[0].snapshot(), "{}")
    assert restored.snapshot() == cores[0].snapshot()
    rows = batch(*((name, 800 + at_s, "22") for at_s in range(0, 300, 15) for name in ("a", "b")))
    effects = restored.apply("batch", rows)
    assert effects.unknown == [] and effects.rows == 40
    assert {value.sensor_no for value in restored.latest()} == {9, 2}
