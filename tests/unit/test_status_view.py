"""What `status` prints fits into the terminal, and says every number in full."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.commands.status_view import print_state

QUEUES = ("facility-setup-queue", "sensor-activation-queue", "sensor-data-queue", "sensor-deactivation-queue")
NODE = {
    "node_id": "8f3a1c9d22e64b0a7c55",
    "hostname": "ip-10-0-3-117.eu-central-1.compute.internal",
    "address": "10.0.3.117",
    "alive": True,
    "drained": True,
    "head": True,
    "facilities": 120,
    "processes": 14,
    "services": ["intake", "historian-0", "historian-1", "historian-2"],
}
READER = {"connected": True, "last_receive_age_s": 4321.0, "held": 1000, "held_s": 21.04, "full": False}
FACILITY = {
    "id": "0b0a4c1e-7a6f-4a53-8c5e-1f0d6a1c0a00",
    "name": "North Ridge [Processing] Plant",
    "status": "Maintenance",
    "sensors": 1200,
    "active_alarms": 17,
    "parked": 31,
    "last_commit_age_s": 3.2,
}
STATE = {
    "problems": ["database: is slow: a commit takes 2.1 s"],
    "engine": {"state": "running", "age_s": 1.2, "nodes": [NODE], "readers": dict.fromkeys(QUEUES, READER)},
    "lag": {"mean_s": 0.0213, "readings": 1234567},
    "facilities": [FACILITY],
    "counts": {"facilities": 60, "sensors": 720, "active_alarms": 3, "parked": 0, "dead_letters": 1},
    "queues": {queue: {"waiting": 2000, "dead_letters": 77} for queue in QUEUES},
}


def lines(columns: int, **changes: object) -> list[str]:
    printed = io.StringIO()
    print_state(Console(file=printed, width=columns, highlight=False), {**STATE, **changes})
    return printed.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_cut_off(columns: int) -> None:
    shown = lines(columns)
    text = "\n".join(shown)
    assert max(map(len, shown)) <= columns and "…" not in text.replace("… and 59 more", "")
    words = text.split()
    for word in (
        "8f3a1c9d",
        "sensor-deactivation-queue",
        "10.0.3.117",
        "drained",
        "120",
        "14",
        "historian-2",
        "72",
        "1000",
        "21.0",
        "2000",
        "77",
    ):
        assert word in words, word
    for word in ("0b0a4c1e-7a6f", "Maintenance", "1200", "17", "31", "[Processing]", "3.2"):
        assert word in words, word


def test_an_engine_that_never_was_and_queues_that_are_away() -> None:
    shown = "\n".join(lines(80, engine={}, queues={"error": "no bus [here]"}, facilities=[], counts={}, lag={}))
    assert "has never reported" in shown and "queues: no bus [here]" in shown
    assert "nodes" not in shown and "facilities" not in shown
