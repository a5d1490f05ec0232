"""Counters of many processes add up, also over restarts."""

from __future__ import annotations

from engine.metrics import SECONDS_BOUNDS, Ledger, Metrics, labels_text, merged


def test_snapshots_add_up_label_by_label() -> None:
    one, other = Metrics(), Metrics()
    one.add("a", queue="x")
    one.observe("t", 0.003, 2)
    other.add("a", 2, queue="x")
    other.add("a", queue="y")
    other.observe("t", 1000)
    total = merged(one.snapshot(), other.snapshot())
    assert total["counters"]["a"] == {'queue="x"': 3, 'queue="y"': 1}
    series = total["histograms"]["t"]["series"][""]
    assert series["counts"][SECONDS_BOUNDS.index(0.005)] == 2
    assert series["counts"][-1] == 1
    assert series["sum"] == 1000.006


def test_a_restart_loses_no_count_and_no_gauge_lives_on() -> None:
    ledger, first, second = Ledger(), Metrics(), Metrics()
    first.add("a", 5)
    first.gauge("g", 1)
    second.add("a", 2)
    ledger.put("host", "first", first.snapshot())
    ledger.put("host", "first", first.snapshot())
    ledger.put("host", "second", second.snapshot())
    assert ledger.total()["counters"] == {"a": {"": 7}}
    assert ledger.total()["gauges"] == {}


def test_labels_are_escaped_as_prometheus_wants() -> None:
    assert labels_text(reason='a "b"\n\\') == 'reason="a \\"b\\"\\n\\\\"'


def test_what_several_web_processes_count_does_not_mix() -> None:
    one, other = Metrics(process="web-1"), Metrics(process="web-2")
    for metrics, clients in ((one, 3), (other, 4)):
        metrics.gauge("clients", clients, kind="notifications")
        metrics.add("left_out")
    assert merged(one.snapshot(), other.snapshot())["gauges"]["clients"] == {
        'process="web-1",kind="notifications"': 3,
        'process="web-2",kind="notifications"': 4,
    }
    assert one.snapshot()["counters"]["left_out"] == {'process="web-1"': 1}
