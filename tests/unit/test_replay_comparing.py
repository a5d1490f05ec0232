"""Two journals held against each other: what moved, what is new, and how much of it there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.replay.comparing import MOVED_US_MAX, Comparison
from engine.replay.proposing import read_proposals
from engine.replay.rows import Told
from engine.replay.values import Proposal, ReplayRefused

ROW = Told(
    "1:high", 1, "high", 1, "activated", 0, "high", "Anomaly", 26.0, 25.0, None, "it is high", {}, False, "system", "",
    None,
)  # fmt: skip


def at(moment_us: int) -> Told:
    return replace(ROW, event_time_us=moment_us)


@pytest.mark.parametrize(
    ("moment_us", "kinds"),
    [
        (MOVED_US_MAX, ["later"]),
        (MOVED_US_MAX + 1, ["removed", "added"]),
        (-MOVED_US_MAX, ["earlier"]),
        (-MOVED_US_MAX - 1, ["added", "removed"]),
    ],
)
def test_a_beginning_that_is_near_enough_has_moved(moment_us: int, kinds: list[str]) -> None:
    held = Comparison()
    held.add_stored([at(0)])
    held.add_replayed([at(moment_us)])
    found = held.differences()
    assert [each.kind for each in found] == kinds
    assert len(found) == 2 or found[0].seconds == moment_us / 1e6


def test_rows_meet_in_any_order_and_only_what_differs_is_left() -> None:
    one, other = Comparison(), Comparison()
    rows = [at(moment) for moment in range(5)]
    one.add_stored(rows)
    one.add_replayed(reversed(rows))
    other.add_replayed(rows)
    other.add_stored([replace(rows[0], limit=24.0), *rows[1:]])
    assert one.differences() == () and one.counts(())[0]["same"] == 5
    (changed,) = other.differences()
    assert (changed.kind, changed.fields) == ("changed", ("limit",))
    assert one.figures()[0] == one.figures()[1] and one.figures()[0].most_frequent == (("1:high", 5),)


def test_what_the_journal_had_before_is_not_told_again() -> None:
    held = Comparison()
    held.add_replayed([at(0), at(0), at(1)])
    assert held.figures()[1].alarms == 2
    held.forget_told([at(0).key])
    assert [each.replayed_us for each in held.differences()] == [1] and held.figures()[1].alarms == 1


def test_so_many_rows_may_differ() -> None:
    held = Comparison(differences_max=2)
    held.add_stored([at(0)])
    held.add_replayed([at(9 * MOVED_US_MAX)])
    with pytest.raises(ReplayRefused, match="3 rows of one facility differ, 2 at most"):
        held.add_replayed([at(20 * MOVED_US_MAX)])


def test_proposals_are_read_as_they_are_put() -> None:
    rules = {"rules": [{"rule": "high", "limit": 42.0}]}
    found = read_proposals(
        [{"sensor_id": "s", "rules": rules}, {"facility_id": "f", "detection": {"sensor_type": "Flow", "is_on": False}}]
    )
    assert found == (Proposal(sensor_id="s", rules=rules), Proposal("f", None, "Flow", None, {"is_on": False}))
    said = {"facility_id": "f", "groups": {"rests": [], "reason": "order 4711"}}
    assert read_proposals([said]) == (Proposal("f", groups={"rests": []}),), "why says nothing of what it does"
    assert read_proposals([{"facility_id": "f", "groups": {"rests": []}}]) == (Proposal("f", groups={"rests": []}),)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "are a JSON list"),
        ([1], "proposal 1 is no object"),
        ([{"sensor_id": "s", "facility_id": "f", "rules": {}}], "not exactly one"),
        ([{"sensor_id": 7, "rules": {}}], "not exactly one"),
        ([{"sensor_id": "s"}], "neither rules nor detection"),
        ([{"sensor_id": "s", "rules": []}], "neither rules nor detection"),
        ([{"facility_id": "f", "rules": {}}], "names not one sensor_type"),
        ([{"sensor_id": "s", "groups": {}}], "groups stand by themselves"),
        ([{"facility_id": "f", "groups": {}, "rules": {"sensor_type": "Flow"}}], "groups stand by themselves"),
        ([{"facility_id": "f", "groups": {"votes": 1}}], "groups is no object with groups and rests alone"),
        ([{"sensor_id": "s", "rules": {"limits": 3}}], "rules have no 'limits'"),
        ([{"sensor_id": "s", "detection": {"budget": 3}}], "detection have no 'budget'"),
    ],
)
def test_what_is_no_proposal_is_refused(document: object, said: str) -> None:
    with pytest.raises(ReplayRefused, match=said):
        read_proposals(document)
