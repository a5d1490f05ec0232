"""Alerts: the activations in the alarm journal, as the front end knows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import LIMIT_MAX, Alert, AlertWithDetails, Paging
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows
from web.wire.csv import Table
from web.wire.explanations import explained
from web.wire.frequency import spelled_frequency
from web.wire.times import contract_text

noun = Noun("alerts", "What went wrong, newest first")

# Every alert here has a sensor: one of several sensors, or of the facility as a whole, shows its foremost contributor.
# One of the system itself
# has no place in these shapes; notifications carry it.
_SHOWN = """CASE WHEN e.explanation ? 'contributors'
       THEN (SELECT foremost.sensor_no FROM sensors foremost
              WHERE foremost.id = e.explanation #>> '{contributors,0,sensor_id}')
       ELSE e.sensor_no END"""
# To be counted, all of them are joined at once. To be listed, the newest few: row-level security lets an index serve a
# join by a plain column only, and OFFSET keeps PostgreSQL from putting the expression back into the join.
_COUNTED = f" FROM alarm_events e JOIN sensors s ON s.sensor_no = {_SHOWN}"
_LISTED = f"""
  FROM alarm_events e
 CROSS JOIN LATERAL (SELECT {_SHOWN} AS sensor_no OFFSET 0) shown
  JOIN sensors s ON s.sensor_no = shown.sensor_no
"""
_MAY_VIEW = """
 WHERE e.transition = 'activated'
   AND ($1 OR e.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
"""
_OF_FACILITY = " WHERE e.transition = 'activated' AND e.facility_id = $1"
LIST_ALERTS = (
    """
SELECT e.id, e.alert_type, e.message, e.recorded_at, e.event_time, e.explanation,
       s.id AS sensor_id, s.name AS sensor_name, s.status AS sensor_status, s.type AS sensor_type,
       s.installed_at, s.expected_freq,
       f.id AS facility_id, f.name AS facility_name, f.status AS facility_status, f.type AS facility_type, f.created_at
"""
    + _LISTED
    + " JOIN facilities f ON f.id = e.facility_id"
    + _MAY_VIEW
    + " AND e.id < $3 ORDER BY e.id DESC OFFSET $4 LIMIT $5"
)
LIST_FACILITY_ALERTS = (
    "SELECT e.id, e.alert_type, e.message, e.recorded_at, e.event_time, e.explanation, s.id AS sensor_id"
    + _LISTED
    + _OF_FACILITY
    + " AND e.id < $2 ORDER BY e.id DESC OFFSET $3 LIMIT $4"
)
# An OR would keep the index of each facility's alerts out.
COUNT_ALERTS = f"""
SELECT CASE WHEN $1
       THEN (SELECT count(*) {_COUNTED} WHERE e.transition = 'activated')
       ELSE (SELECT count(*) {_COUNTED} WHERE e.transition = 'activated' AND e.facility_id = ANY (
                ARRAY(SELECT facility_id FROM facility_rights WHERE principal = $2))) END
"""  # noqa: S608 - of constants
ALERTS = Source(LIST_ALERTS, COUNT_ALERTS, ("id",), (AFTER_ALL_IDS,))
FACILITY_ALERTS = Source(LIST_FACILITY_ALERTS, "SELECT count(*)" + _COUNTED + _OF_FACILITY, ("id",), (AFTER_ALL_IDS,))

TABLE = Table(("id", "created_at", "type", "message", "sensor_id", "sensor.name", "facility.id", "facility.name"))


class RecentQuery(BaseModel):
    limit: int = Field(20, ge=0, le=LIMIT_MAX)


class FacilityAlertsQuery(Paging):
    limit: int = Field(1000, ge=0, le=LIMIT_MAX)


@noun.get("/alerts", Need.USER, list[AlertWithDetails], statuses=(401, 422), table=TABLE, is_list=True)
async def list_alerts(call: Call, query: Paging) -> Rows:
    """Of every facility that the caller may view. As CSV without `limit` or a page all of them."""
    return await _alerts(call, Part.of(call, query))


@noun.get("/alerts/recent", Need.USER, list[AlertWithDetails], statuses=(401, 422), is_list=True)
async def list_recent_alerts(call: Call, query: RecentQuery) -> Rows:
    """The newest few."""
    return await _alerts(call, Part(rows_max=query.limit))


@noun.get("/alerts/facility/{facility_id}", Need.VIEW, list[Alert], statuses=(401, 403, 404, 422), is_list=True)
async def list_facility_alerts(call: Call, facility_id: str, query: FacilityAlertsQuery) -> Rows:
    """Of one facility."""
    return await listed(call, FACILITY_ALERTS, (facility_id,), Part.of(call, query), each(_facility_alert))


async def _alerts(call: Call, part: Part) -> Rows:
    return await listed(call, ALERTS, (call.caller.is_admin, call.caller.principal), part, each(_alert))


def _alert(row: Any) -> dict[str, object]:
    """Of `AlertWithDetails`, written without a model for each."""
    sensor = {
        "id": row["sensor_id"],
        "name": row["sensor_name"],
        "status": row["sensor_status"],
        "type": row["sensor_type"],
        "facility_id": row["facility_id"],
        "installed_at": contract_text(row["installed_at"]),
        "expected_freq": spelled_frequency(row["expected_freq"]),
    }
    facility = {
        "id": row["facility_id"],
        "name": row["facility_name"],
        "status": row["facility_status"],
        "type": row["facility_type"],
        "created_at": contract_text(row["created_at"]),
    }
    return {**_facility_alert(row), "sensor": sensor, "facility": facility}


def _facility_alert(row: Any) -> dict[str, object]:
    """Of `Alert`."""
    return {
        "id": row["id"],
        "sensor_id": row["sensor_id"],
        "type": row["alert_type"],
        "message": row["message"],
        "created_at": contract_text(row["recorded_at"]),
        "event_time": contract_text(row["event_time"]),
        "explanation": explained(row["explanation"]),
    }
