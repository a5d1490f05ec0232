"""What is tried for an alarm, what of its excursions was true, and what of them is told by others."""

from __future__ import annotations

import numpy as np
import pytest

from web.contract.proposal_shapes import Tuning
from web.proposals.candidates import DELAY_S_MAX, NOISES, candidates, noise_of
from web.proposals.living import Excursion, Subject
from web.proposals.truth import AHEAD_S_MAX, TRUE_S_MIN, Event, Excursions, retold, true_events, untold
from web.wire.alarms import Priority

S = 1_000_000
NOW = Tuning(deadband=0.5, on_delay_s=0.0, off_delay_s=0.0)


def of(*stood: tuple[float, float | None]) -> Excursions:
    """From second to second."""
    return Excursions(
        [Excursion(int(since * S), None if until is None else int(until * S), None) for since, until in stood]
    )


def events(*stood: tuple[float, float]) -> list[Event]:
    return [Event(int(since * S), int(until * S)) for since, until in stood]


@pytest.mark.parametrize(("priority", "most_s"), list(DELAY_S_MAX.items()))
def test_no_delay_is_tried_that_is_too_long_and_the_gentlest_come_first(priority: Priority, most_s: float) -> None:
    tried = candidates(Subject("Pressure", 5.0, "{}", "high"), NOW, priority, 1.0)
    delays_s = [each.on_delay_s for each in tried]
    assert max(delays_s) == most_s and delays_s == sorted(delays_s)
    assert [each.deadband for each in tried[: len(NOISES)]] == list(NOISES)
    assert NOW not in tried and len(tried) == len({each.model_dump_json() for each in tried})
    assert all(each.deadband is not None and each.deadband >= 0.5 and each.off_delay_s >= 0 for each in tried)
    slow = candidates(Subject("Pressure", 61.0, "{}", "high"), NOW, priority, 1.0)
    assert {each.on_delay_s for each in slow} == {0.0}, "a delay is over a reading later than it says"


def test_what_there_is_now_is_never_less_and_what_has_no_deadband_gets_none() -> None:
    now = Tuning(deadband=5.0, on_delay_s=10.0, off_delay_s=100.0)
    for each in candidates(Subject("Pressure", 5.0, "{}", "low"), now, "low", 1.0):
        assert each.deadband in {5.0, 6.0} and each.on_delay_s >= 10 and each.off_delay_s >= 100
    bare = Tuning(deadband=None, on_delay_s=0.0, off_delay_s=0.0)
    assert {each.deadband for each in candidates(Subject("Pressure", 5.0, "{}", "anomaly"), bare, "low", 1.0)} == {None}
    assert all(each.deadband == 0.5 for each in candidates(Subject("Pressure", 5.0, "{}", "high"), NOW, "low", 0.0))


def test_noise_is_what_changes_from_reading_to_reading() -> None:
    chance = np.random.default_rng(1)
    wave = 40 * np.sin(np.arange(20_000) / 2_000)
    assert noise_of(wave + chance.normal(0, 0.3, 20_000)) == pytest.approx(0.3, rel=0.05)
    assert noise_of(np.array([1.0, np.nan, 1.0, np.inf])) == 0.0
    assert noise_of(np.array([1.0, 1e300, -1e300, 1.0])) == 0.0, "which would be a deadband that nobody may set"


def test_what_stood_long_is_true_unless_somebody_says_otherwise() -> None:
    stood = of((0, 30), (100, 100 + TRUE_S_MIN), (1000, 999 + TRUE_S_MIN), (2000, None))
    end_us = int((2000 + TRUE_S_MIN) * S)
    long = events((100, 100 + TRUE_S_MIN), (2000, 2000 + TRUE_S_MIN))
    assert true_events(stood, {}, end_us, 5.0) == long
    assert true_events(stood, {}, end_us - 1, 5.0) == long[:1]
    assert true_events(stood, {}, end_us, 200.0) == [], "it stood for three readings"
    assert true_events(stood, {100 * S: "false"}, end_us, 5.0) == long[1:]
    assert true_events(stood, {100 * S: "expected"}, end_us, 5.0) == long
    assert true_events(stood, {0: "true"}, end_us, 5.0) == [*events((0, 30)), *long]
    assert true_events(stood, {50 * S: "true"}, end_us, 5.0) == [*events((50, 50)), *long], "nothing stood then"


@pytest.mark.parametrize(
    ("stood", "delays_s", "lost"),
    [
        ((5000.0, 6000.0), [0.0], 0),
        ((5020.0, 6000.0), [20.0], 0),
        ((5600.0, None), [600.0], 0),
        ((5000.0 - AHEAD_S_MAX, 5000.0), [0.0], 0),
        ((4999.9 - AHEAD_S_MAX, 6000.0), [], 1),
        ((4000.0, 4999.9), [], 1),
        ((5600.1, 6000.0), [], 1),
    ],
)
def test_what_is_true_is_told_by_what_begins_near_it(
    stood: tuple[float, float | None], delays_s: list[float], lost: int
) -> None:
    found = retold(events((5000, 5600)), of((0, 10), stood, (9000, 9001)))
    assert (found.delays_s, found.lost) == (delays_s, lost)


def test_nobody_is_told_of_what_nothing_stands_in() -> None:
    before = of((0, 10), (20, 25), (40, 50), (60, None))
    assert [one.since_us // S for one in untold(before, of((10, 15), (45, 46)))] == [60, 20], (
        "what stands is the longest"
    )
    assert [one.since_us // S for one in untold(of((0, 10), (20, None), (30, 50)), of())] == [20, 30, 0]
    assert untold(before, before) == [] and len(untold(before, of())) == 4
    assert [one.since_us // S for one in untold(of((0, 1), (2, 9), (10, 12)), of())] == [2, 10, 0]
