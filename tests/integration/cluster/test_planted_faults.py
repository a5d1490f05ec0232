"""The demo's field with its planted faults, fed straight to the core: what is found, and what is told for nothing.

Weeks pass in seconds, without bus, Ray or database; `python -m bench planted` prints more of the same.
"""

from __future__ import annotations

import sys

import pytest

from bench.planted import Result, Trial, run
from engine.hub.faults import FaultKind

pytestmark = pytest.mark.slow

NAMED = ("leak", "drift", "stuck", "spike", "gap", "stiction", "pump_trip")


def say(capsys: pytest.CaptureFixture[str], title: str, result: Result) -> None:
    found = ", ".join(f"{kind} {of.found} of {of.planted}" for kind, of in result.kinds.items() if of.planted)
    told = f"{sum(result.false.values())} false alarms in {result.healthy_days:.0f} sensor-days"
    with capsys.disabled():
        sys.stdout.write(f"\n  {title}: {found or 'nothing planted'}; {told}")


def test_the_demos_planted_faults_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(Trial(seed=1, days=30.0, every_s=36_000.0, without_limits=False))
    say(capsys, "with limits", result)
    for kind in map(FaultKind, NAMED):
        of_kind = result.kinds[kind]
        assert of_kind.planted >= 4 and of_kind.found > of_kind.planted / 2, f"{kind}: {of_kind}"
    assert sum(of_kind.found for of_kind in result.kinds.values()) >= 50
    assert sum(result.false.values()) <= result.false_max


def test_three_quarters_are_found_without_any_limit(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(Trial(seed=2, days=20.0, every_s=36_000.0))
    say(capsys, "without limits", result)
    planted = sum(of_kind.planted for of_kind in result.kinds.values())
    assert sum(of_kind.found for of_kind in result.kinds.values()) >= 0.75 * planted
    assert sum(result.false.values()) <= result.false_max


def test_modes_and_days_are_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Each facility changes its mode about fifty times a day."""
    result = run(Trial(seed=3, days=10.0, with_faults=False))
    say(capsys, "healthy", result)
    assert sum(result.false.values()) <= result.false_max
