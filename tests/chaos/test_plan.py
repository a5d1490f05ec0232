"""The plan of a chaos run: what the seed decides, and that nothing is left out."""

from __future__ import annotations

from collections import Counter

from engine.faultpoints import POINTS
from tests.chaos.plan import ALWAYS, CHEAP, EXPENSIVE, FULL_RUN_S, make_plan, point_of
from tests.chaos.victims import kind_of


def test_the_same_seed_strikes_the_same() -> None:
    assert make_plan(7, 120, 20) == make_plan(7, 120, 20) != make_plan(8, 120, 20)


def test_a_full_run_has_every_kind_and_every_point() -> None:
    plan = make_plan(1, FULL_RUN_S, 270)
    struck = Counter((blow.kind, blow.means) for blow in plan)
    assert len(plan) == 270
    assert set(struck) == {(kind, means) for kind, means, _ in (*CHEAP, *EXPENSIVE)}
    assert all(struck[kind, means] == times for kind, means, times in EXPENSIVE)
    assert {point_of(blow) for blow in plan if blow.kind == "point"} == POINTS
    assert plan == sorted(plan, key=lambda blow: blow.at_s)
    assert plan[0].at_s > 0 and plan[-1].at_s < FULL_RUN_S


def test_a_short_run_has_an_engine_kill_and_stays_cheap() -> None:
    struck = Counter((blow.kind, blow.means) for blow in make_plan(1, 120, 18))
    assert struck["engine", "SIGKILL"] == 1
    assert sum(struck[kind, means] for kind, means, _ in EXPENSIVE) == ALWAYS


def test_victims_are_known_by_their_command_lines() -> None:
    assert kind_of([b"ray::IntakeActor.status"]) == "reader"
    assert kind_of([b"ray::FacilityActor"]) == "facility actor"
    assert kind_of([b"/ray/core/src/ray/raylet/raylet", b"--x"]) == "raylet"
    assert kind_of([b"/ray/core/src/ray/gcs/gcs_server"]) == "GCS"
    assert kind_of([b"/python", b"-m", b"engine"]) == "engine"
    assert kind_of([b"/python", b"-m", b"engine.commands.cli.app", b"up"]) is None
    assert kind_of([b"/python", b"-u", b"ray/dashboard/agent.py"]) is None
