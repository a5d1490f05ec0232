"""Floods: more alarms at a time than anybody can read, with a beginning above one number and an end below another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(minutes=10)
BEGINS_ABOVE: Final = 10
ENDS_BELOW: Final = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """A flood with how many were told in it. `ended` None: it went on when the range ended."""

    began: datetime
    ended: datetime | None
    activations: int

    def seconds_in(self, start: datetime, end: datetime) -> float:
        """How much of it is in that range."""
        return max(timedelta(), min(self.ended or end, end) - max(self.began, start)).total_seconds()


def floods_of(moments: Sequence[datetime], end: datetime) -> list[Seen]:
    """Of moments in their order, none after `end`. It begins with the alarm that is one too many within WINDOW, and
    ends when so many have left the window that too few are in it.
    """
    found: list[Seen] = []
    first = 0  # of those in the window
    began: int | None = None
    for place, at in enumerate(moments):
        while first < place and moments[first] + WINDOW <= at:
            first += 1
            if began is not None and place - first < ENDS_BELOW:
                found.append(Seen(moments[began], moments[first - 1] + WINDOW, place - began))
                began = None
        if began is None and place + 1 - first > BEGINS_ABOVE:
            began = place
    if began is None:
        return found
    last = moments[len(moments) - ENDS_BELOW] + WINDOW  # with it, too few are left
    return [*found, Seen(moments[began], last if last <= end else None, len(moments) - began)]


def most_at_once(moments: Sequence[datetime], start: datetime) -> int:
    """The most within WINDOW up to and with one of those from `start` on."""
    most = first = 0
    for place, at in enumerate(moments):
        while moments[first] + WINDOW <= at:
            first += 1
        if at >= start:
            most = max(most, place + 1 - first)
    return most
