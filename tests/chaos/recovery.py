"""How long readings had to wait for each blow, and how many were sent and stored over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.chaos.report import Kill

AFTER_S = 5.0
AFTER_RAY_S = 45.0
"""Actors outlive their engine by some seconds; the gap comes when the new engine starts Ray anew."""
RAY_STARTS_ANEW = {"engine", "up", "raylet", "GCS"}
Seconds = npt.NDArray[np.float64]
Sample = tuple[float, int, int]
"""Seconds since the start, readings sent, readings stored."""


def with_recoveries(kills: Sequence[Kill], due_s: Seconds, stored_s: Seconds) -> list[Kill]:
    """`due_s` (when it was measured) and `stored_s` are of all readings sent, since the start; inf: never stored.

    The recovery is the longest that a reading had to wait after the blow, of those that were on their way then and
    those that follow soon. None: one of them was never stored.
    """
    found = []
    for kill in sorted(kills, key=lambda kill: kill.at_s):
        after_s = AFTER_RAY_S if kill.kind in RAY_STARTS_ANEW else AFTER_S
        touched = (due_s <= kill.at_s + after_s) & (stored_s > kill.at_s)
        waited_s = float((stored_s - np.maximum(due_s, kill.at_s))[touched].max(initial=0.0))
        found.append(replace(kill, recovered_s=waited_s if np.isfinite(waited_s) else None))
    return found


def timeline(moments: Sequence[tuple[float, int]], row_sequences: npt.NDArray[Any], stored_s: Seconds) -> list[Sample]:
    """At `moments`, each with the last message sent by then."""
    stored = np.sort(stored_s)
    return [
        (
            at_s,
            int(np.searchsorted(row_sequences, sequence, side="right")),
            int(np.searchsorted(stored, at_s, side="right")),
        )
        for at_s, sequence in moments
    ]
