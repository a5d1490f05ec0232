"""Counters, gauges and histograms of one process as plain dicts that travel, add up and are printed by the web server.

A snapshot is JSON: {"counters": {name: {labels: n}}, "gauges": the same, "histograms": {name: {"bounds": [...],
"series": {labels: {"counts": [...], "sum": s}}}}}. `labels` is Prometheus text without braces: `queue="data"`.
`counts` has one cell a bound and one for everything above, not cumulated.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

Snapshot = dict[str, Any]

MESSAGES: Final = "gasinsight_messages_total"
REDELIVERIES: Final = "gasinsight_redeliveries_total"
READINGS: Final = "gasinsight_readings_total"
LATE_READINGS: Final = "gasinsight_late_readings_total"
IGNORED: Final = "gasinsight_ignored_total"
PARKED: Final = "gasinsight_parked_total"
DEAD_LETTERS: Final = "gasinsight_dead_letters_total"
DEAD_LETTERS_GONE: Final = "gasinsight_dead_letters_gone_total"
LIMIT_USED: Final = "gasinsight_limit_used"
LIMIT_MOST: Final = "gasinsight_limit_most"
INGEST_LAG: Final = "gasinsight_ingest_lag_seconds"
COMMIT: Final = "gasinsight_commit_seconds"
ACTOR_RESTARTS: Final = "gasinsight_actor_restarts_total"
FENCED_WRITES: Final = "gasinsight_fenced_writes_total"
RELOADS: Final = "gasinsight_reloads_total"
REBUILDS: Final = "gasinsight_rebuilds_total"
STRAY_READINGS: Final = "gasinsight_stray_readings"
NOTIFICATIONS: Final = "gasinsight_notifications_total"

HELP: Final[dict[str, str]] = {
    MESSAGES: "Bus messages by queue and by what became of them",
    REDELIVERIES: "Messages received again, by queue",
    READINGS: "Readings committed",
    LATE_READINGS: "Readings older than their sensor's newest",
    IGNORED: "Input without effect, by reason (known facility, sensor of another facility, older status change)",
    PARKED: "Input set aside until its parent arrives, by kind",
    DEAD_LETTERS: "Messages and rows that will never take effect, by reason",
    DEAD_LETTERS_GONE: "Dead letters that were removed, by reason (dead_letters_max, dead_letters_days_max)",
    LIMIT_USED: "What is there of what a setting limits, by setting; of one per facility, in the fullest",
    LIMIT_MOST: "What there may be at most, by setting",
    INGEST_LAG: "Seconds from a message's arrival at the broker to its commit",
    COMMIT: "Seconds a facility's outcome waited for its commit",
    ACTOR_RESTARTS: "Actors of the engine that were started again",
    FENCED_WRITES: "Outcomes refused because a newer incarnation owns the facility",
    RELOADS: "Facilities loaded from checkpoint and commit log, by reason",
    REBUILDS: "Facilities rebuilt from stored readings, because checkpoint or commit log could not be read",
    STRAY_READINGS: "Readings in the default partition, whose day has no partition of its own (at most 10000 counted)",
    NOTIFICATIONS: "Tries to send a notification, by kind of channel and outcome (delivered, failed, given_up)",
}

SECONDS_BOUNDS: Final = tuple(
    ms / 1000 for ms in (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000)
)


def labels_text(**labels: str) -> str:
    """Labels as Prometheus writes them inside the braces, in the order given."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


class Metrics:
    """What one process counts. Not thread-safe on purpose: one event loop owns it. `labels` are on every series."""

    def __init__(self, **labels: str) -> None:
        self._labels = labels
        self._counters: dict[str, dict[str, float]] = {}
        self._gauges: dict[str, dict[str, float]] = {}
        self._histograms: dict[str, dict[str, tuple[list[int], list[float]]]] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count `amount` more of `name`."""
        series = self._counters.setdefault(name, {})
        key = labels_text(**self._labels, **labels)
        series[key] = series.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """`name` is `value` now."""
        self._gauges.setdefault(name, {})[labels_text(**self._labels, **labels)] = value

    def observe(self, name: str, seconds: float, count: int = 1, **labels: str) -> None:
        """Add `count` observations of `seconds` to the histogram `name`."""
        series = self._histograms.setdefault(name, {})
        key = labels_text(**self._labels, **labels)
        if key not in series:
            series[key] = ([0] * (len(SECONDS_BOUNDS) + 1), [0.0])
        counts, total = series[key]
        counts[bisect_left(SECONDS_BOUNDS, seconds)] += count
        total[0] += seconds * count

    def snapshot(self) -> Snapshot:
        """Everything counted so far, as JSON-ready values of its own."""
        return {
            "counters": {name: dict(series) for name, series in self._counters.items()},
            "gauges": {name: dict(series) for name, series in self._gauges.items()},
            "histograms": {
                name: {
                    "bounds": list(SECONDS_BOUNDS),
                    "series": {
                        key: {"counts": list(counts), "sum": total[0]} for key, (counts, total) in series.items()
                    },
                }
                for name, series in self._histograms.items()
            },
        }


def merged(*snapshots: Snapshot) -> Snapshot:
    """The sum of several processes: counters, gauges and histograms added label by label."""
    total: Snapshot = {"counters": {}, "gauges": {}, "histograms": {}}
    for snapshot in snapshots:
        for kind in ("counters", "gauges"):
            for name, series in snapshot.get(kind, {}).items():
                into = total[kind].setdefault(name, {})
                for key, value in series.items():
                    into[key] = into.get(key, 0) + value
        for name, histogram in snapshot.get("histograms", {}).items():
            _add_histogram(total["histograms"], name, histogram)
    return total


class Ledger:
    """Adds up snapshots of many processes; what a process counted before it was restarted is not lost."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, Snapshot]] = {}
        self._gone: Snapshot = merged()

    def put(self, source: str, incarnation: str, snapshot: Snapshot) -> None:
        """The newest snapshot of a source. Gauges of an earlier incarnation are over."""
        held = self._latest.get(source)
        if held is not None and held[0] != incarnation:
            self._gone = merged(self._gone, {**held[1], "gauges": {}})
        self._latest[source] = (incarnation, snapshot)

    def total(self) -> Snapshot:
        """Everything counted so far, by everybody."""
        return merged(self._gone, *(snapshot for _, snapshot in self._latest.values()))


def _add_histogram(into: dict[str, Any], name: str, histogram: dict[str, Any]) -> None:
    target = into.setdefault(name, {"bounds": list(histogram["bounds"]), "series": {}})
    for key, series in histogram["series"].items():
        held = target["series"].setdefault(key, {"counts": [0] * len(series["counts"]), "sum": 0.0})
        held["counts"] = [mine + theirs for mine, theirs in zip(held["counts"], series["counts"], strict=True)]
        held["sum"] += series["sum"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
