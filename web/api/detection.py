"""How anomalies are looked for: set for a sensor, or for a type of a facility's sensors. What is set for neither is as
the core has it. The engine loads a changed facility again, so that the change is an entry of its commit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

import native
from engine.model import SensorType
from web.api.configuration import TELL_ENGINE
from web.audit import Action, audit, changes
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.detection_shapes import (
    DetectionChanges,
    DetectionInForce,
    DetectionSettings,
    FacilityDetection,
    SensorDetection,
    TypeDetection,
    TypeDetectionChanges,
)
from web.errors import NotFound
from web.serving.call import Call

noun = Noun("detection", "How anomalies are looked for")

COLUMNS = "budget_days, warming_readings, physical_low, physical_high, is_on"
READ_TYPE_OF_SENSOR = "SELECT type FROM sensors WHERE id = $1"
LOCK_SENSOR = f"{READ_TYPE_OF_SENSOR} FOR NO KEY UPDATE"
LOCK_FACILITY = "SELECT id FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
READ_OF_SENSOR = f"SELECT {COLUMNS} FROM detection_settings WHERE sensor_id = $1"  # noqa: S608 - words of this file
READ_OF_TYPE = f"SELECT {COLUMNS} FROM detection_settings WHERE facility_id = $1 AND sensor_type = $2"  # noqa: S608
READ_TYPES = "SELECT DISTINCT type FROM sensors WHERE facility_id = $1"
READ_OF_TYPES = (
    f"SELECT sensor_type, {COLUMNS} FROM detection_settings"  # noqa: S608
    " WHERE facility_id = $1 AND sensor_type IS NOT NULL"
)
WRITE = """
INSERT INTO detection_settings (facility_id, sensor_type, sensor_id,
                                budget_days, warming_readings, physical_low, physical_high, is_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT ({key}) DO UPDATE
   SET budget_days = excluded.budget_days, warming_readings = excluded.warming_readings,
       physical_low = excluded.physical_low, physical_high = excluded.physical_high, is_on = excluded.is_on
"""
WRITE_OF_SENSOR = WRITE.format(key="sensor_id")
WRITE_OF_TYPE = WRITE.format(key="facility_id, sensor_type")
FORGET_OF_SENSOR = "DELETE FROM detection_settings WHERE sensor_id = $1"
FORGET_OF_TYPE = "DELETE FROM detection_settings WHERE facility_id = $1 AND sensor_type = $2"
NOTHING_SET = DetectionSettings()


class TypeQuery(BaseModel):
    sensor_type: SensorType


@noun.get("/detection/sensor/{sensor_id}", Need.VIEW, SensorDetection, statuses=(401, 403, 404))
async def read_sensor_detection(call: Call, sensor_id: str) -> SensorDetection:
    """What is set for the sensor, for its type in its facility, and what holds."""
    async with call.database.transaction() as connection:
        return await _of_sensor(call, connection, sensor_id)


@noun.put("/detection/sensor/{sensor_id}", Need.EDIT, SensorDetection, statuses=(401, 403, 404, 422))
async def update_sensor_detection(call: Call, sensor_id: str, body: DetectionChanges) -> SensorDetection:
    """For this sensor alone."""
    async with call.database.transaction() as connection:
        before = await _lock_sensor(connection, sensor_id)
        after = _merged(before, body)
        if after != before:
            values = after.model_dump().values()
            await connection.execute(WRITE_OF_SENSOR, call.facility_id, None, sensor_id, *values)
            await _tell(call, connection, before, after, sensor_id=sensor_id)
        return await _of_sensor(call, connection, sensor_id)


@noun.delete("/detection/sensor/{sensor_id}", Need.EDIT, SensorDetection, statuses=(401, 403, 404))
async def delete_sensor_detection(call: Call, sensor_id: str) -> SensorDetection:
    """The sensor is as its type again."""
    async with call.database.transaction() as connection:
        before = await _lock_sensor(connection, sensor_id)
        if before != NOTHING_SET:
            await connection.execute(FORGET_OF_SENSOR, sensor_id)
            await _tell(call, connection, before, NOTHING_SET, sensor_id=sensor_id)
        return await _of_sensor(call, connection, sensor_id)


@noun.get("/detection/facility/{facility_id}", Need.VIEW, FacilityDetection, statuses=(401, 403, 404))
async def read_facility_detection(call: Call, facility_id: str) -> FacilityDetection:
    """What is set for each type of sensor in the facility, and what holds."""
    async with call.database.transaction() as connection:
        return await _of_facility(connection, facility_id)


@noun.put("/detection/facility/{facility_id}", Need.EDIT, FacilityDetection, statuses=(401, 403, 404, 422))
async def update_facility_detection(call: Call, facility_id: str, body: TypeDetectionChanges) -> FacilityDetection:
    """For the facility's sensors of one type, now and later."""
    async with call.database.transaction() as connection:
        before = await _lock_type(connection, facility_id, body.sensor_type)
        after = _merged(before, body)
        if after != before:
            values = after.model_dump().values()
            await connection.execute(WRITE_OF_TYPE, facility_id, body.sensor_type, None, *values)
            await _tell(call, connection, before, after, sensor_type=body.sensor_type)
        return await _of_facility(connection, facility_id)


@noun.delete("/detection/facility/{facility_id}", Need.EDIT, FacilityDetection, statuses=(401, 403, 404, 422))
async def delete_facility_detection(call: Call, facility_id: str, query: TypeQuery) -> FacilityDetection:
    """The type is as by default again; settings of single sensors stay."""
    async with call.database.transaction() as connection:
        before = await _lock_type(connection, facility_id, query.sensor_type)
        if before != NOTHING_SET:
            await connection.execute(FORGET_OF_TYPE, facility_id, query.sensor_type)
            await _tell(call, connection, before, NOTHING_SET, sensor_type=query.sensor_type)
        return await _of_facility(connection, facility_id)


async def _lock_sensor(connection: Any, sensor_id: str) -> DetectionSettings:
    if await connection.fetchrow(LOCK_SENSOR, sensor_id) is None:
        raise NotFound("Sensor")
    return _settings(await connection.fetchrow(READ_OF_SENSOR, sensor_id))


async def _lock_type(connection: Any, facility_id: str, sensor_type: SensorType) -> DetectionSettings:
    if await connection.fetchrow(LOCK_FACILITY, facility_id) is None:
        raise NotFound("Facility")
    return _settings(await connection.fetchrow(READ_OF_TYPE, facility_id, sensor_type))


def _merged(before: DetectionSettings, body: DetectionChanges) -> DetectionSettings:
    return before.model_copy(update=body.model_dump(exclude_none=True, exclude={"sensor_type"}))


async def _tell(
    call: Call, connection: Any, before: DetectionSettings, after: DetectionSettings, **subject: str
) -> None:
    """The engine and the audit log. `subject`: sensor_id, or sensor_type."""
    await connection.execute(TELL_ENGINE, call.facility_id)
    old, new = changes(before.model_dump(), after.model_dump())
    sensor_id = subject.pop("sensor_id", None)
    about = f"facility:{call.facility_id}" if sensor_id is None else f"sensor:{sensor_id}"
    action = Action.DETECTION_UPDATED
    await audit(connection, call.actor, action, about, before={**subject, **old}, after={**subject, **new})


async def _of_sensor(call: Call, connection: Any, sensor_id: str) -> SensorDetection:
    sensor_type = await connection.fetchval(READ_TYPE_OF_SENSOR, sensor_id)
    if sensor_type is None:
        raise NotFound("Sensor")
    of_sensor = _settings(await connection.fetchrow(READ_OF_SENSOR, sensor_id))
    of_type = _settings(await connection.fetchrow(READ_OF_TYPE, call.facility_id, sensor_type))
    return SensorDetection(
        sensor_id=sensor_id,
        sensor_type=sensor_type,
        of_sensor=of_sensor,
        of_type=of_type,
        in_force=in_force(SensorType(sensor_type), of_type, of_sensor),
    )


async def _of_facility(connection: Any, facility_id: str) -> FacilityDetection:
    rows = await connection.fetch(READ_OF_TYPES, facility_id)
    held = {row["sensor_type"]: _settings(row) for row in rows}
    known = {*held, *(row["type"] for row in await connection.fetch(READ_TYPES, facility_id))}
    types = [
        TypeDetection(sensor_type=kind, of_type=of_type, in_force=in_force(kind, of_type))
        for kind in SensorType
        if kind in known
        for of_type in [held.get(kind, NOTHING_SET)]
    ]
    return FacilityDetection(facility_id=facility_id, types=types)


def _settings(row: Mapping[str, Any] | None) -> DetectionSettings:
    return NOTHING_SET if row is None else DetectionSettings(**row)


def in_force(kind: SensorType, *settings: DetectionSettings) -> DetectionInForce:
    """The core's defaults of a type, and over them `settings`, the last one first; what is None is not said."""
    said = {name: value for each in settings for name, value in each.model_dump(exclude_none=True).items()}
    return DetectionInForce(**{**native.detection_defaults(kind.value), **said})
