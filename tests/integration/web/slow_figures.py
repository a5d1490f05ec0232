"""Alarm figures once more, slowly: each from the rows of the journal and from what its name says, without haste."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BEGINNINGS = ("activated", "activated_silently")


@dataclass(frozen=True)
class Row:
    alarm: tuple[str, str]
    at: datetime
    transition: str
    priority: str
    late: bool


def slow_figures(journal: list[Row], start: datetime, end: datetime) -> dict[str, Any]:
    """`measures` are by name, `offenders` (alarm, activations), `floods` (began, ended)."""
    seen = sorted((row for row in journal if row.at <= end), key=lambda row: row.at)
    moves = [row for row in seen if not row.late]
    inside = [row for row in moves if row.at >= start]
    told = [row for row in inside if row.transition == "activated"]
    stood = standings(moves)
    acknowledged = [first_seen(moves, row) for row in told]
    floods = [flood for flood in floods_in(moves, start, end) if flood[1] is None or flood[1] > start]
    days, stale_of = [], []
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= end:
        since, until = max(day, start), min(day + DAY, end)
        too_long = [
            begin
            for _, begin, over, is_told, _ in stood
            if is_told and begin + DAY < (over or end) and begin + DAY < day + DAY and (over or end) >= since
        ]
        stale_of.append(len(too_long))
        days.append(
            {
                "day": day.date().isoformat(),
                "activations": sum(day <= row.at < day + DAY for row in told),
                "flood_s": sum(part(flood, since, until, end) for flood in floods),
                "stale": len(too_long),
            }
        )
        day += DAY
    of_alarm = Counter(row.alarm for row in told)
    length = (end - start).total_seconds()
    count = len(told)
    priorities = Counter(row.priority for row in told)
    in_ten = [sum(row.at - 10 * MINUTE < other.at <= row.at for other in activations(moves, start)) for row in told]
    chattering = {
        row.alarm
        for row in told
        if sum(row.at <= other.at <= row.at + MINUTE and other.alarm == row.alarm for other in told) >= 3
    }
    fleeting = [
        begin
        for _, begin, over, _, is_own in stood
        if is_own and begin >= start and over is not None and over - begin < MINUTE
    ]
    returned = [
        (over - begin).total_seconds() for _, begin, over, is_told, _ in stood if is_told and over and over >= start
    ]

    def share(part: float) -> float | None:
        return part / count if count else None

    return {
        "tally": {
            "activations": count,
            "silent": sum(row.transition == "activated_silently" for row in inside),
            "re_alarmed": sum(row.transition == "re_alarmed" for row in inside),
            "past": sum(row.late and row.at >= start for row in seen),
            "acknowledged": sum(after is not None for after in acknowledged),
            "returned": len(returned),
        },
        "measures": {
            "per_10_min": count / (length / 600),
            "most_in_10_min": max(in_ten, default=0),
            "flood_share": sum(part(flood, start, end, end) for flood in floods) / length,
            "stale_on_a_day": max(stale_of),
            "chattering": len(chattering),
            "fleeting": len(fleeting),
            "top_ten_share": share(sum(count for _, count in of_alarm.most_common(10))),
            "low_share": share(priorities["low"]),
            "medium_share": share(priorities["medium"]),
            "high_share": share(priorities["high"] + priorities["critical"]),
        },
        "acknowledged_after": spread([after for after in acknowledged if after is not None]),
        "stood": spread(returned),
        "days": days,
        "offenders": sorted(of_alarm.items(), key=lambda one: (-one[1], one[0]))[:10],
        "floods": sorted(floods, key=lambda flood: flood[0]),
    }


def activations(moves: list[Row], start: datetime) -> list[Row]:
    """With those of the hour before."""
    return [row for row in moves if row.transition == "activated" and row.at >= start - 60 * MINUTE]


def standings(moves: list[Row]) -> list[tuple[tuple[str, str], datetime, datetime | None, bool, bool]]:
    """Alarm, beginning, end, whether people were told, whether they were at its beginning."""
    found = []
    for alarm in sorted({row.alarm for row in moves}):
        own = [row for row in moves if row.alarm == alarm and row.transition in (*BEGINNINGS, "returned")]
        for place, row in enumerate(own):
            if row.transition == "returned" or (place and own[place - 1].transition != "returned"):
                continue
            rest = own[place:]
            over = next((other.at for other in rest if other.transition == "returned"), None)
            here = [other for other in rest if over is None or other.at < over]
            is_told = any(other.transition == "activated" for other in here)
            found.append((alarm, row.at, over, is_told, row.transition == "activated"))
    return found


def first_seen(moves: list[Row], told: Row) -> float | None:
    """Seconds until somebody acknowledged it, before it was told again."""
    for row in moves:
        if row.alarm == told.alarm and row.at > told.at:
            if row.transition == "activated":
                return None
            if row.transition == "acknowledged":
                return (row.at - told.at).total_seconds()
    return None


def floods_in(moves: list[Row], start: datetime, end: datetime) -> list[tuple[datetime, datetime | None]]:
    """Every moment at which the number within ten minutes changes, one after another."""
    told = [row.at for row in activations(moves, start)]
    found: list[tuple[datetime, datetime | None]] = []
    began: datetime | None = None
    for at in sorted({*told, *(each + 10 * MINUTE for each in told)}):
        if at > end:
            break
        before = sum(at - 10 * MINUTE < each < at for each in told)
        if began is not None and before < 5:
            found.append((began, at))
            began = None
        if began is None and before + told.count(at) > 10:
            began = at
    return found if began is None else [*found, (began, None)]


def part(flood: tuple[datetime, datetime | None], since: datetime, until: datetime, end: datetime) -> float:
    return max(0.0, (min(flood[1] or end, until) - max(flood[0], since)).total_seconds())


def spread(seconds: list[float]) -> dict[str, Any]:
    if not seconds:
        return {"n": 0, "p50_s": None, "p90_s": None, "max_s": None}
    ordered = sorted(seconds)
    half, most = (ordered[ceil(len(ordered) * share) - 1] for share in (0.5, 0.9))
    return {"n": len(ordered), "p50_s": half, "p90_s": most, "max_s": ordered[-1]}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
