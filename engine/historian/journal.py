"""Alarm events into the journal, and the journal folded into the present state of each alarm.

Rows travel as JSON, by the names of their columns: `AlarmEvent` and the tables are where an event's fields are named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.historian.queries import SQL
from engine.model import AlarmEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = {"event_time_us": "event_time", "limit": "limit_value", "explanation_json": "explanation"}
_NOT_KEPT = {"only_if_stored"}
_SUPPRESSIONS = {"shelved": "shelved", "suppressed": "by_design", "out_of_service": "out_of_service"}
_UNACKNOWLEDGED: Mapping[str, Any] = {"acknowledged": False, "acknowledged_at": None, "acknowledged_by": None}
_OF_SUPPRESSION = ("suppressed_at", "suppressed_until", "suppressed_by", "suppression_reason", "work_order")

Row = Mapping[str, Any]


async def append_events(connection: Any, events: Sequence[tuple[str, AlarmEvent]], now_us: int) -> None:
    """Write (facility_id, event) rows and fold them. The last thing a transaction does: it takes the journal's lock."""
    if not events:
        return
    told = _text([_row(facility_id, event) for facility_id, event in events])
    await connection.execute(SQL["journal_lock"])
    added = await connection.fetch(SQL["journal_append"], told, now_us)
    steps = fold(json.loads(row["event"]) for row in added)
    if steps:
        await connection.execute(SQL["alarms_fold"], _text(steps))
    if added:
        await connection.execute(SQL["journal_announce"])


def _text(rows: list[dict[str, Any]]) -> str:
    """As it is: a database that knows no encoding (SQL_ASCII) reads no escapes beyond ASCII."""
    return json.dumps(rows, ensure_ascii=False)


def fold(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The last word of these rows of the journal on each alarm, as steps for `alarms_fold`.

    A late event tells of the past and moves no condition; but an alert is somebody's to acknowledge.
    """
    steps: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: int(row["id"])):
        told = _said_late_by(row) if row["late"] else said_by(row)
        if told is None:
            continue
        step = steps.setdefault((row["facility_id"], row["alarm_key"]), _first_step(row))
        step["told"] |= {**told, "last_event_id": row["id"]}
    return list(steps.values())


def said_by(row: Row) -> dict[str, Any] | None:
    """What a transition says about its alarm now, by the columns of `alarms`; None: it is history only."""
    says = _SAYS.get(row["transition"])
    return None if says is None else says(row)


def _condition(row: Row) -> dict[str, Any]:
    return {"active": row["transition"] != "returned", "since": row["event_time"], "priority": row["priority"]}


def _began(row: Row) -> dict[str, Any]:
    return {**_condition(row), **_latched(row), **{name: row[name] for name in ("message", "value", "limit_value")}}


def _latched(row: Row) -> dict[str, Any]:
    return {"latched": True} if row["explanation"].get("latched") else {}


def _announced(row: Row) -> dict[str, Any]:
    return {**_began(row), **_UNACKNOWLEDGED}


def _said_late_by(row: Row) -> Mapping[str, Any] | None:
    return {**_latched(row), **_UNACKNOWLEDGED} if row["transition"] == "activated" else None


def _acknowledged(row: Row) -> dict[str, Any]:
    return {"acknowledged": True, "acknowledged_at": row["event_time"], "acknowledged_by": row["actor"]}


def _assigned(row: Row) -> dict[str, Any]:
    return {"assignee": row["explanation"].get("assignee") or None}


def _suppressed(row: Row) -> dict[str, Any]:
    """What the command said stands in the row's explanation."""
    until_us = row["explanation"].get("until_us")
    return {
        "suppression": _SUPPRESSIONS[row["transition"]],
        "suppressed_at": row["event_time"],
        "suppressed_until": None if until_us is None else _moment(until_us),
        "suppressed_by": row["actor"],
        "suppression_reason": row["reason"],
        "work_order": row["explanation"].get("work_order"),
    }


def _unsuppressed(_: Row) -> dict[str, Any]:
    return {"suppression": "none", **dict.fromkeys(_OF_SUPPRESSION)}


def _reset(_: Row) -> dict[str, Any]:
    return {"latched": False}


def _told_only(_: Row) -> dict[str, Any]:
    return {}


_SAYS: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "activated": _announced,
    "activated_silently": _began,
    "returned": _condition,
    "acknowledged": _acknowledged,
    "assigned": _assigned,
    **dict.fromkeys(_SUPPRESSIONS, _suppressed),
    **dict.fromkeys(("unshelved", "unsuppressed", "in_service"), _unsuppressed),
    "reset": _reset,
    **dict.fromkeys(("commented", "re_alarmed", "verdict"), _told_only),
}


def _first_step(row: Row) -> dict[str, Any]:
    key = {"facility_id": row["facility_id"], "alarm_key": row["alarm_key"]}
    normal = {"active": False, "acknowledged": True, "suppression": "none", "latched": False}
    about = {
        "sensor_no": row["sensor_no"],
        "rule": row["rule"],
        "since": row["event_time"],
        "priority": row["priority"],
    }
    return {**key, "if_new": {**key, **normal, **about}, "told": {}}


def _row(facility_id: str, event: AlarmEvent) -> dict[str, Any]:
    """By the names of the columns; the journal's own are not among them."""
    kept = {each.name: getattr(event, each.name) for each in fields(event) if each.name not in _NOT_KEPT}
    row = {_COLUMNS.get(name, name): value for name, value in kept.items()}
    moment, explanation = _moment(event.event_time_us), json.loads(event.explanation_json)
    return {**row, "facility_id": facility_id, "event_time": moment, "explanation": explanation}


def _moment(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()
