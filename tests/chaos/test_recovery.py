"""Recovery times and the picture's numbers from what was sent and when it was stored."""

from __future__ import annotations

import numpy as np

from tests.chaos.recovery import timeline, with_recoveries
from tests.chaos.report import Kill

SEQUENCES = np.array([1, 1, 2, 3, 4], np.uint64)
STORED_S = np.array([0.5, 0.5, 9.0, 3.0, 10.5])


def kill(at_s: float) -> Kill:
    return Kill(at_s=at_s, kind="bus", means="SIGKILL", recovered_s=None)


def test_a_blow_lasts_as_long_as_readings_wait_for_it() -> None:
    due_s = np.array([1.0, 4.0, 6.0, 30.0])
    stored_s = np.array([1.5, 9.0, 7.0, 31.0])
    found = with_recoveries([kill(5.0), kill(0.5), kill(20.0)], due_s, stored_s)
    assert [(each.at_s, each.recovered_s) for each in found] == [(0.5, 5.0), (5.0, 4.0), (20.0, 0.0)]


def test_what_was_never_stored_has_no_recovery() -> None:
    assert with_recoveries([kill(0.1)], np.array([0.0, 0.2]), np.array([0.3, np.inf]))[0].recovered_s is None


def test_timeline_counts_readings_sent_and_stored() -> None:
    assert timeline([(0.0, 0), (1.0, 2), (11.0, 4)], SEQUENCES, STORED_S) == [(0.0, 0, 0), (1.0, 3, 2), (11.0, 5, 5)]
