"""What the core wrote of an alarm of several sensors, as people get it."""

from __future__ import annotations

import json
from typing import Any

from web.wire.explanations import explained


def group_of(**stored: Any) -> Any:
    told = explained(json.dumps(stored))
    assert told is not None
    return json.loads(told.model_dump_json()).get("group", "none")


def test_each_member_of_a_vote_has_its_state() -> None:
    vote = {
        "rule": "vote",
        "group": "Hall 2",
        "asked": ["a", "b", "c"],
        "voted": ["c"],
        "out": [{"sensor_id": "a", "why": "bad value"}],
        "votes": 1,
        "needed": 1,
        "needed_of_all": 2,
        "members": 3,
    }
    assert group_of(**vote) == {
        "name": "Hall 2",
        "members": [
            {"sensor_id": "a", "state": "out", "why": "bad value"},
            {"sensor_id": "b", "state": "not_voting", "why": None},
            {"sensor_id": "c", "state": "voting", "why": None},
        ],
        "need": 1,
        "of": 2,
        "votes": 1,
        "first": None,
    }
    del vote["asked"]
    older = group_of(**vote)
    assert (older["members"], older["need"], older["of"]) == ([], 1, None), "an older core named no others"


def test_who_takes_no_vote_is_heard_once_or_out() -> None:
    """An expression may ask a sensor twice."""
    asked = group_of(rule="combination", group="hot", asked=["a", "b", "a"], out=[{"sensor_id": "b", "why": "silent"}])
    assert [(each["sensor_id"], each["state"]) for each in asked["members"]] == [("a", "heard"), ("b", "out")]
    assert (asked["need"], asked["of"], asked["votes"]) == (None, None, None)
    first = {"sensor_id": "b", "rule": "low"}
    assert group_of(rule="first_out", group="Trip", asked=["a", "b"], first=first)["first"] == first


def test_what_is_of_one_sensor_has_no_group() -> None:
    assert group_of(rule="high", value=26.0, limit=25.0) == "none"
