"""The stored journal and the replayed one, held against each other row by row. Pure.

Rows of either side come in any order; one that has its like on the other side is forgotten at once, so that memory
grows with the differences, not with the period.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Final

from engine.replay.rows import Key, Told
from engine.replay.values import DIFFERENCES_MAX, Difference, Figures, ReplayRefused

MOVED_US_MAX: Final = 3_600_000_000
"""A beginning on one side and one on the other, at most so far apart, are one alarm that moved."""
MOST_FREQUENT: Final = 10


class Comparison:
    """`add_stored` and `add_replayed` as rows come, then once `differences`."""

    def __init__(self, differences_max: int = DIFFERENCES_MAX) -> None:
        self._differences_max = differences_max
        self._stored: dict[Key, Told] = {}
        self._replayed: dict[Key, Told] = {}
        self._changed: list[Difference] = []
        self._same: Counter[bool] = Counter()
        self._before, self._after = _Counted(), _Counted()
        self._digest = hashlib.sha256()

    def add_stored(self, rows: Iterable[Told]) -> None:
        for row in rows:
            self._before.add(row)
            like = self._replayed.pop(row.key, None)
            if like is None:
                self._stored[row.key] = row
            else:
                self._met(row, like)
        self._check_room()

    def add_replayed(self, rows: Iterable[Told]) -> None:
        """One that was told already in this replay is not told again, as in the journal."""
        for row in rows:
            self._digest.update(row.canonical())
            like = self._stored.pop(row.key, None)
            if like is not None:
                self._after.add(row)
                self._met(like, row)
            elif row.key not in self._replayed:
                self._after.add(row)
                self._replayed[row.key] = row
        self._check_room()

    def left_replayed(self) -> list[Key]:
        """Rows that only the replay has by now."""
        return list(self._replayed)

    def forget_told(self, keys: Collection[Key]) -> None:
        """Of what only the replay has, the journal had these before: it would not have taken them again."""
        for key in keys:
            if (row := self._replayed.pop(key, None)) is not None:
                self._after.take_back(row)

    def differences(self) -> tuple[Difference, ...]:
        """In the order of their moments; beginnings of one alarm that are near to each other are one that moved."""
        pairs = _moved(self._stored.values(), self._replayed.values())
        moved = {row.key for pair in pairs for row in pair}
        found = [*self._changed, *(_difference(old, new) for old, new in pairs)]
        found += [_difference(row, None) for row in self._stored.values() if row.key not in moved]
        found += [_difference(None, row) for row in self._replayed.values() if row.key not in moved]
        return tuple(sorted(found, key=_place))

    def counts(self, differences: Iterable[Difference]) -> tuple[dict[str, int], dict[str, int]]:
        """Of alarms and of other rows, by kind. An alarm whose row has other content is the same alarm, changed."""
        of: dict[bool, Counter[str]] = {is_alarm: Counter(same=self._same[is_alarm]) for is_alarm in (True, False)}
        for each in differences:
            of[each.is_alarm][each.kind] += 1
        kinds = ("same", "added", "removed", "earlier", "later", "changed")
        alarms, others = ({kind: of[is_alarm][kind] for kind in kinds} for is_alarm in (True, False))
        return alarms, {kind: others[kind] for kind in ("same", "added", "removed", "changed")}

    def figures(self) -> tuple[Figures, Figures]:
        """Before and after."""
        return self._before.figures(), self._after.figures()

    def checksum(self, differences: Iterable[Difference]) -> str:
        digest = self._digest.copy()
        for each in differences:
            digest.update(json.dumps(asdict(each), sort_keys=True).encode())
        return digest.hexdigest()

    def _met(self, stored: Told, replayed: Told) -> None:
        if unlike := stored.unlike(replayed):
            self._changed.append(_difference(stored, replayed, unlike))
        else:
            self._same[stored.begins] += 1

    def _check_room(self) -> None:
        waiting = len(self._stored) + len(self._replayed) + len(self._changed)
        if waiting > self._differences_max:
            raise ReplayRefused(
                f"{waiting} rows of one facility differ, {self._differences_max} at most are compared: take a shorter"
                " period"
            )


class _Counted:
    """Alarms that people were told of."""

    def __init__(self) -> None:
        self._by_priority: Counter[str] = Counter()
        self._by_alarm: Counter[str] = Counter()

    def add(self, row: Told, number: int = 1) -> None:
        if row.transition == "activated":
            self._by_priority[row.priority] += number
            self._by_alarm[row.alarm_key] += number

    def take_back(self, row: Told) -> None:
        self.add(row, -1)

    def figures(self) -> Figures:
        often = sorted(+self._by_alarm, key=lambda key: (-self._by_alarm[key], key))[:MOST_FREQUENT]
        by_priority = {priority: number for priority, number in sorted(self._by_priority.items()) if number}
        frequent = tuple((key, self._by_alarm[key]) for key in often)
        return Figures(self._by_priority.total(), by_priority, frequent)


def _moved(stored: Iterable[Told], replayed: Iterable[Told]) -> list[tuple[Told, Told]]:
    """Beginnings in their order, each with the next one of the other side that is near enough."""
    left: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for row in sorted(stored, key=lambda row: row.event_time_us):
        if row.begins:
            left[row.alarm_key, row.transition].append(row)
    pairs = []
    for row in sorted(replayed, key=lambda row: row.event_time_us):
        if not row.begins:
            continue
        like = left[row.alarm_key, row.transition]
        near = [old for old in like if abs(old.event_time_us - row.event_time_us) <= MOVED_US_MAX]
        if near:
            like.remove(near[0])
            pairs.append((near[0], row))
    return pairs


def _difference(stored: Told | None, replayed: Told | None, unlike: tuple[str, ...] = ()) -> Difference:
    about = replayed or stored
    assert about is not None
    if stored is None:
        kind = "added"
    elif replayed is None:
        kind = "removed"
    elif stored.event_time_us == replayed.event_time_us:
        kind, unlike = "changed", unlike or stored.unlike(replayed)
    else:
        kind = "earlier" if replayed.event_time_us < stored.event_time_us else "later"
    return Difference(
        kind,
        about.begins,
        about.alarm_key,
        about.rule,
        about.transition,
        about.priority,
        about.message,
        None if stored is None else stored.event_time_us,
        None if replayed is None else replayed.event_time_us,
        unlike,
    )


def _place(each: Difference) -> tuple[int, str, str, str]:
    moments = [at_us for at_us in (each.stored_us, each.replayed_us) if at_us is not None]
    return min(moments), each.alarm_key, each.transition, each.kind
