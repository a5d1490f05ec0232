"""Alarm events into the journal, and the journal folded into the present state of each alarm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.historian.queries import SQL
from engine.model import AlarmEvent

# What a transition says about (active, acknowledged); None: nothing. Others are history only.
_FOLD: Mapping[str, tuple[bool, bool | None]] = {
    "activated": (True, False),
    "activated_silently": (True, False),
    "returned": (False, None),
}


async def append_events(connection: Any, events: Sequence[tuple[str, AlarmEvent]], now_us: int) -> None:
    """Write (facility_id, event) rows and fold them. The last thing a transaction does: it takes the journal's lock."""
    if not events:
        return
    columns = [
        [facility_id for facility_id, _ in events],
        [event.alarm_key for _, event in events],
        [event.sensor_no for _, event in events],
        [event.rule for _, event in events],
        [event.rule_version for _, event in events],
        [event.transition for _, event in events],
        [event.event_time_us for _, event in events],
        [event.priority for _, event in events],
        [event.alert_type.value for _, event in events],
        [event.value for _, event in events],
        [event.limit for _, event in events],
        [event.score for _, event in events],
        [event.message for _, event in events],
        [event.explanation_json for _, event in events],
        [event.late for _, event in events],
        [event.actor for _, event in events],
        [event.reason for _, event in events],
    ]
    await connection.execute(SQL["journal_lock"])
    added = await connection.fetch(SQL["journal_append"], *columns, now_us)
    steps = fold(added)
    if steps:
        await connection.execute(SQL["alarms_fold"], *(list(column) for column in zip(*steps, strict=True)))
    if added:
        await connection.execute(SQL["journal_announce"])


def fold(rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """The last word of these journal rows on each alarm, as rows for `alarms_fold`.

    A late event tells of the past and moves nothing.
    """
    steps: dict[tuple[str, str], tuple[Any, ...]] = {}
    for row in sorted(rows, key=lambda row: int(row["id"])):
        meaning = _FOLD.get(row["transition"])
        if meaning is None or row["late"]:
            continue
        active, acknowledged = meaning
        key = (row["facility_id"], row["alarm_key"])
        earlier = steps.get(key)
        if acknowledged is None and earlier is not None:
            acknowledged = earlier[5]
        steps[key] = (
            *key,
            row["sensor_no"],
            row["rule"],
            active,
            acknowledged,
            row["priority"],
            row["event_time"],
            row["id"],
        )
    return list(steps.values())
