"""Rules that were filed to hold from a moment on, when it has come.

Whether the core takes them is asked again then: what they go with (the rules of the sensor's type, or of the type's
sensors) may have been changed meanwhile, and a facility whose rules the core refuses would not load at all.
"""

from __future__ import annotations

import json
from typing import Any

from engine.alarm_rules import rules_in_force
from engine.historian.port import CameDue
from engine.historian.queries import SQL


async def apply_next(connection: Any) -> CameDue | None:
    """The next of those due, in the caller's transaction; None: there is none, or it is withdrawn just now."""
    due = await connection.fetchrow(SQL["planned_due"])
    if due is None:
        return None
    if due["sensor_id"] is None:
        await connection.execute(SQL["planned_facility_lock"], due["facility_id"])
    else:
        await connection.execute(SQL["planned_sensor_lock"], due["sensor_id"])
    if await connection.fetchval(SQL["planned_take"], due["id"]) is None:
        return None
    refusal = await _refusal(connection, due)
    if refusal is None:
        await connection.execute(SQL["planned_hold"], due["id"])
        await connection.execute(SQL["facility_changed"], due["facility_id"])
    else:
        await connection.execute(SQL["planned_refuse"], due["id"], refusal)
    return CameDue(due["id"], due["facility_id"], due["sensor_id"] or due["sensor_type"], refusal)


async def _refusal(connection: Any, due: Any) -> str | None:
    """The core's sentence, or None."""
    facility_id, wanted = due["facility_id"], json.loads(due["settings"])
    if due["sensor_id"] is None:
        sensor_type, of_type = due["sensor_type"], wanted
        rows = await connection.fetch(SQL["rules_of_sensors"], facility_id, sensor_type)
        of_sensors: list[dict[str, Any]] = [{}, *(json.loads(row["settings"]) for row in rows)]
    else:
        sensor_type = await connection.fetchval(SQL["type_of_sensor"], due["sensor_id"])
        held = await connection.fetchval(SQL["rules_of_type"], facility_id, sensor_type)
        of_type, of_sensors = json.loads(held) if held else {}, [wanted]
    try:
        for of_sensor in of_sensors:
            rules_in_force(sensor_type, of_type, of_sensor)
    except ValueError as error:
        return str(error)
    return None
