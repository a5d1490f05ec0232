"""What people asked is judged: whatever is not as they were answered is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.people import Alarm, Asked, Found, problems_of

HIGH: Alarm = ("f", "2:high")
LOW: Alarm = ("f", "1:low")
ASKED = (
    Asked("a", HIGH, "acknowledge", heard="done"),
    Asked("b", HIGH, "comment", heard="done"),
    Asked("c", LOW, "shelve", heard="done"),
    Asked("d", LOW, "unshelve", heard="waiting"),
    Asked("e", LOW, "suppress", heard="done"),
    Asked("f", HIGH, "comment", heard="refused"),
)
FOUND = Found(
    decided={each.command_id: (number, "done") for number, each in enumerate(ASKED[:5])} | {"f": (9, "refused")},
    told={
        "a": [(11, HIGH, "acknowledged")],
        "b": [(12, HIGH, "commented")],
        "c": [(13, LOW, "shelved")],
        "d": [(14, LOW, "unshelved"), (15, LOW, "activated")],
        "e": [(16, LOW, "suppressed")],
    },
    logged={"a", "b", "c", "d", "e"},
    kept={HIGH: ("none", True), LOW: ("by_design", True)},
    begun={HIGH: 10},
    unchanged={"1", "2"},
)


def told(**changes: Any) -> list[str]:
    return list(problems_of(ASKED, replace(FOUND, **changes)))


def test_what_is_as_it_was_answered_is_not_told_of() -> None:
    """Also where giving something back tells people of it, in the same command's name, and where it does not."""
    assert told() == []
    assert told(told={**FOUND.told, "d": [(14, LOW, "unshelved")]}) == []
    assert told(kept={**FOUND.kept, HIGH: ("none", False)}, begun={HIGH: 17}) == [], "it has begun again since"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decided": {**FOUND.decided, "a": (0, "waiting")}, "logged": FOUND.logged - {"a"}}, "is waiting"),
        ({"decided": {**FOUND.decided, "b": (1, "refused")}, "logged": FOUND.logged - {"b"}}, "is refused"),
        ({"decided": {name: FOUND.decided[name] for name in "bcdef"}, "logged": FOUND.logged - {"a"}}, "is unknown"),
        ({"logged": FOUND.logged - {"c"}}, "is done, and not in the commit log"),
        ({"logged": FOUND.logged | {"f"}}, "is refused, and in the commit log"),
        ({"told": {**FOUND.told, "a": [*FOUND.told["a"], *FOUND.told["a"]]}}, "was told as"),
        ({"told": {**FOUND.told, "b": [*FOUND.told["b"], *FOUND.told["b"]]}}, "was told as"),
        ({"told": {**FOUND.told, "b": []}}, "is done and was told as"),
        ({"told": {**FOUND.told, "a": [(11, LOW, "acknowledged")]}}, "was told as"),
        ({"told": {**FOUND.told, "e": []}}, "changed none to by_design"),
        ({"kept": {**FOUND.kept, LOW: ("none", True)}}, "is none, and was made by_design"),
        ({"kept": {**FOUND.kept, HIGH: ("none", False)}}, "is not although nothing began since"),
    ],
)
def test_what_is_otherwise_is_told_of(changes: dict[str, Any], says: str) -> None:
    assert any(says in line for line in told(**changes)), told(**changes)
