"""Series scored at once: the same bits as the live core stores for the same readings in the same order."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from native import (
    VIEW_NAMES,
    CoreEvent,
    FacilityCore,
    Flag,
    PayloadError,
    SeriesScorer,
    SeriesScores,
    encode_batch,
    score_facility,
    score_series,
)
from tests.native.test_native_core import START_US, S, config, sensor, tuples

KINDS = [("CompressorStatus", 10.0), ("ValveStatus", 5.0), ("Temperature", 60.0)]
SEED = 20_261_123


def field(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three sensors with faults, gaps, late and repeated readings, and values that are none."""
    chance = random.Random(seed)
    clock = [0.0] * len(KINDS)
    sensors: list[int] = []
    times: list[int] = []
    values: list[float] = []
    for _ in range(rows):
        index = chance.randrange(len(KINDS))
        interval_s = KINDS[index][1]
        clock[index] += interval_s * chance.choice([1, 1, 1, 1, 1, 1, 1, 0.9, 1.1, 40 if chance.random() < 0.01 else 1])
        odd = chance.random()
        late_s = 0.0 if odd > 0.02 else clock[index] if odd > 0.01 else interval_s * 3
        at_s = max(clock[index] - late_s, 0.0) if odd < 0.01 else clock[index]
        if 0.02 < odd < 0.03 and times:
            at_s = clock[index] = clock[index] - interval_s  # about the same time again
        value = 1014 + math.sin(clock[index] / 900) + chance.gauss(0, 0.1)
        value = {0: value, 1: float(int(clock[index] / 500) % 2), 2: value / 45}[index]
        value += chance.choice([30.0, -400.0]) if chance.random() < 0.001 else 0.0
        value = chance.choice([math.nan, math.inf, 1e15, 1e300, 5e-324]) if chance.random() < 0.004 else value
        sensors.append(index)
        times.append(START_US + int(at_s * S))
        values.append(value)
    return np.array(sensors, np.int32), np.array(times, np.int64), np.array(values)


def live(
    sensors: np.ndarray, times: np.ndarray, values: np.ndarray, rows_a_batch: int, rules: str = "{}"
) -> tuple[np.ndarray, np.ndarray, list[CoreEvent]]:
    """Scores, flags and transitions as the core hands them to the database."""
    core = FacilityCore("plant", "{}")
    changes = json.loads(rules)
    upserts = [sensor(str(i), i, kind, expected_interval_s=s, **changes) for i, (kind, s) in enumerate(KINDS)]
    core.apply("config", config(1, *upserts))
    columns = zip(sensors.tolist(), times.tolist(), values.tolist(), strict=True)
    rows = [(str(i), at, repr(value)) for i, at, value in columns]
    scores, flags, events = [], [], []
    for start in range(0, len(rows), rows_a_batch):
        effects = core.apply("batch", encode_batch("plant", rows[start : start + rows_a_batch], START_US))
        events += effects.events
        for _, _, _, _, score, flag in tuples(effects.copy_rows):
            scores.append(math.nan if score is None else score)
            flags.append(flag)
    return np.array(scores, np.float32), np.array(flags, np.int16), events


def told(event: CoreEvent) -> tuple[object, ...]:
    return event.alarm_key, event.transition, event.event_time_us, event.score, event.explanation_json


def moved(event: CoreEvent) -> tuple[object, ...]:
    return event.alarm_key, event.transition, event.event_time_us, event.value, event.limit


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one.view(np.int32), other.view(np.int32)))


def test_a_facility_is_scored_as_it_was_live() -> None:
    columns = field(20_000, SEED)
    scores, flags, events = live(*columns, rows_a_batch=97)
    twin = score_facility(*columns, [s for _, s in KINDS], types=[kind for kind, _ in KINDS])
    assert same_bits(twin.score, scores)
    assert np.array_equal(twin.flags, flags)
    for flag in (Flag.LATE, Flag.TEXT, Flag.ANOMALY, Flag.WARMING, Flag.OUT_OF_PHYSICAL_RANGE, Flag.CONFLICT):
        assert (twin.flags & flag).any(), f"the field has no {flag!r}"
    assert twin.alarming.any()
    assert [told(event) for _, event in twin.events] == [told(event) for event in events if not event.late]
    assert all(columns[1][row] == event.event_time_us for row, event in twin.events if event.sensor_no is not None)
    assert len(twin.events) > 4


def test_rules_that_are_set_tell_as_they_do_live() -> None:
    limits = [{"rule": "high", "limit": 1014.2, "deadband": 0.05, "on_delay_s": 20, "off_delay_s": 40}]
    rules = json.dumps({"rules": [*limits, {"rule": "anomaly", "enabled": False}]})
    columns = field(10_000, SEED + 4)
    _, _, events = live(*columns, 97, rules)
    intervals, kinds = [s for _, s in KINDS], [kind for kind, _ in KINDS]
    for spelled in (rules, [rules] * len(KINDS)):
        twin = SeriesScorer(intervals, types=kinds, rules_json=spelled).score(*columns)
        found = [told(event) for _, event in twin.events]
        assert found == [told(event) for event in events if not event.late]
        unscored = SeriesScorer(intervals, types=kinds, rules_json=spelled).unscored(*columns)
        assert [(row, moved(event)) for row, event in unscored] == [(row, moved(event)) for row, event in twin.events]
    assert sum(event.rule == "high" for _, event in twin.events) > 10
    assert not any(event.rule == "anomaly" for _, event in twin.events)
    usual = SeriesScorer(intervals, types=kinds).score(*columns)
    assert found != [told(event) for _, event in usual.events]
    with pytest.raises(PayloadError, match="loud"):
        SeriesScorer([1.0], rules_json='{"rules": [{"rule": "loud"}]}')
    with pytest.raises(ValueError, match="2 rules: one of each"):
        SeriesScorer([1.0], rules_json=["{}", "{}"])


def test_a_sensor_alone_is_scored_as_in_its_facility() -> None:
    sensors, times, values = field(10_000, SEED + 1)
    together = score_facility(sensors, times, values, [s for _, s in KINDS], types=[kind for kind, _ in KINDS])
    for index, (kind, interval_s) in enumerate(KINDS):
        own = sensors == index
        alone = score_series(times[own], values[own], interval_s, sensor_type=kind)
        assert same_bits(alone.score, together.score[own])
        assert np.array_equal(alone.flags, together.flags[own])
        assert np.array_equal(alone.shares, together.shares[own])


def test_the_facility_as_a_whole_is_judged_as_it_was_live() -> None:
    """After each batch the core's last word on the facility is the twin's last one so far, and the same was told."""
    chance, sensors, rows = np.random.default_rng(SEED), 3, 6_000
    wave = np.repeat(np.sin(np.arange(rows // sensors) / 20), sensors) + chance.normal(0, 0.05, rows)
    wave[4_500:4_800:3] = wave[4_200:4_500:3][::-1]  # one goes its own way, within its own bounds
    place = np.tile(np.arange(sensors, dtype=np.int32), rows // sensors)
    times = START_US + np.repeat(np.arange(rows // sensors), sensors) * 10 * S
    twin = score_facility(place, times, wave, [10.0] * sensors, types=["CompressorStatus"] * sensors)

    core = FacilityCore("plant", "{}")
    upserts = [sensor(str(i), i, "CompressorStatus", expected_interval_s=10) for i in range(sensors)]
    core.apply("config", config(1, *upserts))
    told, last = [], None
    for start in range(0, rows, 50):
        part = slice(start, start + 50)
        batch = list(
            zip(place[part].astype(str).tolist(), times[part].tolist(), map(repr, wave[part].tolist()), strict=True)
        )
        told += core.apply("batch", encode_batch("plant", batch, START_US)).events
        spoken = np.flatnonzero(~np.isnan(twin.facility_score[: start + 50]))
        last = core.facility_score()
        assert (last is None) == (len(spoken) == 0)
        if last is not None:
            row = spoken[-1]
            assert (last.score, last.threshold) == (twin.facility_score[row], twin.facility_threshold[row])
            assert last.alarming == twin.facility_alarming[row]
            assert [(int(name), share) for name, share in last.contributors] == dict(twin.contributors).get(row, [])
    assert last is not None
    assert [(event.alarm_key, event.transition, event.event_time_us, event.score) for _, event in twin.events] == [
        (event.alarm_key, event.transition, event.event_time_us, event.score) for event in told
    ]
    assert "facility:facility_anomaly" in {event.alarm_key for event in told}
    assert twin.facility_alarming.any() and twin.contributors[0][1][0][0] == 0


def test_pieces_give_what_the_whole_gives() -> None:
    sensors, times, values = field(5_000, SEED + 2)
    whole = score_facility(sensors, times, values, [s for _, s in KINDS])
    scorer = SeriesScorer([s for _, s in KINDS])
    pieces = [scorer.score(sensors[i : i + 333], times[i : i + 333], values[i : i + 333]) for i in range(0, 5_000, 333)]
    names = ("score", "threshold", "expected", "band", "flags", "alarming", "shares", "facility_score")
    for name in names:
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(joined, getattr(whole, name), equal_nan=joined.dtype.kind == "f"), name


def test_columns_have_an_entry_for_each_reading() -> None:
    twin: SeriesScores = score_series(np.arange(500) * S, np.sin(np.arange(500.0)), 1.0)
    assert len(twin) == 500
    assert twin.shares.shape == (500, len(VIEW_NAMES))
    assert np.isnan(twin.score[:100]).all()
    assert np.isfinite(twin.score[-100:]).all()
    assert len(score_series(np.array([], np.int64), np.array([]), 1.0)) == 0


@pytest.mark.parametrize(
    ("times", "values", "interval_s", "said"),
    [
        ([0, 1], [1.0], 1.0, "2 times, 1 values"),
        ([0, -1], [1.0, 2.0], 1.0, "row 1 is before 1970"),
        ([0], [1.0], -1.0, "expected_interval_s -1"),
        ([0], [1.0], math.nan, "expected_interval_s NaN"),
    ],
)
def test_mistakes_are_told(times: list[int], values: list[float], interval_s: float, said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        score_series(np.array(times), np.array(values), interval_s)


def test_what_is_not_known_is_told() -> None:
    one = np.array([0])
    with pytest.raises(PayloadError, match="unknown type"):
        score_series(one, np.array([1.0]), 1.0, sensor_type="Unheard")
    with pytest.raises(PayloadError, match="sensor of row 0"):
        score_facility(np.array([1], np.int32), one, np.array([1.0]), [1.0])
    with pytest.raises(PayloadError, match="tuning"):
        score_series(one, np.array([1.0]), 1.0, json.dumps({"unheard": 1}))
    with pytest.raises(TypeError, match="contiguous"):
        score_series(np.arange(4)[::2], np.array([1.0, 2.0]), 1.0)
