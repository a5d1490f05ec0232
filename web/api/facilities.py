"""Facilities that the caller may view. Created by the field hub only; Admins retire and remove them."""

from __future__ import annotations

from typing import Any

from web.api.configuration import TELL_ENGINE
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Facility, FacilityChanges, Location, UnlimitedPaging
from web.errors import HttpRefusal, NotFound
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("facilities", "Gas facilities")

LIST_FACILITIES = """
SELECT f.id, f.name, f.status, f.type, f.location_id, f.created_at, f.retired_at, l.address, l.longitude, l.latitude
  FROM facilities f JOIN locations l ON l.id = f.location_id
 WHERE ($1 OR f.id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
   AND (f.name, f.id) > ($3, $4)
 ORDER BY f.name, f.id
OFFSET $5 LIMIT $6
"""
COUNT_FACILITIES = """
SELECT count(*) FROM facilities WHERE $1 OR id IN (SELECT facility_id FROM facility_rights WHERE principal = $2)
"""
FACILITIES = Source(LIST_FACILITIES, COUNT_FACILITIES, ("name", "id"), ("", ""))
READ_FACILITY = """
SELECT f.id, f.name, f.status, f.type, f.location_id, f.created_at, f.retired_at, l.address, l.longitude, l.latitude
  FROM facilities f JOIN locations l ON l.id = f.location_id
 WHERE f.id = $1
"""
LOCK_NAME = "SELECT name FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
RETIRE_FACILITY = "SELECT facility_retire($1)"
REMOVE_FACILITY = "SELECT facility_remove($1)"
COUNT_SENSORS = "SELECT count(*) FROM sensors WHERE facility_id = $1"
RENAME_FACILITY = "UPDATE facilities SET name = $2 WHERE id = $1"


@noun.get("/facilities", Need.USER, list[Facility], statuses=(401, 422), is_list=True)
async def list_facilities(call: Call, query: UnlimitedPaging) -> Rows:
    """By name."""
    scope = (call.caller.is_admin, call.caller.principal)
    return await listed(call, FACILITIES, scope, Part.of(call, query), each(_facility))


@noun.get("/facilities/{facility_id}", Need.VIEW, Facility, statuses=(401, 403, 404))
async def read_facility(call: Call, facility_id: str) -> Facility:
    """One facility."""
    return await _read(call, facility_id)


@noun.put("/facilities/{facility_id}", Need.EDIT, Facility, statuses=(401, 403, 404, 422))
async def update_facility(call: Call, facility_id: str, body: FacilityChanges) -> Facility:
    """A new name."""
    async with call.database.transaction() as connection:
        old_name = await connection.fetchval(LOCK_NAME, facility_id)
        if old_name is None:
            raise NotFound("Facility")
        if body.name is not None and body.name != old_name:
            await connection.execute(RENAME_FACILITY, facility_id, body.name)
            await connection.execute(TELL_ENGINE, facility_id)
            subject, before, after = f"facility:{facility_id}", {"name": old_name}, {"name": body.name}
            await audit(connection, call.actor, Action.FACILITY_UPDATED, subject, before=before, after=after)
    return await _read(call, facility_id)


@noun.post("/retire/facility/{facility_id}", Need.ADMIN, Facility, statuses=(401, 403, 404, 409))
async def retire_facility(call: Call, facility_id: str) -> Facility:
    """Out of use: its alarms end, its history stays, and what comes for it has no effect. A setup that is dated later,
    and then its activations, bring it back.
    """
    async with call.database.transaction() as connection:
        old = await connection.fetchrow(READ_FACILITY, facility_id)
        if old is None:
            raise NotFound("Facility")
        if not await connection.fetchval(RETIRE_FACILITY, facility_id):
            raise HttpRefusal(409, "The facility is retired already")
        subject, before, after = f"facility:{facility_id}", {"status": old["status"]}, {"status": "Offline"}
        await audit(connection, call.actor, Action.FACILITY_RETIRED, subject, before=before, after=after)
    return await _read(call, facility_id)


@noun.delete("/facilities/{facility_id}", Need.ADMIN, Facility, statuses=(401, 403, 404))
async def remove_facility(call: Call, facility_id: str) -> Facility:
    """For good, with its sensors, permissions and all its data. The entities are gone at once, readings and journal in
    pieces afterwards. A setup that is dated later makes a new facility.
    """
    async with call.database.transaction() as connection:
        old = await connection.fetchrow(READ_FACILITY, facility_id)
        if old is None:
            raise NotFound("Facility")
        sensors = await connection.fetchval(COUNT_SENSORS, facility_id)
        if not await connection.fetchval(REMOVE_FACILITY, facility_id):
            raise NotFound("Facility")
        subject, before = f"facility:{facility_id}", {"name": old["name"], "type": old["type"], "sensors": sensors}
        await audit(connection, call.actor, Action.FACILITY_REMOVED, subject, before=before)
    return _facility(old)


async def _read(call: Call, facility_id: str) -> Facility:
    row = await call.database.row(READ_FACILITY, facility_id)
    if row is None:
        raise NotFound("Facility")
    return _facility(row)


def _facility(row: Any) -> Facility:
    location = Location(
        id=row["location_id"], address=row["address"], longitude=row["longitude"], latitude=row["latitude"]
    )
    return Facility(
        id=row["id"],
        name=row["name"],
        status=row["status"],
        type=row["type"],
        location_id=row["location_id"],
        created_at=row["created_at"],
        retired_at=row["retired_at"],
        location=location,
    )
