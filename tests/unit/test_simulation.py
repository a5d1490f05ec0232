"""The simulated field: healthy signals stay healthy, planted faults bite, and a seed replays it all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import SettingsError
from engine.hub.faults import DEMO_KINDS, RECIPES, Fault, FaultKind, FaultPlanner, parse_schedule
from engine.hub.overlay import FaultOverlay
from engine.hub.roster import activation_body, make_roster, naive_utc, reading, setup_body
from engine.hub.signals import PROFILES, SignalBank
from engine.model import SensorType

START_S = 1_790_000_000.0


def bank(seed: int = 1, facilities: int = 2) -> SignalBank:
    types = list(PROFILES) * facilities
    return SignalBank(types, [n // len(PROFILES) for n in range(len(types))], seed)


def run(signals: SignalBank, sensors: int, steps: int, step_s: float) -> np.ndarray:
    index = np.arange(sensors)
    return np.array([signals.sample(index, np.full(sensors, START_S + n * step_s)) for n in range(steps)])


def test_the_hub_sends_eighteen_types() -> None:
    assert len(PROFILES) == 18
    assert SensorType.VALVE_STATUS not in PROFILES


def test_healthy_values_never_leave_the_normal_range() -> None:
    values = run(bank(), 36, 20_000, 30)  # a week
    low = np.array([profile.low for profile in PROFILES.values()] * 2)
    high = np.array([profile.high for profile in PROFILES.values()] * 2)
    assert (values.round(2) > low).all()
    assert (values.round(2) < high).all()


def test_signals_have_noise_memory_and_a_daily_cycle() -> None:
    values = run(bank(), 36, 8 * 2880, 30)
    steps = np.diff(values, axis=0)
    spread = values.std(axis=0)
    assert (steps.std(axis=0) > 0).all()
    assert (steps.std(axis=0) < spread).all()  # neighbours are alike: memory
    temperature = values[:, list(PROFILES).index(SensorType.TEMPERATURE)].reshape(8, 2880)
    by_hour = temperature.mean(axis=0)
    assert np.ptp(by_hour) > 1.0  # the same hours are warm every day


def test_one_seed_is_one_stream() -> None:
    assert np.array_equal(run(bank(7), 36, 50, 10), run(bank(7), 36, 50, 10))
    assert not np.array_equal(run(bank(7), 36, 50, 10), run(bank(8), 36, 50, 10))
    assert make_roster(3, 5, 7) == make_roster(3, 5, 7)
    assert make_roster(3, 5, 7) != make_roster(3, 5, 8)


def test_bodies_are_those_of_the_contract() -> None:
    roster = make_roster(9, 20, 1)
    assert len({sensor.sensor_id for sensor in roster.sensors}) == 180
    assert len({facility.name for facility in roster.facilities}) == 9
    facility, sensor = roster.facilities[0], roster.sensors[0]
    assert set(json.loads(setup_body(facility, 0))) == {
        *("facility_id", "facility_name", "address", "longitude", "latitude", "facility_type", "tracked_at")
    }
    activation = json.loads(activation_body(sensor, facility, 15, 0))
    assert activation["signal_interval"] == 15
    assert set(activation) == {
        *("sensor_id", "facility_id", "address", "longitude", "latitude"),
        *("sensor_type", "signal_interval", "tracked_at"),
    }
    assert reading(sensor, facility, 1_790_000_000_000_001, 12.3456) == {
        "sensor_id": sensor.sensor_id,
        "facility_id": facility.facility_id,
        "tracked_at": "2026-09-21T14:13:20.000001",
        "data": "12.35",
    }
    assert naive_utc(0) == "1970-01-01T00:00:00.000000"


def planted(text: str, interval_s: float) -> tuple[SignalBank, FaultOverlay, Fault]:
    """A facility of 18 sensors and three machines with one fault."""
    roster = make_roster(1, 18, 3, machines=True)
    signals = SignalBank([sensor.type for sensor in roster.sensors], [0] * len(roster.sensors), 3)
    overlay = FaultOverlay(signals.middle, signals.half, 3, interval_s)
    (fault,) = FaultPlanner(roster, 3, text, interval_s).until(1e9)
    overlay.add([fault])
    return signals, overlay, fault


def excursions(kind: FaultKind, interval_s: float) -> dict[str, list[bool]]:
    """Run one fault; for each expected rule whether the sensor violated it, and whether it was quiet outside."""
    signals, overlay, fault = planted(f"{kind}@60", interval_s)
    profiles = list(PROFILES.values())
    index = np.arange(21)
    heard_at: dict[int, list[float]] = {sensor: [0.0] for sensor in range(18)}
    sent_at: dict[int, list[float]] = {sensor: [0.0] for sensor in range(18)}
    outside: dict[int, set[str]] = {sensor: set() for sensor in range(18)}
    for step in range(int((fault.end_s + 200) / interval_s)):
        at_s = np.full(21, step * interval_s)
        shown_s = overlay.clocks(index, at_s)
        values, sent = overlay.apply(index, at_s, signals.sample(index, START_S + at_s))
        for sensor in np.flatnonzero(sent[:18]).tolist():
            sent_at[sensor].append(step * interval_s)
            if shown_s[sensor] > heard_at[sensor][-1]:
                heard_at[sensor].append(step * interval_s)
            if values[sensor].round(2) > profiles[sensor].high:
                outside[sensor].add("high")
            if values[sensor].round(2) < profiles[sensor].low:
                outside[sensor].add("low")
    for sensor, times in heard_at.items():
        if max(np.diff(times)) > max(5 * interval_s, 60) + 20:
            is_sent = max(np.diff(sent_at[sensor])) <= max(5 * interval_s, 60)
            outside[sensor].add("clock" if is_sent else "stale")
    wanted = {sensor: {rule} - {""} for sensor, rule in zip(fault.sensors, fault.expected_rules, strict=True)}
    return {
        "as expected": [outside.get(sensor, set()) == rules for sensor, rules in wanted.items()],
        "others quiet": [not rules for sensor, rules in outside.items() if sensor not in wanted],
    }


@pytest.mark.parametrize("interval_s", [2.0, 15.0, 60.0])
@pytest.mark.parametrize("kind", list(FaultKind))
def test_each_fault_violates_exactly_what_the_ledger_expects(kind: FaultKind, interval_s: float) -> None:
    found = excursions(kind, interval_s)
    assert found["as expected"] and all(found["as expected"])
    assert all(found["others quiet"])


def course(text: str, seconds: int = 60) -> tuple[list[float], list[float]]:
    """(healthy, with the fault) of the leading sensor, a value a second."""
    signals, overlay, fault = planted(text, 1)
    index = np.arange(21)
    healthy, seen = [], []
    for second in range(seconds):
        at_s = np.full(21, float(second))
        values = signals.sample(index, START_S + at_s)
        healthy.append(float(values[fault.sensors[0]]))
        seen.append(float(overlay.apply(index, at_s, values)[0][fault.sensors[0]]))
    return healthy, seen


def test_a_fault_changes_nothing_outside_its_time() -> None:
    for kind in DEMO_KINDS:
        healthy, seen = course(f"{kind}@10+40")
        assert seen[:10] + seen[50:] == healthy[:10] + healthy[50:], kind


def test_stuck_repeats_one_value_and_stiction_swings() -> None:
    assert len(set(course("stuck@10+40")[1][10:50])) == 1
    steps = np.abs(np.diff(course("stiction@10+40")[1][10:50]))
    assert (steps > 30).sum() == 3  # every ten seconds
    noise, healthy = course("noise@10+40")[1], course("noise@10+40")[0]
    assert np.diff(noise[10:50]).std() > 5 * np.diff(healthy[10:50]).std()


def test_a_smaller_fault_stays_in_the_normal_range() -> None:
    profile = PROFILES[SensorType.PRESSURE]
    healthy, seen = course("leak@10+40x0.1")
    assert healthy[49] - seen[49] == pytest.approx(0.3 * profile.half)
    assert seen[49] > profile.low


def test_a_counter_goes_on_from_nought() -> None:
    healthy, seen = course("counter_reset@30", 200)
    assert seen[29] == healthy[29] > 0.1
    assert seen[30] == 0
    assert seen[199] == pytest.approx(healthy[199] - healthy[30])
    assert (np.diff(healthy) >= 0).all()


def test_machines_show_what_machines_show() -> None:
    signals, _, _ = planted("gap@999999", 60)
    values = np.array([signals.sample(np.arange(21), np.full(21, START_S + n * 60)) for n in range(3000)])
    assert set(values[:, 18]) == {0.0, 1.0}
    assert set(values[:, 19]) <= {0.0, 25.0, 50.0, 75.0, 100.0} and len(set(values[:, 19])) > 2
    assert (np.diff(values[:, 20]) > 0).all()


def test_the_demo_plants_one_fault_a_minute_of_every_kind() -> None:
    faults = FaultPlanner(make_roster(3, 12, 1), 1, "demo", 15).until(1200)
    assert faults[0].start_s < 60
    assert np.diff([fault.start_s for fault in faults]).max() <= 60
    assert {fault.kind for fault in faults} == set(DEMO_KINDS)
    busy: dict[int, float] = {}
    for fault in faults:
        for sensor in fault.sensors:
            assert busy.get(sensor, 0) <= fault.start_s
            busy[sensor] = fault.end_s


def test_planning_in_pieces_is_planning_at_once() -> None:
    roster = make_roster(2, 10, 5)
    whole = FaultPlanner(roster, 5, "demo", 15).until(900)
    pieces = FaultPlanner(roster, 5, "demo", 15)
    assert [fault for end in range(100, 1000, 100) for fault in pieces.until(end)] == whole


def test_a_fault_without_the_sensors_it_needs_is_left_out() -> None:
    assert (
        FaultPlanner(make_roster(1, 2, 1), 1, "pump_trip@10,gas_alarm@20", 15).until(1e9)[0].kind is FaultKind.GAS_ALARM
    )


def test_a_short_gap_expects_no_alarm() -> None:
    (fault,) = FaultPlanner(make_roster(1, 18, 1), 1, "gap@10+20", 15).until(1e9)
    assert fault.rules == ("",)
    assert fault.duration_s == 20


def test_schedules_are_parsed_in_order_and_mistakes_explained() -> None:
    assert parse_schedule("none") == []
    assert parse_schedule("demo") is None
    assert parse_schedule("spike@200x0.5, leak@60+90") == [
        (FaultKind.LEAK, 60.0, 90.0, 1.0),
        (FaultKind.SPIKE, 200.0, None, 0.5),
    ]
    for wrong in ("leek@60", "leak", "leak@x", ""):
        with pytest.raises(SettingsError, match="kind@start"):
            parse_schedule(wrong)


def test_every_kind_has_a_recipe() -> None:
    assert set(RECIPES) == set(FaultKind)
