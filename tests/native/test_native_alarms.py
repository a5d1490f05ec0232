"""Rules and commands as Python gives them to the core, and what it says of alarms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import native
from engine.facility.payloads import config_payload
from engine.model import SensorConfig, SensorStatus, SensorType

T0_US = 1_767_225_600_000_000
S = 1_000_000
GAS = SensorConfig("g", 2, "plant", "Gas", SensorType.GAS_DETECTION, SensorStatus.ACTIVE, 15, T0_US, T0_US)


def facility(settings: dict[str, Any]) -> native.FacilityCore:
    core = native.FacilityCore("plant", json.dumps({"shelve_s_max": 3600}))
    core.apply("config", config_payload([replace(GAS, settings=settings)], facility_name="Alpha", at_us=T0_US))
    return core


def send(core: native.FacilityCore, at_s: int, text: str) -> list[tuple[str, str]]:
    at_us = T0_US + at_s * S
    effects = core.apply("batch", native.encode_batch("plant", [("g", at_us, text)], at_us))
    return [(event.rule, event.transition) for event in effects.events]


def ask(core: native.FacilityCore, command: str, **more: object) -> list[native.CoreEvent]:
    asked = {"command_id": "c1", "at_us": T0_US, "actor": "user:7", "command": command, "alarm_key": "2:high"}
    return core.apply("command", json.dumps(asked | more).encode()).events


def test_what_is_set_of_a_sensor_reaches_its_rules() -> None:
    rules = [{"rule": "high_high", "limit": 30.5, "response": "leave"}, {"rule": "low", "enabled": False}]
    core = facility({"rules": rules, "profile": None, "strange": 1})
    assert send(core, 0, "3") == []
    assert send(core, 15, "31") == [("high", "activated"), ("high_high", "activated")]


def test_settings_that_are_not_of_alarms_do_not_reach_the_core() -> None:
    said = {"rules": [], "profile": "hub", "unit": "ppm", "number_format": "comma", "strange": 1}
    (upsert,) = json.loads(config_payload([replace(GAS, settings=said)], at_us=1))["sensors"]
    assert {name: upsert[name] for name in said if name in upsert} == {
        name: value for name, value in said.items() if name != "strange"
    }
    assert config_payload([GAS], at_us=1) == config_payload([replace(GAS, settings={"unit": None})], at_us=1)


def test_a_shelved_alarm_shows_until_when_and_for_whom() -> None:
    core = facility({})
    (event,) = ask(core, "shelve", reason="calibration", until_us=T0_US + 60 * S)
    assert (event.transition, event.actor, event.reason) == ("shelved", "user:7", "calibration")
    ask(core, "assign", command_id="c2", assignee="Ada")
    assert send(core, 15, "25") == [("high", "activated_silently")]
    (alarm,) = core.alarms()
    assert (alarm.state, alarm.suppression, alarm.until_us, alarm.assignee, alarm.active) == (
        "shelved",
        "shelved",
        T0_US + 60 * S,
        "Ada",
        True,
    )


def test_a_shelf_is_as_long_as_the_setting_allows() -> None:
    core = facility({})
    with pytest.raises(native.PayloadError, match="3600 are the most"):
        ask(core, "shelve", reason="long", until_us=T0_US + 3601 * S)
    assert len(ask(core, "shelve", reason="as long as it may be", until_us=T0_US + 3600 * S)) == 1


def test_rules_in_force_are_those_that_the_core_takes() -> None:
    wanted = json.dumps({"profile": "ambient_safety", "rules": [{"rule": "rate_of_change", "limit": 5}]})
    by_rule = {rule["rule"]: rule for rule in native.rules_in_force("GasDetection", wanted)}
    assert list(by_rule) == [
        "high", "high_high", "out_of_physical_range", "rate_of_change", "anomaly", "stale", "bad_value", "clock"
    ]  # fmt: skip
    high_high = by_rule["high_high"]
    assert (high_high["limit"], high_high["unit"], high_high["priority"]) == (40.0, "% LEL", "critical")
    assert (by_rule["rate_of_change"]["window_s"], high_high["window_s"]) == (60.0, None)
    assert [rule["rule"] for rule in native.rules_in_force("ValveStatus")] == ["anomaly", "stale", "clock"]


@pytest.mark.parametrize(
    ("sensor_type", "wanted", "says"),
    [
        ("Unheard", "{}", "unknown type"),
        ("Flow", '{"profile": "unheard"}', "unknown profile"),
        ("Flow", '{"rules": [{"rule": "high", "limit": "x"}]}', "invalid type"),
        ("Flow", '{"rules": [{"rule": "stale", "limit": 1}]}', "stale has no limit"),
    ],
)
def test_what_a_configuration_would_be_refused_for_is_said_before(sensor_type: str, wanted: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        native.rules_in_force(sensor_type, wanted)
