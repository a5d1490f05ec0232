"""What people outside were told is judged: lost, told too often, too soon or to nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.people import Alarm
from tests.chaos.told import HOOK, LATE, MAIL, US_PER_S, Account, Arrival, Entry, Row, problems_of

ALARM: Alarm = ("f", "1:high")
OTHER: Alarm = ("f", "2:high")
MINUTE_US = 60 * US_PER_S
ROWS = (
    Row(1, ALARM, "activated", False, 0),
    Row(2, ALARM, "returned", False, US_PER_S),
    Row(3, OTHER, "activated", False, 0),
    Row(4, OTHER, "acknowledged", False, 2 * US_PER_S),
)
ENTRIES = (
    *(Entry(channel, event_id, f"{channel} {event_id}", 0) for channel in (HOOK, MAIL) for event_id in (1, 3)),
    Entry(LATE, 1, "late 1", MINUTE_US),
)
MESSAGES = tuple((str(entry.group), f"message {entry.group}", "delivered") for entry in ENTRIES)
ARRIVALS = tuple(Arrival(message_id, "said", 61 * US_PER_S) for _, message_id, _ in MESSAGES)
ACCOUNT = Account(ROWS, ENTRIES, MESSAGES, ARRIVALS, 4, 2 * MINUTE_US, interruptions=1)


def told(**changes: Any) -> list[str]:
    return list(problems_of(replace(ACCOUNT, **changes)))


def test_what_is_told_once_or_had_to_come_again_is_not_told_of() -> None:
    assert told() == []
    assert told(arrivals=[*ARRIVALS, ARRIVALS[0]]) == []
    assert told(rows=[*ROWS, Row(5, ALARM, "activated", False, 0)]) == [], "it was recorded after the end"


def without(channel: str) -> list[Entry]:
    return [entry for entry in ENTRIES if entry.channel != channel]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"entries": without(MAIL)}, "was to be told to mail"),
        ({"entries": without(LATE)}, "was never escalated"),
        ({"entries": [*ENTRIES, ENTRIES[0]]}, "was to be told to hook, and is: [True, True]"),
        ({"entries": [*ENTRIES, Entry(HOOK, 2, "hook 1", 0)]}, "was to be told to hook"),
        ({"entries": [*without(LATE), Entry(LATE, 1, None, MINUTE_US)]}, "was never escalated"),
        ({"entries": [*ENTRIES, Entry(LATE, 3, "late 1", MINUTE_US)]}, "was escalated though it was seen"),
        ({"entries": [*ENTRIES, Entry(LATE, 2, "late 1", MINUTE_US)]}, "was escalated"),
        ({"messages": [*MESSAGES[:-1], (*MESSAGES[-1][:2], "waiting")]}, "was never escalated"),
        ({"arrivals": ARRIVALS[1:]}, "is delivered, and nobody has it"),
        ({"arrivals": [*ARRIVALS, *ARRIVALS[:2]]}, "2 messages came again, after 1 interruptions"),
        ({"arrivals": [*ARRIVALS, replace(ARRIVALS[0], digest="else")]}, "and not alike"),
        ({"arrivals": [*ARRIVALS, Arrival("stray", "said", 0)]}, "is of nobody"),
        ({"arrivals": [*ARRIVALS[:-1], replace(ARRIVALS[-1], at_us=59 * US_PER_S)]}, "before its time"),
    ],
)
def test_what_is_otherwise_is_told_of(changes: dict[str, Any], says: str) -> None:
    assert any(says in line for line in told(**changes)), told(**changes)
