"""The dashboard's figures and charts, and the colours of everything."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from engine.model import FacilityStatus, FacilityType, SensorStatus, SensorType
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import ChartData, ChartEntry, Colors, Dashboard, DashboardMetrics
from web.serving.call import Call

noun = Noun("dashboard", "Figures and charts over what the caller may view")

SENSOR_TYPES_SHOWN = 10

STATUS_COLORS = {
    "Active": "#4caf50",
    "Inactive": "#f44336",
    "Maintenance": "#ff9800",
    "Fault": "#d32f2f",
    "Offline": "#f44336",
}
FACILITY_TYPE_COLORS = {
    FacilityType.DRILLING_RIG: "#1976d2",
    FacilityType.PIPELINES: "#9c27b0",
    FacilityType.TANK_FARM: "#2196f3",
    FacilityType.UNDERGROUND_STORAGE: "#00bcd4",
    FacilityType.PROCESSING_PLANT: "#009688",
    FacilityType.IMPORT_TERMINAL: "#8bc34a",
    FacilityType.EXPORT_TERMINAL: "#cddc39",
}
SENSOR_TYPE_COLORS = {
    SensorType.TEMPERATURE: "#ff5722",
    SensorType.HUMIDITY: "#2196f3",
    SensorType.PRESSURE: "#9c27b0",
    SensorType.FLOW: "#4caf50",
    SensorType.VOLUME: "#00bcd4",
    SensorType.GAS_COMPOSITION: "#ff9800",
    SensorType.LIQUID_COMPOSITION: "#795548",
    SensorType.VIBRATION: "#607d8b",
    SensorType.NOISE: "#9e9e9e",
    SensorType.CORROSION: "#8bc34a",
    SensorType.GAS_DETECTION: "#ffc107",
    SensorType.FLAME_DETECTION: "#f44336",
    SensorType.LEVEL_INDICATOR: "#3f51b5",
    SensorType.VALVE_STATUS: "#009688",
    SensorType.PUMP_STATUS: "#673ab7",
    SensorType.COMPRESSOR_STATUS: "#e91e63",
    SensorType.POWER_CONSUMPTION: "#cddc39",
    SensorType.WATER_CONTENT: "#03a9f4",
    SensorType.OXYGEN_CONTENT: "#ffeb3b",
    SensorType.HYDROGEN_SULFIDE_CONTENT: "#ff5722",
    SensorType.CARBON_DIOXIDE_CONTENT: "#9c27b0",
    SensorType.PARTICULATE_MATTER: "#4caf50",
    SensorType.LEAK_DETECTION: "#f44336",
}

COUNT_FACILITIES = """
SELECT status, type, count(*) AS n
  FROM facilities
 WHERE ($3::text IS NULL OR id = $3)
   AND ($1 OR id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
 GROUP BY status, type
"""
COUNT_SENSORS = """
SELECT status, type, count(*) AS n
  FROM sensors
 WHERE ($3::text IS NULL OR facility_id = $3)
   AND ($1 OR facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
 GROUP BY status, type
"""


@noun.get("/dashboard/colors", Need.NOTHING, Colors)
async def read_colors(call: Call) -> Colors:
    """Name to colour."""
    return Colors(
        sensorTypes={str(name): color for name, color in SENSOR_TYPE_COLORS.items()},
        sensorStatus=STATUS_COLORS,
        facilityTypes={str(name): color for name, color in FACILITY_TYPE_COLORS.items()},
    )


@noun.get("/dashboard", Need.USER, Dashboard, statuses=(401,))
async def read_dashboard(call: Call) -> Dashboard:
    """Over every facility that the caller may view."""
    return await _dashboard(call, None)


@noun.get("/dashboard/facility/{facility_id}", Need.VIEW, Dashboard, statuses=(401, 403, 404))
async def read_facility_dashboard(call: Call, facility_id: str) -> Dashboard:
    """Over one facility."""
    return await _dashboard(call, facility_id)


async def _dashboard(call: Call, facility_id: str | None) -> Dashboard:
    scope = (call.caller.is_admin, call.caller.principal, facility_id)
    facilities = await call.database.rows(COUNT_FACILITIES, *scope)
    sensors = await call.database.rows(COUNT_SENSORS, *scope)
    return dashboard(facilities, sensors)


def dashboard(facilities: list[Any], sensors: list[Any]) -> Dashboard:
    """From rows of {status, type, n}."""
    facility_status, facility_types = _counted(facilities, "status"), _counted(facilities, "type")
    sensor_status, sensor_types = _counted(sensors, "status"), _counted(sensors, "type")
    facilities_total, sensors_total = facility_status.total(), sensor_status.total()
    frequent = sorted(SENSOR_TYPE_COLORS, key=lambda name: -sensor_types[name])[:SENSOR_TYPES_SHOWN]
    return Dashboard(
        metrics=DashboardMetrics(
            total_facilities=facilities_total,
            active_facilities=facility_status[FacilityStatus.ACTIVE],
            maintenance_facilities=facility_status[FacilityStatus.MAINTENANCE],
            offline_facilities=facility_status[FacilityStatus.OFFLINE],
            facility_types=len(facility_types),
            total_sensors=sensors_total,
            active_sensors=sensor_status[SensorStatus.ACTIVE],
            inactive_sensors=sensors_total - sensor_status[SensorStatus.ACTIVE],
            avg_sensors_per_facility=round(sensors_total / facilities_total, 2) if facilities_total else 0.0,
        ),
        chart_data=ChartData(
            status_data=_chart(FacilityStatus, facility_status, STATUS_COLORS),
            type_data=_chart(FacilityType, facility_types, FACILITY_TYPE_COLORS),
            sensor_status_data=_chart(SensorStatus, sensor_status, STATUS_COLORS),
            sensor_type_data=_chart(frequent, sensor_types, SENSOR_TYPE_COLORS),
        ),
    )


def _counted(rows: list[Any], column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row["n"]
    return counts


def _chart(names: Any, counts: Counter[str], colors: Any) -> list[ChartEntry]:
    return [
        ChartEntry(name=_spaced(name), value=counts[name], color=colors[name]) for name in names if counts[name] > 0
    ]


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
