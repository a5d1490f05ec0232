"""Alarm rules: set for a sensor, or for a type of a facility's sensors. What is set for neither is as the core has it.
Every setting is kept with who made it when. The engine loads a changed facility again, so that the change is an entry
of its commit log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from engine.alarm_rules import rules_in_force
from engine.model import SensorType
from web.api.configuration import TELL_ENGINE
from web.api.then import AtQuery, past
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
   AND ($5::timestamptz IS NULL OR set_at <= $5)
 ORDER BY id DESC
 LIMIT $4
"""
READ_OF_SENSORS = """
SELECT DISTINCT ON (r.sensor_id) r.settings
  FROM sensor_rules r JOIN sensors s ON s.id = r.sensor_id
 WHERE r.facility_id = $1 AND s.type = $2
 ORDER BY r.sensor_id, r.id DESC
"""
# The clock is read after the lock, so that the versions of a subject are in the order of their times.
WRITE = """
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_at, set_by, set_by_name, reason)
VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7)
"""
NOTHING_SET = RuleSettings()


@dataclass(frozen=True, slots=True)
class Subject:
    """Either of the two, in the facility that the guard checked."""

    sensor_type: str | None = None
    sensor_id: str | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the audit log says of it beside its name."""
        return {} if self.sensor_type is None else {"sensor_type": self.sensor_type}

    def named_in(self, facility_id: str | None) -> str:
        """As the audit log calls it."""
        return f"facility:{facility_id}" if self.sensor_id is None else f"sensor:{self.sensor_id}"


class TypeQuery(BaseModel):
    sensor_type: SensorType


@noun.get("/rules/sensor/{sensor_id}", Need.VIEW, SensorRules, statuses=(401, 403, 404, 422))
async def read_sensor_rules(call: Call, sensor_id: str, query: AtQuery) -> SensorRules:
    """What is set for the sensor, for its type in its facility, and what holds; or held `at` a moment."""
    at = past(call, query)
    async with call.database.transaction() as connection:
        return await _of_sensor(call, connection, sensor_id, at)


@noun.put("/rules/sensor/{sensor_id}", Need.EDIT, SensorRules, statuses=(401, 403, 404, 422))
async def update_sensor_rules(call: Call, sensor_id: str, body: NewRules) -> SensorRules:
    """For this sensor alone. What was set for it before is replaced, and kept among the versions."""
    return await _set_for_sensor(call, sensor_id, body, body.reason)


@noun.delete("/rules/sensor/{sensor_id}", Need.EDIT, SensorRules, statuses=(401, 403, 404))
async def delete_sensor_rules(call: Call, sensor_id: str) -> SensorRules:
    """The sensor is as its type again."""
    return await _set_for_sensor(call, sensor_id, NOTHING_SET)


@noun.get("/rules/facility/{facility_id}", Need.VIEW, FacilityRules, statuses=(401, 403, 404, 422))
async def read_facility_rules(call: Call, facility_id: str, query: AtQuery) -> FacilityRules:
    """What is set for each type of sensor in the facility, and what holds; or held `at` a moment."""
    at = past(call, query)
    async with call.database.transaction() as connection:
        return await _of_facility(connection, facility_id, at)


@noun.put("/rules/facility/{facility_id}", Need.EDIT, FacilityRules, statuses=(401, 403, 404, 422))
async def update_facility_rules(call: Call, facility_id: str, body: NewTypeRules) -> FacilityRules:
    """For the facility's sensors of one type, now and later. What was set for it before is replaced."""
    return await _set_for_type(call, facility_id, body.sensor_type, body, body.reason)


@noun.delete("/rules/facility/{facility_id}", Need.EDIT, FacilityRules, statuses=(401, 403, 404, 422))
async def delete_facility_rules(call: Call, facility_id: str, query: TypeQuery) -> FacilityRules:
    """The type is as by default again; rules of single sensors stay."""
    return await _set_for_type(call, facility_id, query.sensor_type, NOTHING_SET)


async def lock_sensor(connection: Any, sensor_id: str) -> SensorType:
    """Nobody else sets rules of the sensor until the transaction ends; its type."""
    sensor_type = await connection.fetchval(LOCK_SENSOR, sensor_id)
    if sensor_type is None:
        raise NotFound("Sensor")
    return SensorType(sensor_type)


async def lock_facility(connection: Any, facility_id: str) -> None:
    """Nobody else sets rules of its types until the transaction ends."""
    if await connection.fetchrow(LOCK_FACILITY, facility_id) is None:
        raise NotFound("Facility")


async def check_type(connection: Any, facility_id: str, sensor_type: SensorType, wanted: RuleSettings) -> None:
    """NotUsable where one of the type's sensors could not have it; a facility loads whole or not."""
    in_force(sensor_type, wanted)
    for row in await connection.fetch(READ_OF_SENSORS, facility_id, sensor_type):
        in_force(sensor_type, wanted, RuleSettings(**json.loads(row["settings"])))


async def _set_for_sensor(call: Call, sensor_id: str, wanted: RuleSettings, reason: str | None = None) -> SensorRules:
    async with call.database.transaction() as connection:
        sensor_type = await lock_sensor(connection, sensor_id)
        of_type = _newest(await _versions(connection, call.facility_id, sensor_type, None))
        in_force(sensor_type, of_type, wanted)  # refuses what the core would refuse
        await _write(call, connection, Subject(sensor_id=sensor_id), wanted, reason)
        return await _of_sensor(call, connection, sensor_id)


async def _set_for_type(
    call: Call, facility_id: str, sensor_type: SensorType, wanted: RuleSettings, reason: str | None = None
) -> FacilityRules:
    async with call.database.transaction() as connection:
        await lock_facility(connection, facility_id)
        await check_type(connection, facility_id, sensor_type, wanted)
        await _write(call, connection, Subject(sensor_type=sensor_type.value), wanted, reason)
        return await _of_facility(connection, facility_id)


async def _write(call: Call, connection: Any, whom: Subject, wanted: RuleSettings, reason: str | None) -> None:
    """A new version, the engine and the audit log; nothing where it is so already."""
    before = _newest(await _versions(connection, call.facility_id, whom.sensor_type, whom.sensor_id))
    old, new = said(before), said(wanted)
    if old == new:
        return
    who = call.caller.principal, call.caller.name
    subject = call.facility_id, whom.sensor_type, whom.sensor_id
    await connection.execute(WRITE, *subject, json.dumps(new), *who, reason)
    await connection.execute(TELL_ENGINE, call.facility_id)
    about, why = whom.about, {} if reason is None else {"reason": reason}
    name = whom.named_in(call.facility_id)
    after = {**about, **new, **why}
    await audit(connection, call.actor, Action.RULES_UPDATED, name, before={**about, **old}, after=after)


async def _of_sensor(call: Call, connection: Any, sensor_id: str, at: datetime | None = None) -> SensorRules:
    sensor_type = await connection.fetchval(READ_TYPE_OF_SENSOR, sensor_id)
    if sensor_type is None:
        raise NotFound("Sensor")
    versions = await _versions(connection, call.facility_id, None, sensor_id, at)
    of_type = _newest(await _versions(connection, call.facility_id, sensor_type, None, at))
    of_sensor = _newest(versions)
    return SensorRules(
        sensor_id=sensor_id,
        sensor_type=sensor_type,
        of_sensor=of_sensor,
        of_type=of_type,
        in_force=in_force(SensorType(sensor_type), of_type, of_sensor),
        versions=versions,
    )


async def _of_facility(connection: Any, facility_id: str, at: datetime | None = None) -> FacilityRules:
    known = {row["type"] for row in await connection.fetch(READ_TYPES, facility_id)}
    types = []
    for kind in SensorType:
        if kind in known:
            versions = await _versions(connection, facility_id, kind, None, at)
            of_type = _newest(versions)
            held = in_force(kind, of_type)
            types.append(TypeRules(sensor_type=kind, of_type=of_type, in_force=held, versions=versions))
    return FacilityRules(facility_id=facility_id, types=types)


async def _versions(
    connection: Any,
    facility_id: str | None,
    sensor_type: str | None,
    sensor_id: str | None,
    at: datetime | None = None,
) -> list[RulesVersion]:
    rows = await connection.fetch(READ_VERSIONS, facility_id, sensor_type, sensor_id, VERSIONS_MAX, at)
    return [RulesVersion(**{**row, "settings": json.loads(row["settings"])}) for row in map(dict, rows)]


def _newest(versions: Sequence[RulesVersion]) -> RuleSettings:
    return versions[0].settings if versions else NOTHING_SET


def said(settings: RuleSettings) -> dict[str, Any]:
    """As the core reads it, without what is not said."""
    found = settings.model_dump(mode="json", exclude_none=True, include=set(RuleSettings.model_fields))
    return {name: value for name, value in found.items() if value != []}


def in_force(kind: SensorType, of_type: RuleSettings, of_sensor: RuleSettings = NOTHING_SET) -> list[RuleInForce]:
    """The rules that hold; NotUsable with the core's sentence for what it would refuse."""
    try:
        held = rules_in_force(kind.value, said(of_type), said(of_sensor))
    except ValueError as error:
        raise NotUsable.of("body", "rules", str(error)) from error
    return [RuleInForce(**rule) for rule in held]
