"""Alarms of a facility that began together: a flood, a trip, a rupture, with what was first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from pydantic import BaseModel, Field

from web.api.histories import Beginning, End
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.incident_shapes import Incident, IncidentMember, Incidents, IncidentState, IncidentWithMembers
from web.errors import NotFound
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS

noun = Noun("incidents", "Alarms that began together, as one")

TOGETHER_S = 30
"""From one beginning to the next. A trip spreads over a plant in seconds, its detectors report every 15 s at most."""
MEMBERS_MIN = 3
"""Different alarms; two at a time are everyday."""
LONGEST: Final = timedelta(hours=1)
"""How far around the range is looked for what belongs to an incident in it."""
INCIDENTS_MAX = 200
LAST: Final = timedelta(days=7)
AHEAD: Final = timedelta(days=1)
"""Clocks of the field may be ahead of ours."""
PRIORITIES: Final = ("critical", "high", "medium", "low")
_STATES: Final[dict[tuple[bool, bool], IncidentState]] = {
    (True, True): "unacknowledged",
    (True, False): "acknowledged",
    (False, True): "returned_unacknowledged",
    (False, False): "over",
}
"""By whether one of its alarms is active, and one unacknowledged."""

# An alarm that begins twice in an incident is one member, from its first beginning on. What ended it is the first
# return after its last beginning here, and so with what was acknowledged. The mark of a group's first alarm is none of
# its own: with it two would look like three.
_GROUPED = f"""
WITH begun AS (
    SELECT e.id, e.facility_id, e.alarm_key, e.sensor_no, e.rule, e.priority, e.event_time, e.message, e.transition,
           CASE WHEN e.event_time - lag(e.event_time) OVER each_of <= interval '{TOGETHER_S} s' THEN 0 ELSE 1 END
               AS is_apart
      FROM alarm_events e
     WHERE e.transition IN ('activated', 'activated_silently') AND e.rule <> 'first_out'
       AND ($1 OR e.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
       AND ($3::text IS NULL OR e.facility_id = $3)
       AND e.event_time >= $4::timestamptz - interval '1 hour'
       AND e.event_time <= $5::timestamptz + interval '1 hour'
    WINDOW each_of AS (PARTITION BY e.facility_id ORDER BY e.event_time, e.id)
), numbered AS (
    SELECT *, sum(is_apart) OVER (PARTITION BY facility_id ORDER BY event_time, id) AS place FROM begun
), members AS (
    SELECT facility_id, place, alarm_key, min(event_time) AS event_time, max(event_time) AS last_time,
           (array_agg(id ORDER BY event_time, id))[1] AS event_id,
           bool_and(transition = 'activated_silently') AS is_silent
      FROM numbered GROUP BY facility_id, place, alarm_key
), lived AS (
    SELECT m.*, first_value(m.event_id) OVER of_incident AS incident_id,
           first_value(m.event_time) OVER of_incident AS began, count(*) OVER whole AS alarms,
           (SELECT min(r.event_time) FROM alarm_events r
             WHERE r.facility_id = m.facility_id AND r.alarm_key = m.alarm_key AND r.transition = 'returned'
               AND r.event_time >= m.last_time) AS returned_at,
           (SELECT min(r.event_time) FROM alarm_events r
             WHERE r.facility_id = m.facility_id AND r.alarm_key = m.alarm_key AND r.transition = 'acknowledged'
               AND r.event_time >= m.last_time) AS acknowledged_at
      FROM members m
    WINDOW of_incident AS (PARTITION BY m.facility_id, m.place ORDER BY m.event_time, m.event_id),
           whole AS (PARTITION BY m.facility_id, m.place)
)
"""  # noqa: S608 - numbers only
_SHOWN = """
SELECT l.incident_id, l.began, l.alarms, l.facility_id, f.name AS facility_name, l.alarm_key AS alarm_id,
       s.id AS sensor_id, s.name AS sensor_name, e.rule, e.priority, e.message, l.event_time, l.returned_at,
       l.acknowledged_at, l.is_silent
  FROM lived l
  JOIN alarm_events e ON e.id = l.event_id
  LEFT JOIN facilities f ON f.id = l.facility_id
  LEFT JOIN sensors s ON s.sensor_no = e.sensor_no
"""
_NEWEST = """
 WHERE (l.facility_id, l.incident_id) IN (
       SELECT facility_id, incident_id FROM lived WHERE alarms >= $7 AND began BETWEEN $4 AND $5
        GROUP BY facility_id, incident_id, began ORDER BY began DESC, incident_id DESC LIMIT $6)
 ORDER BY l.began DESC, l.incident_id DESC, l.event_time, l.event_id
"""
LIST = _GROUPED + _SHOWN + _NEWEST
READ_BEGINNING = "SELECT event_time FROM alarm_events WHERE id = $1 AND facility_id = $2"


class IncidentsQuery(BaseModel):
    """By when they began. Without a beginning: the last seven days."""

    facility_id: str | None = None
    start_date: Beginning | None = None
    end_date: End | None = None
    limit: int = Field(50, ge=1, le=INCIDENTS_MAX)


class IncidentQuery(BaseModel):
    facility_id: str = Field(min_length=1)


@noun.get("/incidents", Need.VIEW, Incidents, statuses=(401, 403, 404, 422))
async def list_incidents(call: Call, query: IncidentsQuery) -> Incidents:
    """The newest first, in one facility or in all that the caller may view. None of their alarms leaves `/alarms`."""
    now = datetime.now(UTC)
    start, end = query.start_date or now - LAST, query.end_date or now + AHEAD
    found = await _incidents(call, query.facility_id, start, end, query.limit)
    return Incidents(incidents=[one.incident for one in found])


@noun.get("/incidents/{incident_id}", Need.VIEW, IncidentWithMembers, statuses=(401, 403, 404, 422))
async def read_incident(call: Call, incident_id: int, query: IncidentQuery) -> IncidentWithMembers:
    """One of a facility with its alarms, in the order in which they began."""
    began = None
    if incident_id <= AFTER_ALL_IDS:
        began = await call.database.value(READ_BEGINNING, incident_id, query.facility_id)
    if began is not None:
        for one in await _incidents(call, query.facility_id, began, began + LONGEST, INCIDENTS_MAX):
            if one.incident.id == incident_id:
                return one
    raise NotFound("Incident")


async def _incidents(
    call: Call, facility_id: str | None, start: datetime, end: datetime, limit: int
) -> list[IncidentWithMembers]:
    scope = (call.caller.is_admin, call.caller.principal, facility_id, start, end, limit, MEMBERS_MIN)
    rows = await call.database.rows(LIST, *scope)
    return [_incident(list(members)) for _, members in groupby(rows, key=itemgetter("facility_id", "incident_id"))]


def _incident(rows: list[Any]) -> IncidentWithMembers:
    first = rows[0]
    members = [IncidentMember(**{name: row[name] for name in IncidentMember.model_fields}) for row in rows]
    active = sum(member.returned_at is None for member in members)
    unacknowledged = sum(member.acknowledged_at is None for member in members)
    incident = Incident(
        id=first["incident_id"],
        facility_id=first["facility_id"],
        facility_name=first["facility_name"],
        state=_STATES[active > 0, unacknowledged > 0],
        priority=min((member.priority for member in members), key=PRIORITIES.index),
        began=first["began"],
        ended=None if active else max(member.returned_at for member in members if member.returned_at is not None),
        alarms=len(members),
        active=active,
        unacknowledged=unacknowledged,
        first_out=members[0],
    )
    return IncidentWithMembers(incident=incident, members=members)
