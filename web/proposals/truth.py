"""What of an alarm's excursions was true, and whether other rules would have told it, and when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from web.proposals.living import Excursion

TRUE_S_MIN: Final = 600.0
"""What stood so long was no flicker, whatever nobody said of it: the time in which people can look at an alarm."""
TRUE_INTERVALS_MIN: Final = 5
"""And for so many of its sensor's intervals."""
AHEAD_S_MAX: Final = 600.0
"""An alarm that began so long before an event, and stands at its beginning, has told of it; an older one has not."""
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is true, and must be told."""

    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Retold:
    """How much later each event is told, in seconds, and how many are not told at all."""

    delays_s: list[float]
    lost: int


class Excursions:
    """Of one alarm, in their order: each ends before the next begins."""

    def __init__(self, found: Sequence[Excursion]) -> None:
        self.found = found
        self._ends = [inf if one.until_us is None else one.until_us for one in found]

    def within(self, since_us: int, until_us: float) -> Iterator[Excursion]:
        """Those that stand at some moment of it."""
        for place in range(bisect_left(self._ends, since_us), len(self.found)):
            if self.found[place].since_us > until_us:
                return
            yield self.found[place]


def true_events(excursions: Excursions, verdicts: Mapping[int, str], end_us: int, interval_s: float) -> list[Event]:
    """By the verdict of whoever knows, by event time of what it is about; else by how long they stood.

    What somebody called true and no excursion holds is one of its own: rules that do not tell it are not good.
    """
    said: dict[int, set[str]] = {}
    found = []
    for at_us, verdict in verdicts.items():
        holder = next(excursions.within(at_us, at_us), None)
        if holder is not None:
            said.setdefault(holder.since_us, set()).add(verdict)
        elif verdict == "true":
            found.append(Event(at_us, at_us))
    long_us = max(TRUE_S_MIN, TRUE_INTERVALS_MIN * interval_s) * _US
    for one in excursions.found:
        until_us = end_us if one.until_us is None else one.until_us
        words = said.get(one.since_us, set())
        if "true" in words or ("false" not in words and until_us - one.since_us >= long_us):
            found.append(Event(one.since_us, until_us))
    return sorted(found, key=lambda event: event.since_us)


def retold(events: Iterable[Event], excursions: Excursions) -> Retold:
    """By these excursions instead: each by one that begins with it or in it, or not long before it."""
    delays_s, lost = [], 0
    for event in events:
        earliest_us = event.since_us - AHEAD_S_MAX * _US
        standing = excursions.within(event.since_us, event.until_us)
        began_us = next((one.since_us for one in standing if one.since_us >= earliest_us), None)
        if began_us is None:
            lost += 1
        else:
            delays_s.append(max(0, began_us - event.since_us) / _US)
    return Retold(delays_s, lost)


def untold(before: Excursions, after: Excursions) -> list[Excursion]:
    """Those of before in which nothing stands after; the longest first."""
    left = [
        one
        for one in before.found
        if next(after.within(one.since_us, inf if one.until_us is None else one.until_us), None) is None
    ]
    return sorted(left, key=lambda one: one.since_us - (inf if one.until_us is None else one.until_us))
