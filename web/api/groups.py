"""What several sensors of a facility are judged by together: votes, discrepancies, combinations, who was first, and
what is suppressed by design. Every setting is kept with who made it when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import native
from web.api.configuration import TELL_ENGINE
from web.api.then import AtQuery, past
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.group_shapes import (
    BODY_BYTES_MAX,
    Expression,
    FacilityGroups,
    GroupSettings,
    GroupsVersion,
    NewGroups,
)
from web.errors import NotFound, NotUsable
from web.serving.call import Call

noun = Noun("groups", "What several sensors are judged by together")

VERSIONS_MAX = 50
LOCK_FACILITY = "SELECT id FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
READ_FACILITY = "SELECT id FROM facilities WHERE id = $1"
READ_SENSORS = "SELECT id FROM sensors WHERE facility_id = $1 AND id = ANY($2::text[]) AND retired_at IS NULL"
READ_VERSIONS = """
SELECT id AS version, set_at, set_by, set_by_name, settings
  FROM facility_groups WHERE facility_id = $1 AND ($3::timestamptz IS NULL OR set_at <= $3) ORDER BY id DESC LIMIT $2
"""
# A name keeps its number for good: its alarms in the journal are of one and the same.
READ_NUMBERS = """
SELECT DISTINCT named ->> 'name' AS name, (named ->> 'no')::int4 AS no
  FROM facility_groups, jsonb_array_elements(settings -> 'groups') named
 WHERE facility_id = $1
"""
NEXT_NUMBER = "SELECT nextval('sensors_sensor_no_seq')::int4"
# The clock is read after the lock, so that versions are in the order of their times.
WRITE = """
INSERT INTO facility_groups (facility_id, settings, set_at, set_by, set_by_name, reason)
VALUES ($1, $2, clock_timestamp(), $3, $4, $5)
"""


@noun.get("/groups/facility/{facility_id}", Need.VIEW, FacilityGroups, statuses=(401, 403, 404, 422))
async def read_facility_groups(call: Call, facility_id: str, query: AtQuery) -> FacilityGroups:
    """All groups and suppressions by design of the facility, and who set them; or as they were `at` a moment."""
    at = past(call, query)
    async with call.database.transaction() as connection:
        if await connection.fetchrow(READ_FACILITY, facility_id) is None:
            raise NotFound("Facility")
        return await _of_facility(connection, facility_id, at)


@noun.put(
    "/groups/facility/{facility_id}",
    Need.EDIT,
    FacilityGroups,
    statuses=(401, 403, 404, 422),
    body_bytes_max=BODY_BYTES_MAX,
)
async def update_facility_groups(call: Call, facility_id: str, body: NewGroups) -> FacilityGroups:
    """In the place of all that were set before; with empty lists there are none. A group that is not named any more
    ends its alarms, and an alarm that was suppressed is given back.
    """
    async with call.database.transaction() as connection:
        if await connection.fetchrow(LOCK_FACILITY, facility_id) is None:
            raise NotFound("Facility")
        await _refuse_strangers(connection, facility_id, body)
        new = _said(body)
        known = {row["name"]: row["no"] for row in await connection.fetch(READ_NUMBERS, facility_id)}
        for group in new.get("groups", ()):
            group["no"] = known[group["name"]] = known.get(group["name"]) or await connection.fetchval(NEXT_NUMBER)
        try:
            native.check_groups(json.dumps(new))
        except ValueError as error:
            raise NotUsable.of("body", "groups", str(error)) from error
        before = await _of_facility(connection, facility_id)
        old = _said(GroupSettings(groups=before.groups, rests=before.rests))
        if old != new:
            who = call.caller.principal, call.caller.name
            await connection.execute(WRITE, facility_id, json.dumps(new), *who, body.reason)
            await connection.execute(TELL_ENGINE, facility_id)
            subject = f"facility:{facility_id}"
            why = {} if body.reason is None else {"reason": body.reason}
            await audit(connection, call.actor, Action.GROUPS_UPDATED, subject, before=old, after={**new, **why})
        return await _of_facility(connection, facility_id)


async def _of_facility(connection: Any, facility_id: str, at: datetime | None = None) -> FacilityGroups:
    rows = await connection.fetch(READ_VERSIONS, facility_id, VERSIONS_MAX, at)
    versions = [GroupsVersion(**{**row, "settings": json.loads(row["settings"])}) for row in map(dict, rows)]
    newest = versions[0].settings if versions else GroupSettings()
    return FacilityGroups(facility_id=facility_id, groups=newest.groups, rests=newest.rests, versions=versions)


async def _refuse_strangers(connection: Any, facility_id: str, body: NewGroups) -> None:
    asked = set(_sensors(body))
    strange = [sensor_id for sensor_id in asked if "\x00" in sensor_id]  # PostgreSQL has no such text
    if not strange:
        known = {row["id"] for row in await connection.fetch(READ_SENSORS, facility_id, list(asked))}
        strange = sorted(asked - known)
    if strange:
        raise NotUsable.of("body", "groups", f"the facility has no sensor {strange[0]!r} that is in use")


def _sensors(body: NewGroups) -> Iterable[str]:
    for group in body.groups:
        yield from (member.sensor_id for member in group.members)
        yield from (sensor_id for sensor_id in (group.commanded, group.reported) if sensor_id is not None)
        if group.when is not None:
            yield from _asked(group.when)
    for rest in body.rests:
        yield from _asked(rest.while_)
        yield from (member.sensor_id for member in rest.alarms)


def _asked(expression: Expression) -> Iterable[str]:
    if expression.sensor_id is not None:
        yield expression.sensor_id
    for inner in (*(expression.all or ()), *(expression.any or ()), *filter(None, (expression.not_,))):
        yield from _asked(inner)


def _said(settings: NewGroups | GroupSettings) -> dict[str, Any]:
    """As the core reads it, without what is not said."""
    said = settings.model_dump(mode="json", exclude_none=True, by_alias=True, include={"groups", "rests"})
    for group in said["groups"]:
        if not group["members"]:
            del group["members"]
    return {name: value for name, value in said.items() if value}
