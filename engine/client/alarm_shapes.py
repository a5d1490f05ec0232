"""Alarms, their journal and what came of a command, as frozen values; see shapes.py."""

from __future__ import annotations

from typing import Literal

from engine.client.shapes import Explanation, Shape, Time


class Alarm(Shape):
    """One rule of one sensor, or of the facility as a whole, as it is now. `id` is unique in its facility.

    `state`: unacknowledged, acknowledged, returned_unacknowledged, latched, shelved, by_design, out_of_service, normal.
    `message`, `value` and `limit` are of the last activation, `since` of the last activation or return.
    """

    id: str
    facility_id: str
    facility_name: str | None
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    state: str
    active: bool
    acknowledged: bool
    acknowledged_at: Time | None = None
    acknowledged_by: str | None = None
    suppression: str
    suppressed_at: Time | None = None
    suppressed_until: Time | None = None
    suppressed_by: str | None = None
    suppression_reason: str | None = None
    work_order: str | None = None
    assignee: str | None = None
    latched: bool
    priority: str
    since: Time
    message: str | None = None
    value: float | None = None
    limit: float | None = None
    last_event_id: int


class JournalEntry(Shape):
    """Something that happened to an alarm: `event_time` is when, `recorded_at` when it was stored."""

    id: int
    facility_id: str
    alarm_id: str
    sensor_id: str | None
    rule: str
    transition: str
    event_time: Time
    recorded_at: Time
    priority: str
    type: str
    value: float | None = None
    limit: float | None = None
    score: float | None = None
    message: str
    late: bool = False
    actor: str
    actor_name: str | None = None
    reason: str = ""
    command_id: str | None = None
    until: Time | None = None
    assignee: str | None = None
    work_order: str | None = None
    verdict: str | None = None
    about_event_id: int | None = None
    latched: bool = False
    explanation: Explanation | None = None


class AlarmWithHistory(Shape):
    """`history`: the newest first."""

    alarm: Alarm
    history: list[JournalEntry]


class AlarmCounts(Shape):
    active: int
    unacknowledged: int
    acknowledged: int
    returned_unacknowledged: int
    latched: int
    shelved: int
    by_design: int
    out_of_service: int


class JournalPart(Shape):
    journal: list[JournalEntry]
    next: int | None


class IncidentMember(Shape):
    """`event_time`: when it began first. `returned_at`, `acknowledged_at`: after it began last; None: not yet."""

    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: str
    message: str
    event_time: Time
    returned_at: Time | None
    acknowledged_at: Time | None
    is_silent: bool = False


class Incident(Shape):
    """Alarms of one facility that began together; `state` is unacknowledged, acknowledged, returned_unacknowledged or
    over.
    """

    id: int
    facility_id: str
    facility_name: str | None
    state: str
    priority: str
    began: Time
    ended: Time | None
    alarms: int
    active: int
    unacknowledged: int
    first_out: IncidentMember


class Incidents(Shape):
    incidents: list[Incident]


class IncidentWithMembers(Shape):
    """`members`: in the order in which they began."""

    incident: Incident
    members: list[IncidentMember]


class Commanded(Shape):
    """`done`: in force. `waiting`: written down, and in force as soon as its facility can."""

    command_id: str
    state: Literal["waiting", "done"]
    alarm: Alarm | None

    @property
    def is_done(self) -> bool:
        return self.state == "done"


class AlarmFrame(Shape):
    """What `live` tells. An `event` has the new `event`; a `snapshot` or `gap` the `alarms` that are not normal, in as
    many frames as have `more`. After a `gap` nothing that was known before is to be relied on.
    """

    type: Literal["event", "snapshot", "gap"]
    after_id: int
    event: JournalEntry | None = None
    alarms: list[Alarm] | None = None
    more: bool = False
