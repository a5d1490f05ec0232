"""The facts of the wire contract's tables, as data: what existing clients rely on.

`QUERY` and `BODY` are the names that a route must take; `STATUSES` the ones it must answer with, besides 200.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    who: str
    answer: str
    query: frozenset[str] = frozenset()
    body: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    statuses: frozenset[int] = field(default_factory=frozenset)


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def row(who: str, answer: str, query: str = "", body: str = "", required: str = "", statuses: str = "") -> Row:
    return Row(
        who, answer, names(query), names(body), names(required), frozenset(int(status) for status in statuses.split())
    )


PAGING = "skip limit page page_size"
ROWS = {
    "POST /auth/token": row("all", "TokenPair", body="username password", required="username password", statuses="401"),
    "POST /auth/refresh-token": row(
        "all", "TokenPair", query="refresh_token", body="refresh_token", required="refresh_token", statuses="401"
    ),
    "POST /auth/logout": row("user", "Detail", statuses="401"),
    "POST /auth/impersonate/{user_id}": row("Admin", "TokenPair", statuses="401 403 404 422"),
    "GET /users/me": row("user", "User", statuses="401"),
    "GET /users": row("Admin", "UserPage", query=PAGING, statuses="401 403 422"),
    "POST /users": row(
        "Admin",
        "User",
        body="username email password role",
        required="username email password",
        statuses="400 401 403 422",
    ),
    "GET /users/{user_id}": row("Admin", "User", statuses="401 403 404 422"),
    "PUT /users/{user_id}": row("Admin", "User", body="username email password role", statuses="400 401 403 404 422"),
    "DELETE /users/{user_id}": row("Admin", "User", statuses="400 401 403 404 422"),
    "GET /permissions": row("Admin", "[Permission]", query="user_id facility_id", statuses="401 403 422"),
    "POST /permissions": row(
        "Admin",
        "Permission",
        body="user_id facility_id permission_type",
        required="user_id facility_id permission_type",
        statuses="401 403 404 422",
    ),
    "DELETE /permissions/{permission_id}": row("Admin", "Permission", statuses="401 403 404 422"),
    "GET /facilities": row("user", "[Facility]", query=PAGING, statuses="401 422"),
    "GET /facilities/{facility_id}": row("View", "Facility", statuses="401 403 404"),
    "PUT /facilities/{facility_id}": row("Edit", "Facility", body="name", statuses="401 403 404 422"),
    "GET /sensors": row("View", "[Sensor]", query=f"facility_id {PAGING}", statuses="401 403 404 422"),
    "GET /sensors/{sensor_id}": row("View", "Sensor", statuses="401 403 404"),
    "PUT /sensors/{sensor_id}": row("Edit", "Sensor", body="name status expected_freq", statuses="401 403 404 422"),
    "GET /sensor-records/{sensor_id}": row(
        "View", "Grid", query="start_date end_date freq aggregation", required="start_date", statuses="401 403 404 422"
    ),
    "GET /alerts": row("user", "[AlertWithDetails]", query=PAGING, statuses="401 422"),
    "GET /alerts/recent": row("user", "[AlertWithDetails]", query="limit", statuses="401 422"),
    "GET /alerts/facility/{facility_id}": row("View", "[Alert]", statuses="401 403 404"),
    "GET /dashboard": row("user", "Dashboard", statuses="401"),
    "GET /dashboard/facility/{facility_id}": row("View", "Dashboard", statuses="401 403 404"),
    "GET /dashboard/colors": row("all", "Colors"),
}

DEFAULTS: dict[str, dict[str, object]] = {
    "GET /facilities": {"skip": 0, "limit": 100},
    "GET /sensors": {"skip": 0, "limit": 100},
    "GET /sensor-records/{sensor_id}": {"freq": "15T", "aggregation": "mean"},
    "GET /alerts/recent": {"limit": 20},
}

# In the order of the contract, with the colours that the dashboard gives them.
FACILITY_TYPE_COLORS = {
    "DrillingRig": "#1976d2",
    "Pipelines": "#9c27b0",
    "TankFarm": "#2196f3",
    "UndergroundStorage": "#00bcd4",
    "ProcessingPlant": "#009688",
    "ImportTerminal": "#8bc34a",
    "ExportTerminal": "#cddc39",
}
SENSOR_TYPE_COLORS = {
    "Temperature": "#ff5722",
    "Humidity": "#2196f3",
    "Pressure": "#9c27b0",
    "Flow": "#4caf50",
    "Volume": "#00bcd4",
    "GasComposition": "#ff9800",
    "LiquidComposition": "#795548",
    "Vibration": "#607d8b",
    "Noise": "#9e9e9e",
    "Corrosion": "#8bc34a",
    "GasDetection": "#ffc107",
    "FlameDetection": "#f44336",
    "LevelIndicator": "#3f51b5",
    "ValveStatus": "#009688",
    "PumpStatus": "#673ab7",
    "CompressorStatus": "#e91e63",
    "PowerConsumption": "#cddc39",
    "WaterContent": "#03a9f4",
    "OxygenContent": "#ffeb3b",
    "HydrogenSulfideContent": "#ff5722",
    "CarbonDioxideContent": "#9c27b0",
    "ParticulateMatter": "#4caf50",
    "LeakDetection": "#f44336",
}
FACILITY_TYPES = frozenset(FACILITY_TYPE_COLORS)
SENSOR_TYPES = frozenset(SENSOR_TYPE_COLORS)
# A type: the JSON type, `time` (UTC, no suffix), a set of words, or the name of a shape; `?` admits null.
Shape = dict[str, str | frozenset[str]]
SENSOR_STATUS = names("Active Inactive Maintenance Fault")
FACILITY_STATUS = names("Active Maintenance Offline")
SENSOR_SUMMARY: Shape = {
    "id": "string",
    "name": "string",
    "status": SENSOR_STATUS,
    "type": SENSOR_TYPES,
    "facility_id": "string",
    "installed_at": "time",
    "expected_freq": "string",
}
FACILITY_SUMMARY: Shape = {
    "id": "string",
    "name": "string",
    "status": FACILITY_STATUS,
    "type": FACILITY_TYPES,
    "created_at": "time",
}
ALERT: Shape = {
    "id": "integer",
    "sensor_id": "string",
    "type": names("Anomaly Maintenance System"),
    "message": "string",
    "created_at": "time",
}
SHAPES: dict[str, Shape] = {
    "TokenPair": {"access_token": "string", "refresh_token": "string", "token_type": names("bearer")},
    "User": {
        "id": "integer",
        "username": "string",
        "email": "string",
        "created_at": "time",
        "last_login": "time?",
        "role": names("Admin User"),
    },
    "UserPage": {"users": "[User]", "total": "integer"},
    "Permission": {
        "id": "integer",
        "user_id": "integer",
        "facility_id": "string",
        "permission_type": names("View Edit"),
        "granted_at": "time",
    },
    "Location": {"id": "integer", "address": "string?", "longitude": "number", "latitude": "number"},
    "Facility": {**FACILITY_SUMMARY, "location_id": "integer", "location": "Location"},
    "Sensor": {**SENSOR_SUMMARY, "location_id": "integer?", "location": "Location?"},
    "SensorSummary": SENSOR_SUMMARY,
    "FacilitySummary": FACILITY_SUMMARY,
    "Alert": ALERT,
    "AlertWithDetails": {**ALERT, "sensor": "SensorSummary", "facility": "FacilitySummary"},
    "Grid": {"records": "[GridRecord]", "analytics": "Analytics"},
    "GridRecord": {"sensor_id": "string", "tracked_at": "string", "data": "string?"},
    "Analytics": {"mean": "number?", "min": "number?", "max": "number?"},
    "Dashboard": {"metrics": "DashboardMetrics", "chart_data": "ChartData"},
    "DashboardMetrics": {
        "total_facilities": "integer",
        "active_facilities": "integer",
        "maintenance_facilities": "integer",
        "offline_facilities": "integer",
        "facility_types": "integer",
        "total_sensors": "integer",
        "active_sensors": "integer",
        "inactive_sensors": "integer",
        "avg_sensors_per_facility": "number",
    },
    "ChartData": dict.fromkeys(("status_data", "type_data", "sensor_status_data", "sensor_type_data"), "[ChartEntry]"),
    "ChartEntry": {"name": "string", "value": "integer", "color": "string"},
    "Colors": dict.fromkeys(("sensorTypes", "sensorStatus", "facilityTypes"), "object"),
    "Detail": {"detail": "string"},
    "ReadingFrame": {"sensor_id": "string", "facility_id": "string", "tracked_at": "time", "data": "string"},
    "AlertFrame": {
        "type": names("alert"),
        "alert_id": "integer",
        "sensor_id": "string?",
        "facility_id": "string",
        "message": "string",
        "created_at": "time",
        "alert_type": names("Anomaly Maintenance System"),
    },
}
MAY_HAVE_MORE = {
    "GridRecord": {"n", "good_fraction"},
    "Facility": {"retired_at"},
    "Sensor": {"latest", "retired_at"},
    "Alert": {"event_time", "explanation"},
    "AlertWithDetails": {"event_time", "explanation"},
    "AlertFrame": {"event_time"},
}

WEBSOCKETS = {
    "/ws/sensor-data/{sensor_id}": ("View", "ReadingFrame"),
    "/ws/notifications": ("user", "AlertFrame"),
}

# What this server offers beyond the contract: new paths only.
DETECTION = ("sensor/{sensor_id}", "facility/{facility_id}")
ADDITIVE = {
    "POST /auth/password",
    "GET /.well-known/jwks.json",
    "GET /auth/oidc/login",
    "GET /auth/oidc/callback",
    "POST /auth/oidc/token",
    "GET /api-keys",
    "POST /api-keys",
    "GET /api-keys/{key_id}",
    "DELETE /api-keys/{key_id}",
    *(f"{method} /detection/{what}" for method in ("GET", "PUT", "DELETE") for what in DETECTION),
    "GET /alarms",
    "GET /alarms/{alarm_id}",
    "GET /incidents",
    "GET /incidents/{incident_id}",
    "GET /alarm-counts",
    "GET /alarm-figures",
    "GET /alarm-proposals",
    "GET /shift-notes",
    "POST /shift-notes/{facility_id}",
    "GET /reports/monthly",
    "GET /reports/figures",
    "GET /reports/handover",
    "POST /alarm-commands/{facility_id}",
    "GET /journal",
    "GET /notification-channels",
    "POST /notification-channels",
    *(f"{method} /notification-channels/{{channel_id}}" for method in ("GET", "PUT", "DELETE")),
    "POST /notification-tests/{channel_id}",
    "GET /notification-subscriptions",
    "POST /notification-subscriptions",
    *(f"{method} /notification-subscriptions/{{subscription_id}}" for method in ("GET", "PUT", "DELETE")),
    "GET /notifications",
    "GET /acknowledge",
    "POST /acknowledge",
    *(f"{method} /rules/{what}" for method in ("GET", "PUT", "DELETE") for what in DETECTION),
    *(f"GET /rule-history/{what}" for what in DETECTION),
    *(f"{method} /planned-rules/{what}" for method in ("GET", "POST") for what in DETECTION),
    "DELETE /planned-rules/{planned_id}",
    "GET /groups/facility/{facility_id}",
    "GET /group-history/facility/{facility_id}",
    "PUT /groups/facility/{facility_id}",
    "GET /sensor-records",
    "GET /sensor-readings/{sensor_id}",
    "GET /exports/{dataset}",
    "POST /export-jobs",
    "GET /export-jobs",
    "GET /export-jobs/{job_id}",
    "GET /export-files/{job_id}",
    "DELETE /export-jobs/{job_id}",
    "POST /replays",
    "GET /replays",
    "GET /replays/{replay_id}",
    "DELETE /replays/{replay_id}",
    "POST /retire/facility/{facility_id}",
    "DELETE /facilities/{facility_id}",
    "POST /retire/sensor/{sensor_id}",
    "DELETE /sensors/{sensor_id}",
    "POST /ws/tickets",
    "GET /audit",
    "GET /parked",
    "GET /parked/{parked_id}",
    "GET /dead-letters",
    "GET /dead-letters/{letter_id}",
    "POST /redrives",
    "GET /redrives",
    "POST /discards",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
}
ADDITIVE_WEBSOCKETS = {"/ws/facility-data/{facility_id}", "/ws/alarms"}
