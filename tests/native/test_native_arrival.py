"""However readings arrive, one by one, in batches, in any order or long after, their excursions are the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from engine.facility.payloads import config_payload
from engine.model import SensorConfig, SensorStatus, SensorType

T0_US = 1_767_225_600_000_000
S = 1_000_000
STEP_S = 15
LATE_S_MAX = 300
LONG_AFTER_S = 10_000
LIMIT, DEADBAND = 20.0, 2.0
WITHIN = math.nextafter(LIMIT - DEADBAND, LIMIT)
GAS = SensorConfig("g", 2, "plant", "Gas", SensorType.GAS_DETECTION, SensorStatus.ACTIVE, STEP_S, T0_US, T0_US)
OTHERS = [{"rule": rule, "enabled": False} for rule in ("anomaly", "stale", "bad_value", "clock")]

Readings = Sequence[tuple[int, float]]
"""Second and value."""


@dataclass(frozen=True)
class Delays:
    on_s: int = 0
    off_s: int = 0


Excursion = tuple[int, int | None]
"""When it began and when it ended, as a rule with its delays has it; None: it stands."""

levels = st.sampled_from((15.0, 15.0, 19.0, 25.0, 25.0))  # below, within the deadband, above
signals = st.lists(levels, min_size=1, max_size=30).map(lambda values: [(n * STEP_S, v) for n, v in enumerate(values)])
delays = st.builds(Delays, st.sampled_from((0, 15, 30, 40)), st.sampled_from((0, 15, 30, 40)))
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=30)


def facility(delays: Delays) -> native.FacilityCore:
    core = native.FacilityCore("plant", json.dumps({"late_alarm_s_max": LATE_S_MAX}))
    high = {
        "rule": "high",
        "limit": LIMIT,
        "deadband": DEADBAND,
        "on_delay_s": delays.on_s,
        "off_delay_s": delays.off_s,
    }
    wanted = replace(GAS, settings={"rules": [high, *OTHERS]})
    core.apply("config", config_payload([wanted], facility_name="Alpha", at_us=T0_US))
    return core


def send(core: native.FacilityCore, readings: Readings, received_s: int) -> list[native.CoreEvent]:
    rows = [("g", T0_US + at_s * S, str(value)) for at_s, value in readings]
    return core.apply("batch", native.encode_batch("plant", rows, T0_US + received_s * S)).events


def pieces(readings: Readings, cuts: Iterable[int]) -> list[Readings]:
    """In their order; what the cuts leave over is one more."""
    made, rest = [], list(readings)
    for cut in cuts:
        made.append(rest[:cut])
        rest = rest[cut:]
    return [piece for piece in [*made, rest] if piece]


def live(delays: Delays, readings: Readings, cuts: Iterable[int] | None = None) -> list[native.CoreEvent]:
    """Each piece as soon as its last reading is there; without cuts one by one."""
    core = facility(delays)
    made = pieces(readings, [1] * len(readings) if cuts is None else cuts)
    return [event for piece in made for event in send(core, piece, piece[-1][0] + 1)]


def excursions(events: Iterable[native.CoreEvent]) -> list[Excursion]:
    found: list[Excursion] = []
    for event in events:
        at_s = (event.event_time_us - T0_US) // S
        if event.transition == "activated":
            found.append((at_s, None))
        else:
            assert event.transition == "returned", event.transition
            found[-1] = (found[-1][0], at_s)
    return found


def expected(delays: Delays, readings: Readings) -> list[Excursion]:
    """Written from the words of the rule: true for as long as its delay, from reading to reading."""
    found: list[Excursion] = []
    since_s: int | None = None
    for at_s, value in readings:
        stands = bool(found) and found[-1][1] is None
        turns = value <= LIMIT - DEADBAND if stands else value > LIMIT
        if not turns:
            since_s = None
            continue
        since_s = at_s if since_s is None else since_s
        if at_s - since_s >= (delays.off_s if stands else delays.on_s):
            since_s = None
            if stands:
                found[-1] = (found[-1][0], at_s)
            else:
                found.append((at_s, None))
    return found


def second_of(moment: str) -> int:
    return round(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) - T0_US // S


@settings(deadline=None)
@given(delays, signals, cuts)
def test_one_by_one_and_in_batches_they_are_what_the_rule_says(
    delays: Delays, readings: Readings, cuts: list[int]
) -> None:
    assert excursions(live(delays, readings)) == expected(delays, readings)
    assert excursions(live(delays, readings, cuts)) == expected(delays, readings)


@settings(deadline=None)
@given(delays, signals, cuts)
def test_delivered_long_after_they_are_counted_with_their_start_and_end(
    delays: Delays, readings: Readings, cuts: list[int]
) -> None:
    """What is over is told as the past, what stands when the present is reached with the time when it began."""
    now = [(LONG_AFTER_S, 15.0), (LONG_AFTER_S + 60, 15.0)]
    core = facility(delays)
    deliveries = pieces(readings, cuts)
    told = [event for piece in deliveries for event in send(core, piece, LONG_AFTER_S - 1)]
    told += [event for at_s, value in now for event in send(core, [(at_s, value)], at_s)]
    past = [event for event in told if event.transition == "past_excursion"]
    news = excursions(event for event in told if event.transition != "past_excursion")
    wanted = expected(delays, [*readings, *now])
    over = [each for each in wanted if each[1] is not None and each[1] < LONG_AFTER_S]
    assert all(event.late for event in past)
    said = [json.loads(event.explanation_json) for event in past]
    assert sum(each["excursions"] for each in said) == len(over)
    assert [second_of(said[0]["first"]), second_of(said[-1]["last"])] == [over[0][0], over[-1][1]] if said else not over
    assert news == [each for each in wanted if each not in over]


@pytest.mark.parametrize(("readings_above", "told"), [(3, [(45, 60)]), (2, [])])
def test_only_an_old_excursion_as_long_as_its_delay_is_told(readings_above: int, told: list[Excursion]) -> None:
    """Three readings are thirty seconds from the first to the last, two are fifteen: no ghost of those."""
    above = range(1, 1 + readings_above)
    readings = [(n * STEP_S, 25.0 if n in above else 15.0) for n in range(8)]
    core = facility(Delays(on_s=30))
    events = send(core, readings, LONG_AFTER_S) + send(core, [(LONG_AFTER_S, 15.0)], LONG_AFTER_S + 1)
    said = [json.loads(event.explanation_json) for event in events]
    assert [(second_of(each["first"]), second_of(each["last"])) for each in said] == told


@settings(deadline=None)
@given(st.data(), st.lists(levels, min_size=1, max_size=LATE_S_MAX // STEP_S), cuts)
def test_in_any_order_each_is_told_once_and_the_present_is_the_same(
    data: st.DataObject, values: list[float], cuts: list[int]
) -> None:
    """Without delays: with them what is told cannot be taken back when a late reading shows it to be otherwise."""
    readings = [(number * STEP_S, value if value != 19.0 else 15.0) for number, value in enumerate(values)]
    shuffled = data.draw(st.permutations(readings))
    sorted_core, core = facility(Delays()), facility(Delays())
    received_s = LATE_S_MAX - 1
    send(sorted_core, readings, received_s)
    events = [event for piece in pieces(shuffled, cuts) for event in send(core, piece, received_s)]
    begun_s = [(event.event_time_us - T0_US) // S for event in events if event.transition == "activated"]
    wanted = expected(Delays(), readings)
    # a reading of an excursion that came before its first may have told it
    of = [next(n for n, (begin, end) in enumerate(wanted) if begin <= at_s < (end or LATE_S_MAX)) for at_s in begun_s]
    assert sorted(of) == list(range(len(wanted)))
    present = [(alarm.alarm_key, alarm.active) for alarm in core.alarms() if alarm.active]
    assert present == [(alarm.alarm_key, alarm.active) for alarm in sorted_core.alarms() if alarm.active]


@settings(deadline=None)
@given(st.lists(st.floats(WITHIN, LIMIT + DEADBAND), min_size=1, max_size=40), cuts)
@example([WITHIN, LIMIT + DEADBAND] * 20, [1] * 40)
def test_noise_within_the_deadband_is_exactly_one_alarm(noise: list[float], cuts: list[int]) -> None:
    values = [LIMIT + 0.5, *noise]
    readings = [(number * STEP_S, value) for number, value in enumerate(values)]
    events = live(Delays(), readings, cuts)
    assert excursions(events) == [(0, None)]
    below = [*readings, (len(values) * STEP_S, LIMIT - DEADBAND)]
    assert excursions(live(Delays(), below, cuts)) == [(0, len(values) * STEP_S)]
