"""Alerts: the activations in the alarm journal, as the front end knows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import LIMIT_MAX, Alert, AlertWithDetails, FacilitySummary, Paging, SensorSummary
from web.serving.call import Call
from web.wire.csv import Table
from web.wire.explanations import explained

noun = Noun("alerts", "What went wrong, newest first")

# Every alert here has a sensor: one of the facility as a whole shows its foremost contributor. One of the system itself
# has no place in these shapes; notifications carry it.
LIST_ALERTS = """
SELECT e.id, e.alert_type, e.message, e.recorded_at, e.explanation,
       s.id AS sensor_id, s.name AS sensor_name, s.status AS sensor_status, s.type AS sensor_type,
       s.installed_at, s.expected_freq,
       f.id AS facility_id, f.name AS facility_name, f.status AS facility_status, f.type AS facility_type, f.created_at
  FROM alarm_events e
  JOIN sensors s ON s.sensor_no = coalesce(e.sensor_no,
       (SELECT foremost.sensor_no FROM sensors foremost
         WHERE foremost.id = e.explanation #>> '{contributors,0,sensor_id}'))
  JOIN facilities f ON f.id = e.facility_id
 WHERE e.transition = 'activated'
   AND ($1 OR e.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
 ORDER BY e.id DESC
OFFSET $3 LIMIT $4
"""
LIST_FACILITY_ALERTS = """
SELECT e.id, e.alert_type, e.message, e.recorded_at, e.explanation, s.id AS sensor_id
  FROM alarm_events e
  JOIN sensors s ON s.sensor_no = coalesce(e.sensor_no,
       (SELECT foremost.sensor_no FROM sensors foremost
         WHERE foremost.id = e.explanation #>> '{contributors,0,sensor_id}'))
 WHERE e.transition = 'activated' AND e.facility_id = $1
 ORDER BY e.id DESC
OFFSET $2 LIMIT $3
"""

TABLE = Table(("id", "created_at", "type", "message", "sensor_id", "sensor.name", "facility.id", "facility.name"))


class RecentQuery(BaseModel):
    limit: int = Field(20, ge=0, le=LIMIT_MAX)


class FacilityAlertsQuery(Paging):
    limit: int = Field(1000, ge=0, le=LIMIT_MAX)


@noun.get("/alerts", Need.USER, list[AlertWithDetails], statuses=(401, 422), table=TABLE)
async def list_alerts(call: Call, query: Paging) -> list[AlertWithDetails]:
    """Of every facility that the caller may view."""
    return await _alerts(call, query.offset, query.rows_max)


@noun.get("/alerts/recent", Need.USER, list[AlertWithDetails], statuses=(401, 422))
async def list_recent_alerts(call: Call, query: RecentQuery) -> list[AlertWithDetails]:
    """The newest few."""
    return await _alerts(call, 0, query.limit)


@noun.get("/alerts/facility/{facility_id}", Need.VIEW, list[Alert], statuses=(401, 403, 404, 422))
async def list_facility_alerts(call: Call, facility_id: str, query: FacilityAlertsQuery) -> list[Alert]:
    """Of one facility."""
    rows = await call.database.rows(LIST_FACILITY_ALERTS, facility_id, query.offset, query.rows_max)
    return [
        Alert(
            id=row["id"],
            sensor_id=row["sensor_id"],
            type=row["alert_type"],
            message=row["message"],
            created_at=row["recorded_at"],
            explanation=explained(row["explanation"]),
        )
        for row in rows
    ]


async def _alerts(call: Call, offset: int, rows_max: int) -> list[AlertWithDetails]:
    rows = await call.database.rows(LIST_ALERTS, call.caller.is_admin, call.caller.principal, offset, rows_max)
    return [_alert(row) for row in rows]


def _alert(row: Any) -> AlertWithDetails:
    sensor = SensorSummary(
        id=row["sensor_id"],
        name=row["sensor_name"],
        status=row["sensor_status"],
        type=row["sensor_type"],
        facility_id=row["facility_id"],
        installed_at=row["installed_at"],
        expected_freq=row["expected_freq"],
    )
    facility = FacilitySummary(
        id=row["facility_id"],
        name=row["facility_name"],
        status=row["facility_status"],
        type=row["facility_type"],
        created_at=row["created_at"],
    )
    return AlertWithDetails(
        id=row["id"],
        sensor_id=row["sensor_id"],
        type=row["alert_type"],
        message=row["message"],
        created_at=row["recorded_at"],
        explanation=explained(row["explanation"]),
        sensor=sensor,
        facility=facility,
    )
