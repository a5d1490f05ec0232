"""An alarm as it is now, and what happened to it: as REST and websockets show them alike."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from engine.model import AlertType
from web.wire.explanations import Explanation, explained
from web.wire.times import ContractTime

Suppression = Literal["none", "shelved", "by_design", "out_of_service"]
Priority = Literal["critical", "high", "medium", "low"]
State = Literal[
    "normal",
    "unacknowledged",
    "acknowledged",
    "returned_unacknowledged",
    "latched",
    "shelved",
    "by_design",
    "out_of_service",
]
Transition = Literal[
    "activated",
    "activated_silently",
    "returned",
    "late_exceedance",
    "past_excursion",
    "re_alarmed",
    "acknowledged",
    "commented",
    "verdict",
    "assigned",
    "shelved",
    "unshelved",
    "suppressed",
    "unsuppressed",
    "out_of_service",
    "in_service",
    "reset",
]

# The three memories of an alarm as one word; see docs/alarms.md.
STATE = """
CASE WHEN a.suppression <> 'none' THEN a.suppression
     WHEN a.active THEN CASE WHEN a.acknowledged THEN 'acknowledged' ELSE 'unacknowledged' END
     WHEN a.latched THEN 'latched'
     WHEN a.acknowledged THEN 'normal'
     ELSE 'returned_unacknowledged' END
"""
ALARM_COLUMNS = f"""
a.alarm_key AS id, a.facility_id, f.name AS facility_name, s.id AS sensor_id, s.name AS sensor_name,
s.type AS sensor_type, a.rule, {STATE} AS state, a.active, a.acknowledged, a.acknowledged_at, a.acknowledged_by,
a.suppression, a.suppressed_at, a.suppressed_until, a.suppressed_by, a.suppression_reason, a.work_order, a.assignee,
a.latched, a.priority, a.since, a.message, a.value, a.limit_value AS "limit", a.last_event_id
"""
OF_ALARMS = """
  FROM alarms a
  LEFT JOIN facilities f ON f.id = a.facility_id
  LEFT JOIN sensors s ON s.sensor_no = a.sensor_no
"""
EVENT_COLUMNS = """
e.id, e.facility_id, e.alarm_key AS alarm_id, s.id AS sensor_id, e.rule, e.transition, e.event_time, e.recorded_at,
e.priority, e.alert_type AS type, e.value, e.limit_value AS "limit", e.score, e.message, e.late, e.actor, c.actor_name,
e.reason, e.command_id, c.until, c.assignee, c.work_order, c.verdict,
c.about_event_id, coalesce((e.explanation ->> 'latched')::boolean, false) AS latched, e.explanation
"""
OF_EVENTS = """
  FROM alarm_events e
  LEFT JOIN sensors s ON s.sensor_no = e.sensor_no
  LEFT JOIN alarm_commands c ON c.command_id = e.command_id
"""


class AlarmNow(BaseModel):
    """An alarm is one rule of one sensor, or of the facility as a whole; its id is unique in its facility.

    since               event time of the last activation or return
    message to limit    of the last activation
    suppressed_until    null: until somebody ends it
    """

    id: str
    facility_id: str
    facility_name: str | None
    sensor_id: str | None
    sensor_name: str | None
    sensor_type: str | None
    rule: str
    state: State
    active: bool
    acknowledged: bool
    acknowledged_at: ContractTime | None
    acknowledged_by: str | None = Field(description="`user:` or `key:` and its id")
    suppression: Suppression
    suppressed_at: ContractTime | None
    suppressed_until: ContractTime | None
    suppressed_by: str | None
    suppression_reason: str | None
    work_order: str | None
    assignee: str | None
    latched: bool
    priority: str
    since: ContractTime
    message: str | None
    value: float | None
    limit: float | None
    last_event_id: int


class JournalEntry(BaseModel):
    """A row of the journal.

    event_time    when it happened; recorded_at: when it was stored
    actor         `system`, or `user:` or `key:` and an id
    until …       what a command said; `verdict` of the activation `about_event_id`
    latched       what began stays until somebody resets it
    explanation   why, where a reading is the cause
    """

    id: int
    facility_id: str
    alarm_id: str
    sensor_id: str | None
    rule: str
    transition: str
    event_time: ContractTime
    recorded_at: ContractTime
    priority: str
    type: AlertType
    value: float | None
    limit: float | None
    score: float | None
    message: str
    late: bool
    actor: str
    actor_name: str | None
    reason: str
    command_id: str | None
    until: ContractTime | None
    assignee: str | None
    work_order: str | None
    verdict: str | None = Field(None, exclude_if=lambda verdict: verdict is None)
    about_event_id: int | None = Field(None, exclude_if=lambda event_id: event_id is None)
    latched: bool = Field(False, exclude_if=lambda latched: not latched)
    explanation: Explanation | None


def alarm_now(row: Any) -> AlarmNow:
    """Of ALARM_COLUMNS."""
    return AlarmNow(**row)


def journal_entry(row: Any) -> JournalEntry:
    """Of EVENT_COLUMNS."""
    told = dict(row)
    why = told.pop("explanation")
    return JournalEntry(**told, explanation=explained(why) if told["command_id"] is None else None)
