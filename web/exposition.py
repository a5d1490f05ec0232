"""Metric snapshots (engine/metrics.py) as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from engine.metrics import HELP, Snapshot, merged
from web.edge.refusals import HANDSHAKES_REFUSED
from web.live.hub import CONFLATED
from web.live.rights import CLIENTS

READY = "gasinsight_ready"
OWN_HELP = {
    CLIENTS: "Open websockets of this process, by kind",
    HANDSHAKES_REFUSED: "Websockets that were refused before the 101, by status",
    CONFLATED: "Live values left out because a client was behind",
    READY: "1 while a part (web, database, bus, engine) is ready, as in /readyz",
    "gasinsight_database_up": "1 while this process reaches PostgreSQL",
}


def exposition(snapshots: Sequence[Snapshot]) -> str:
    """All of them added up, in the text format 0.0.4. What was never counted is there, as 0."""
    total = merged(*snapshots)
    for name in HELP:
        if name.endswith("_total"):
            total["counters"].setdefault(name, {"": 0})
    return "".join(f"{line}\n" for line in _lines(total))


def _lines(total: Snapshot) -> Iterator[str]:
    for kind in ("counters", "gauges"):
        for name, series in sorted(total[kind].items()):
            yield from _head(name, kind.removesuffix("s"))
            for labels, value in sorted(series.items()):
                yield f"{name}{_braced(labels)} {_number(value)}"
    for name, histogram in sorted(total["histograms"].items()):
        yield from _head(name, "histogram")
        for labels, series in sorted(histogram["series"].items()):
            yield from _histogram(name, labels, histogram["bounds"], series)


def _head(name: str, kind: str) -> Iterator[str]:
    text = HELP.get(name) or OWN_HELP.get(name)
    if text:
        yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _histogram(name: str, labels: str, bounds: list[float], series: dict[str, Any]) -> Iterator[str]:
    cumulated = list(accumulate(series["counts"]))
    for bound, count in zip([_number(bound) for bound in bounds] + ["+Inf"], cumulated, strict=True):
        within = ",".join(part for part in (labels, f'le="{bound}"') if part)
        yield f"{name}_bucket{{{within}}} {count:g}"
    yield f"{name}_sum{_braced(labels)} {_number(series['sum'])}"
    yield f"{name}_count{_braced(labels)} {cumulated[-1]:g}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")
