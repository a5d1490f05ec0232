"""Alarm rules: set for a sensor, or for a type of a facility's sensors. What is set for neither is as the core has it.
Every setting is kept with who made it when. The engine loads a changed facility again, so that the change is an entry
of its commit log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

import native
from engine.alarm_rules import merged
from engine.model import SensorType
from web.api.configuration import TELL_ENGINE
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.rule_shapes import (
    FacilityRules,
    NewRules,
    NewTypeRules,
    RuleInForce,
    RuleSettings,
    RulesVersion,
    SensorRules,
    TypeRules,
)
from web.errors import NotFound, NotUsable
from web.serving.call import Call

noun = Noun("rules", "When something is an alarm")

VERSIONS_MAX = 50
READ_TYPE_OF_SENSOR = "SELECT type FROM sensors WHERE id = $1"
LOCK_SENSOR = f"{READ_TYPE_OF_SENSOR} FOR NO KEY UPDATE"
LOCK_FACILITY = "SELECT id FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
READ_TYPES = """
SELECT type FROM sensors WHERE facility_id = $1
 UNION SELECT sensor_type FROM sensor_rules WHERE facility_id = $1 AND sensor_type IS NOT NULL
"""
READ_VERSIONS = """
SELECT id AS version, set_at, set_by, set_by_name, settings
  FROM sensor_rules
 WHERE facility_id = $1 AND sensor_type IS NOT DISTINCT FROM $2 AND sensor_id IS NOT DISTINCT FROM $3
 ORDER BY id DESC
 LIMIT $4
"""
READ_OF_SENSORS = """
SELECT DISTINCT ON (r.sensor_id) r.settings
  FROM sensor_rules r JOIN sensors s ON s.id = r.sensor_id
 WHERE r.facility_id = $1 AND s.type = $2
 ORDER BY r.sensor_id, r.id DESC
"""
WRITE = """
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_by, set_by_name)
VALUES ($1, $2, $3, $4, $5, $6)
"""
NOTHING_SET = RuleSettings()


@dataclass(frozen=True, slots=True)
class _Subject:
    """Either of the two, in the facility that the guard checked."""

    sensor_type: str | None = None
    sensor_id: str | None = None


class TypeQuery(BaseModel):
    sensor_type: SensorType


@noun.get("/rules/sensor/{sensor_id}", Need.VIEW, SensorRules, statuses=(401, 403, 404))
async def read_sensor_rules(call: Call, sensor_id: str) -> SensorRules:
    """What is set for the sensor, for its type in its facility, and what holds."""
    async with call.database.transaction() as connection:
        return await _of_sensor(call, connection, sensor_id)


@noun.put("/rules/sensor/{sensor_id}", Need.EDIT, SensorRules, statuses=(401, 403, 404, 422))
async def update_sensor_rules(call: Call, sensor_id: str, body: NewRules) -> SensorRules:
    """For this sensor alone. What was set for it before is replaced, and kept among the versions."""
    return await _set_for_sensor(call, sensor_id, body)


@noun.delete("/rules/sensor/{sensor_id}", Need.EDIT, SensorRules, statuses=(401, 403, 404))
async def delete_sensor_rules(call: Call, sensor_id: str) -> SensorRules:
    """The sensor is as its type again."""
    return await _set_for_sensor(call, sensor_id, NOTHING_SET)


@noun.get("/rules/facility/{facility_id}", Need.VIEW, FacilityRules, statuses=(401, 403, 404))
async def read_facility_rules(call: Call, facility_id: str) -> FacilityRules:
    """What is set for each type of sensor in the facility, and what holds."""
    async with call.database.transaction() as connection:
        return await _of_facility(connection, facility_id)


@noun.put("/rules/facility/{facility_id}", Need.EDIT, FacilityRules, statuses=(401, 403, 404, 422))
async def update_facility_rules(call: Call, facility_id: str, body: NewTypeRules) -> FacilityRules:
    """For the facility's sensors of one type, now and later. What was set for it before is replaced."""
    return await _set_for_type(call, facility_id, body.sensor_type, body)


@noun.delete("/rules/facility/{facility_id}", Need.EDIT, FacilityRules, statuses=(401, 403, 404, 422))
async def delete_facility_rules(call: Call, facility_id: str, query: TypeQuery) -> FacilityRules:
    """The type is as by default again; rules of single sensors stay."""
    return await _set_for_type(call, facility_id, query.sensor_type, NOTHING_SET)


async def _set_for_sensor(call: Call, sensor_id: str, wanted: RuleSettings) -> SensorRules:
    async with call.database.transaction() as connection:
        sensor_type = await connection.fetchval(LOCK_SENSOR, sensor_id)
        if sensor_type is None:
            raise NotFound("Sensor")
        of_type = _newest(await _versions(connection, call.facility_id, sensor_type, None))
        in_force(SensorType(sensor_type), of_type, wanted)  # refuses what the core would refuse
        await _write(call, connection, _Subject(sensor_id=sensor_id), wanted)
        return await _of_sensor(call, connection, sensor_id)


async def _set_for_type(call: Call, facility_id: str, sensor_type: SensorType, wanted: RuleSettings) -> FacilityRules:
    async with call.database.transaction() as connection:
        if await connection.fetchrow(LOCK_FACILITY, facility_id) is None:
            raise NotFound("Facility")
        in_force(sensor_type, wanted)
        for row in await connection.fetch(READ_OF_SENSORS, facility_id, sensor_type):  # a facility loads whole or not
            in_force(sensor_type, wanted, RuleSettings(**json.loads(row["settings"])))
        await _write(call, connection, _Subject(sensor_type=sensor_type.value), wanted)
        return await _of_facility(connection, facility_id)


async def _write(call: Call, connection: Any, whom: _Subject, wanted: RuleSettings) -> None:
    """A new version, the engine and the audit log; nothing where it is so already."""
    before = _newest(await _versions(connection, call.facility_id, whom.sensor_type, whom.sensor_id))
    old, new = _said(before), _said(wanted)
    if old == new:
        return
    who = call.caller.principal, call.caller.name
    subject = call.facility_id, whom.sensor_type, whom.sensor_id
    await connection.execute(WRITE, *subject, json.dumps(new), *who)
    await connection.execute(TELL_ENGINE, call.facility_id)
    about = {} if whom.sensor_type is None else {"sensor_type": whom.sensor_type}
    name = f"facility:{call.facility_id}" if whom.sensor_id is None else f"sensor:{whom.sensor_id}"
    await audit(connection, call.actor, Action.RULES_UPDATED, name, before={**about, **old}, after={**about, **new})


async def _of_sensor(call: Call, connection: Any, sensor_id: str) -> SensorRules:
    sensor_type = await connection.fetchval(READ_TYPE_OF_SENSOR, sensor_id)
    if sensor_type is None:
        raise NotFound("Sensor")
    versions = await _versions(connection, call.facility_id, None, sensor_id)
    of_sensor, of_type = _newest(versions), _newest(await _versions(connection, call.facility_id, sensor_type, None))
    return SensorRules(
        sensor_id=sensor_id,
        sensor_type=sensor_type,
        of_sensor=of_sensor,
        of_type=of_type,
        in_force=in_force(SensorType(sensor_type), of_type, of_sensor),
        versions=versions,
    )


async def _of_facility(connection: Any, facility_id: str) -> FacilityRules:
    known = {row["type"] for row in await connection.fetch(READ_TYPES, facility_id)}
    types = []
    for kind in SensorType:
        if kind in known:
            versions = await _versions(connection, facility_id, kind, None)
            of_type = _newest(versions)
            held = in_force(kind, of_type)
            types.append(TypeRules(sensor_type=kind, of_type=of_type, in_force=held, versions=versions))
    return FacilityRules(facility_id=facility_id, types=types)


async def _versions(
    connection: Any, facility_id: str | None, sensor_type: str | None, sensor_id: str | None
) -> list[RulesVersion]:
    rows = await connection.fetch(READ_VERSIONS, facility_id, sensor_type, sensor_id, VERSIONS_MAX)
    return [RulesVersion(**{**row, "settings": json.loads(row["settings"])}) for row in map(dict, rows)]


def _newest(versions: Sequence[RulesVersion]) -> RuleSettings:
    return versions[0].settings if versions else NOTHING_SET


def _said(settings: RuleSettings) -> dict[str, Any]:
    """As the core reads it, without what is not said."""
    said = settings.model_dump(mode="json", exclude_none=True, include=set(RuleSettings.model_fields))
    return {name: value for name, value in said.items() if value != []}


def in_force(kind: SensorType, of_type: RuleSettings, of_sensor: RuleSettings = NOTHING_SET) -> list[RuleInForce]:
    """The rules that hold; NotUsable with the core's sentence for what it would refuse."""
    try:
        held = native.rules_in_force(kind.value, json.dumps(merged(_said(of_type), _said(of_sensor))))
    except ValueError as error:
        raise NotUsable.of("body", "rules", str(error)) from error
    return [RuleInForce(**rule) for rule in held]
