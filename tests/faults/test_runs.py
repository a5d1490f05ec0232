"""Seeded fault runs: whatever dies, hangs or is lost on the way, what was committed is what there is.

A failing seed says how to replay it; `pytest tests/faults --seeds 20000` runs many.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import pytest

from tests.faults.run import World
from tests.faults.seeds import seeded
from tests.faults.telling import POINT
from tests.faults.upkeep import POINTS

pytestmark = pytest.mark.slow

_totals: Counter[str] = Counter()


def test_run(world: World, runner: asyncio.Runner, seed: int) -> None:
    run = seeded(world, seed)
    try:
        runner.run(run.go())
        runner.run(run.check())
    except BaseException:
        tail = "\n".join(run.scheduler.trace[-200:])
        sys.stdout.write(f"{tail}\nreplay: pytest tests/faults -k test_run --seed {seed}\n")
        raise
    _totals.update(run.broker.counts)
    _totals.update(run.history.counts)
    _totals.update(fault.kind for fault in run.menu.faults)
    _totals.update(fault.point for fault in run.menu.faults if fault.point in {*POINTS, POINT})
    _totals["runs"] += 1
    _totals["steps"] += run.scheduler.steps


def test_the_faults_bit(request: pytest.FixtureRequest) -> None:
    """Over all runs every kind of trouble happened; else the runs above prove less than they seem to."""
    if _totals["runs"] < 100:
        pytest.skip(f"only {_totals['runs']} runs")
    sys.stdout.write(f"{dict(sorted(_totals.items()))}\n")
    for name in (
        "redeliveries",
        "locks_expired",
        "locks_lost",
        "fenced",
        "unknown",
        "answers_lost",
        "unreachable",
        "lost_answers",
        "forgotten",
        "kill",
        "pause",
        "stall",
        "cut",
        "orphan",
        "die",
        "fail",
        *POINTS,
        "commands_done",
        "commands_refused",
        POINT,
        "told",
        "told_again",
        "escalated",
        "receiver_away",
        "receiver_hung_up",
    ):
        assert _totals[name] > 0, f"{name} never happened in {_totals['runs']} runs"
    assert _totals["loads"] > _totals["runs"], "nothing was ever loaded again"
