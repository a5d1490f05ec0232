"""Alarm rules that shall hold later: filed, listed and withdrawn here; the engine sets them at their moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, Field

from web.api.rules import NOTHING_SET, Subject, check_type, in_force, lock_facility, lock_sensor, said
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.rule_shapes import NewPlannedRules, NewPlannedTypeRules, PlannedRules, RuleSettings
from web.contract.shapes import Paging
from web.errors import HttpRefusal, NotFound, NotUsable
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.rows import Rows
from web.wire.times import EPOCH, from_us

noun = Noun("planned-rules", "Alarm rules that shall hold later")

PLANNED_MAX: Final = 20
"""For one sensor, or one type of a facility's sensors; those that were refused are among them."""
AHEAD_DAYS_MAX: Final = 366
_COLUMNS = """
id, facility_id, sensor_id, sensor_type, settings, effective_from, filed_at, set_by, set_by_name, reason, refusal
"""
_OF_SENSOR = """
 WHERE facility_id = $1 AND (sensor_id = $2 OR sensor_type = (SELECT type FROM sensors WHERE id = $2))
"""
_OF_FACILITY = " WHERE facility_id = $1"
_PLANNED_OF_SENSOR = Source(
    f"SELECT {_COLUMNS} FROM planned_rules {_OF_SENSOR} AND (effective_from, id) > ($3, $4::int8)"  # noqa: S608
    " ORDER BY effective_from, id OFFSET $5 LIMIT $6",
    f"SELECT count(*) FROM planned_rules {_OF_SENSOR}",  # noqa: S608 - parts of this file
    ("effective_from", "id"),
    (EPOCH, 0),
)
_PLANNED_OF_FACILITY = Source(
    f"SELECT {_COLUMNS} FROM planned_rules {_OF_FACILITY} AND (effective_from, id) > ($2, $3::int8)"  # noqa: S608
    " ORDER BY effective_from, id OFFSET $4 LIMIT $5",
    f"SELECT count(*) FROM planned_rules {_OF_FACILITY}",  # noqa: S608
    ("effective_from", "id"),
    (EPOCH, 0),
)
COUNT = """
SELECT count(*) FROM planned_rules
 WHERE facility_id = $1 AND sensor_type IS NOT DISTINCT FROM $2 AND sensor_id IS NOT DISTINCT FROM $3
"""
# As far as is known: what is planned until then goes before what is set.
READ_OF_TYPE_THEN = """
(SELECT settings, 1 AS place FROM planned_rules
  WHERE facility_id = $1 AND sensor_type = $2 AND effective_from <= $3 AND refusal IS NULL
  ORDER BY effective_from DESC, id DESC LIMIT 1)
UNION ALL
(SELECT settings, 2 FROM sensor_rules WHERE facility_id = $1 AND sensor_type = $2 ORDER BY id DESC LIMIT 1)
ORDER BY place LIMIT 1
"""
WRITE = f"""
INSERT INTO planned_rules (facility_id, sensor_type, sensor_id, settings, effective_from, set_by, set_by_name, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING {_COLUMNS}
"""  # noqa: S608
WITHDRAW = f"DELETE FROM planned_rules WHERE id = $1 AND facility_id = $2 RETURNING {_COLUMNS}"  # noqa: S608


class OfFacility(BaseModel):
    facility_id: str = Field(min_length=1)


@noun.post("/planned-rules/sensor/{sensor_id}", Need.EDIT, PlannedRules, statuses=(401, 403, 404, 409, 422))
async def plan_sensor_rules(call: Call, sensor_id: str, body: NewPlannedRules) -> PlannedRules:
    """They replace what is set for the sensor when `effective_from` has come, whatever that is by then."""
    check_moment(call, body.effective_from)
    async with call.database.transaction() as connection:
        sensor_type = await lock_sensor(connection, sensor_id)
        then = await connection.fetchval(READ_OF_TYPE_THEN, call.facility_id, sensor_type, body.effective_from)
        of_type = NOTHING_SET if then is None else RuleSettings(**json.loads(then))
        in_force(sensor_type, of_type, body)  # refuses what the core would refuse
        return await _file(call, connection, Subject(sensor_id=sensor_id), body)


@noun.post("/planned-rules/facility/{facility_id}", Need.EDIT, PlannedRules, statuses=(401, 403, 404, 409, 422))
async def plan_facility_rules(call: Call, facility_id: str, body: NewPlannedTypeRules) -> PlannedRules:
    """They replace what is set for the facility's sensors of the type when `effective_from` has come."""
    check_moment(call, body.effective_from)
    async with call.database.transaction() as connection:
        await lock_facility(connection, facility_id)
        await check_type(connection, facility_id, body.sensor_type, body)
        return await _file(call, connection, Subject(sensor_type=body.sensor_type.value), body)


@noun.get(
    "/planned-rules/sensor/{sensor_id}", Need.VIEW, list[PlannedRules], statuses=(401, 403, 404, 422), is_list=True
)
async def list_planned_of_sensor(call: Call, sensor_id: str, query: Paging) -> Rows:
    """For the sensor and for its type in its facility, in the order in which they will hold."""
    return await listed(call, _PLANNED_OF_SENSOR, (call.facility_id, sensor_id), Part.of(call, query), each(_planned))


@noun.get(
    "/planned-rules/facility/{facility_id}", Need.VIEW, list[PlannedRules], statuses=(401, 403, 404, 422), is_list=True
)
async def list_planned_of_facility(call: Call, facility_id: str, query: Paging) -> Rows:
    """For all of its sensors and types, in the order in which they will hold."""
    return await listed(call, _PLANNED_OF_FACILITY, (facility_id,), Part.of(call, query), each(_planned))


@noun.delete("/planned-rules/{planned_id}", Need.EDIT, PlannedRules, statuses=(401, 403, 404, 422))
async def withdraw_planned_rules(call: Call, planned_id: int, query: OfFacility) -> PlannedRules:
    """They will not hold. 404 also where they hold already: then `PUT` others."""
    async with call.database.transaction() as connection:
        row = await connection.fetchrow(WITHDRAW, planned_id, query.facility_id)
        if row is None:
            raise NotFound("Planned rules")
        planned = _planned(row)
        subject = Subject(planned.sensor_type, planned.sensor_id)
        about = subject.named_in(planned.facility_id)
        await audit(connection, call.actor, Action.RULES_WITHDRAWN, about, before=_told(planned))
        return planned


def check_moment(call: Call, effective_from: datetime) -> None:
    """NotUsable for what would hold at once, and for what is further ahead than anybody plans."""
    now = from_us(call.services.clock.now_us())
    if effective_from <= now:
        raise NotUsable.of("body", "effective_from", "is not to come: PUT /rules/… sets what holds at once")
    if effective_from > now + timedelta(days=AHEAD_DAYS_MAX):
        raise NotUsable.of("body", "effective_from", f"is more than {AHEAD_DAYS_MAX} days ahead, which is the most")


async def _file(call: Call, connection: Any, whom: Subject, body: NewPlannedRules) -> PlannedRules:
    subject = call.facility_id, whom.sensor_type, whom.sensor_id
    if await connection.fetchval(COUNT, *subject) >= PLANNED_MAX:
        raise HttpRefusal(409, f"{PLANNED_MAX} are planned already, which is all there may be; withdraw one")
    who = call.caller.principal, call.caller.name
    row = await connection.fetchrow(WRITE, *subject, json.dumps(said(body)), body.effective_from, *who, body.reason)
    planned = _planned(row)
    await audit(connection, call.actor, Action.RULES_PLANNED, whom.named_in(call.facility_id), after=_told(planned))
    return planned


def _planned(row: Any) -> PlannedRules:
    return PlannedRules(**{**row, "settings": json.loads(row["settings"])})


def _told(planned: PlannedRules) -> dict[str, Any]:
    """To the audit log."""
    whom = Subject(planned.sensor_type, planned.sensor_id)
    at = planned.effective_from.astimezone(UTC).isoformat()
    why = {} if planned.reason is None else {"reason": planned.reason}
    return {"id": planned.id, "effective_from": at, **whom.about, **said(planned.settings), **why}
