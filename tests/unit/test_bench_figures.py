"""What the benches compute from what they saw."""

from __future__ import annotations

import json
import os

import pytest

from bench.beside import figures_of as figures_beside
from bench.export import Rate
from bench.export import figures_of as figures_of_exports
from bench.feed import Feed
from bench.lags import Sent, recovery
from bench.memory import pss_of
from bench.neighbour import figures_of as figures_of_neighbours
from bench.recovery import GOAL_S, LOCK_S, figures_of
from bench.scale import Cost, bodies, cpu_s_of, per_actor
from bench.scale import figures_of as figures_of_scale
from bench.steady import Ledger, due
from engine.hub.roster import make_roster

KILL_US = 1_000_000_000
S = 1_000_000


def sent(accepted_s: float, committed_s: float | None, facility: int = 0) -> Sent:
    """A message by its seconds after the kill."""
    accepted_us = KILL_US + round(accepted_s * S)
    return Sent(facility, accepted_us, accepted_us, None if committed_s is None else KILL_US + round(committed_s * S))


def test_recovery_counts_what_was_in_flight_and_nothing_else() -> None:
    found = recovery([sent(-5, -4.9), sent(-0.1, 2.0), sent(0.2, 2.5), sent(1.0, 9.0)], KILL_US, 250_000)
    assert (found.seconds, found.locked_s, found.in_flight) == (2.5, None, 2)


def test_what_later_messages_of_its_facility_overtook_had_waited_for_its_lock() -> None:
    messages = [
        sent(-0.2, 15.1),
        sent(-0.1, 2.0),
        sent(0.5, 2.1),
        sent(-0.1, 4.0, facility=1),
        sent(3, 3.1, facility=2),
    ]
    found = recovery(messages, KILL_US, 250_000)
    assert (found.seconds, found.locked_s, found.in_flight) == (4.0, 15.1, 3)
    beyond = figures_of("reader", [found], GOAL_S)[-1]
    assert beyond.value == pytest.approx(15.1 - LOCK_S)
    assert beyond.met


def test_an_open_message_or_none_at_all_is_no_recovery() -> None:
    with pytest.raises(ValueError, match="not committed"):
        recovery([sent(-0.1, None)], KILL_US, 250_000)
    with pytest.raises(ValueError, match="in flight"):
        recovery([sent(-5, -4)], KILL_US, 250_000)


def test_the_slowest_kill_is_judged_too() -> None:
    quick, slow = recovery([sent(0, 1)], KILL_US, 250_000), recovery([sent(0, 6)], KILL_US, 250_000)
    median, slowest = figures_of("bus", [quick, quick, slow], GOAL_S)
    assert (median.value, median.met) == (1.0, True)
    assert (slowest.value, slowest.met) == (6.0, False)


def test_a_sender_keeps_its_rate_and_its_ledger() -> None:
    assert [due(20.0, now_s, sent=10) for now_s in (0.4, 0.5, 0.99, 1.0)] == [0, 0, 9, 10]
    ledger = Ledger()
    ledger.add(b"[5, [[1, 2], [3, 4]]]\n")
    assert ledger.accepted == [(5, 1, 2), (5, 3, 4)]


def test_the_neighbours_lag_is_judged_against_the_same_run() -> None:
    figures = figures_of_neighbours({"alone": [[0.01], [0.02]], "evenly": [[0.03], [0.03]]})
    ratios = {figure.name: figure for figure in figures if "ratio" in figure.name}
    assert [figure.runs for figure in ratios.values()] == [[3.0, 1.5], [3.0, 1.5]]
    assert [figure.met for figure in ratios.values()] == [False, False]


def test_an_export_is_compared_within_a_run_with_each_and_with_the_best() -> None:
    def rate(seconds: float) -> Rate:
        return Rate(1000, seconds, 2 * seconds)

    rates: dict[str, list[Rate | None]] = {
        "ours": [rate(1), rate(2)],
        "quick": [rate(2), rate(3)],
        "slow": [rate(3), rate(2.5)],
        "stuck": [rate(1), None],
    }
    found = {figure.name: figure for figure in figures_of_exports("Parquet", rates)}
    assert found["Parquet, ours"].runs == [1000, 500]
    assert found["Parquet, ours, a core"].runs == [500, 250]
    assert found["Parquet, ours over quick"].runs == [2, 1.5]
    assert found["Parquet, ours over the best"].runs == [2, 1.25]
    assert found["Parquet, ours over the best"].met is False
    assert [name for name in found if "stuck" in name] == ["Parquet, stuck: did not end in 120 s"]


def test_exports_beside_ingest_are_judged_against_the_run_without_them() -> None:
    lags = {"without": [[10.0] * 99 + [100.0], [10.0]], "with": [[12.0] * 99 + [150.0], [12.0]]}
    ratios = [figure for figure in figures_beside(lags) if "over" in figure.name]
    assert [figure.runs for figure in ratios] == [[1.2, 1.2], [1.5, 1.2]]
    assert [figure.met for figure in ratios] == [True, False]


def test_scale_compares_two_hundred_facilities_with_ten() -> None:
    assert [per_actor(facilities, cores=2) for facilities in (1, 10, 50, 200)] == [1, 2, 7, 25]
    costs = {n: Cost(1.0, 100.0, 8, [wall], [cpu]) for n, wall, cpu in ((1, 5, 5), (10, 10, 20), (200, 12, 21))}
    growth = {figure.name: figure for figure in figures_of_scale(costs) if " over " in figure.name}
    assert [(figure.value, figure.met) for figure in growth.values()] == [(1.05, True), (1.2, False)]


def test_a_message_of_scale_holds_one_facility() -> None:
    rows = [json.loads(body) for body in bodies(Feed(make_roster(3, 20, 1), 10**15), 1000)]
    assert {len(message) for message in rows} == {100}
    assert all(len({row["facility_id"] for row in message}) == 1 for message in rows)
    assert len(rows) >= 10


def test_the_kernel_is_read_right() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    fields = " ".join(["S", *["0"] * 10, str(ticks), str(ticks), "0", str(2 * ticks), "20"])
    assert cpu_s_of(f"7 (a (b) c) {fields}") == 4.0
    assert pss_of("00-ff ---p [rollup]\nRss:  9000 kB\nPss:  1000 kB\nPss_Dirty: 1 kB\n") == pytest.approx(1.024)
