"""Sensors of the facilities that the caller may view. Created by the field hub only; Admins retire and remove them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.api.configuration import TELL_ENGINE
from web.audit import Action, audit, changes
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Location, Reading, Sensor, SensorChanges, UnlimitedPaging
from web.errors import HttpRefusal, NotFound
from web.serving.call import Call
from web.serving.lists import Part, Source, listed
from web.serving.rows import Rows
from web.wire.frequency import parse_frequency
from web.wire.numbers import reading_text

noun = Noun("sensors", "Sensors and their settings")

LIST_SENSORS = """
SELECT s.id, s.name, s.facility_id, s.status, s.type, s.expected_freq, s.location_id, s.installed_at, s.sensor_no,
       s.retired_at, l.address, l.longitude, l.latitude
  FROM sensors s LEFT JOIN locations l ON l.id = s.location_id
 WHERE ($3::text IS NULL OR s.facility_id = $3)
   AND ($1 OR s.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
   AND (s.name, s.id) > ($4, $5)
 ORDER BY s.name, s.id
OFFSET $6 LIMIT $7
"""
COUNT_SENSORS = """
SELECT count(*)
  FROM sensors
 WHERE ($3::text IS NULL OR facility_id = $3)
   AND ($1 OR facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
"""
SENSORS = Source(LIST_SENSORS, COUNT_SENSORS, ("name", "id"), ("", ""))
READ_SENSOR = """
SELECT s.id, s.name, s.facility_id, s.status, s.type, s.expected_freq, s.location_id, s.installed_at, s.sensor_no,
       s.retired_at, l.address, l.longitude, l.latitude
  FROM sensors s LEFT JOIN locations l ON l.id = s.location_id
 WHERE s.id = $1
"""
READ_LATEST = """
SELECT n.sensor_no, r.tracked_at, r.value, r.text_value, r.score, r.flags
  FROM unnest($1::int[]) AS n (sensor_no)
 CROSS JOIN LATERAL (SELECT tracked_at, value, text_value, score, flags
                       FROM sensor_records
                      WHERE sensor_no = n.sensor_no
                      ORDER BY tracked_at DESC
                      LIMIT 1) r
"""
RETIRE_SENSOR = "SELECT sensor_retire($1)"
REMOVE_SENSOR = "SELECT sensor_remove($1)"
LOCK_SENSOR = "SELECT name, status, expected_freq, retired_at FROM sensors WHERE id = $1 FOR NO KEY UPDATE"
# A person's change is newer than whatever was applied before, also than what a clock a little ahead of ours stamped.
# An unchanged frequency keeps the interval: "1T" is also how 90 s are shown that the hub declared.
UPDATE_SENSOR = """
UPDATE sensors
   SET name = coalesce($2, name),
       status_changed_at = CASE WHEN coalesce($3, status) = status THEN status_changed_at
                                ELSE greatest(now(), status_changed_at) END,
       status = coalesce($3, status),
       expected_freq = coalesce($4, expected_freq),
       signal_interval_s = CASE WHEN coalesce($4, expected_freq) = expected_freq THEN signal_interval_s ELSE $5 END
 WHERE id = $1
RETURNING name, status, expected_freq
"""


class SensorQuery(UnlimitedPaging):
    facility_id: str | None = None
    latest: bool = False


@noun.get("/sensors", Need.VIEW, list[Sensor], statuses=(401, 403, 404, 422), is_list=True)
async def list_sensors(call: Call, query: SensorQuery) -> Rows:
    """Of one facility, or without `facility_id` all that the caller may view; by name."""

    async def shaped(rows: Sequence[Any]) -> list[Sensor]:
        latest = await _latest(call, rows) if query.latest else {}
        return [_sensor(row, latest.get(row["sensor_no"])) for row in rows]

    scope = (call.caller.is_admin, call.caller.principal, query.facility_id)
    return await listed(call, SENSORS, scope, Part.of(call, query), shaped)


@noun.get("/sensors/{sensor_id}", Need.VIEW, Sensor, statuses=(401, 403, 404))
async def read_sensor(call: Call, sensor_id: str) -> Sensor:
    """One sensor."""
    return await _read(call, sensor_id)


@noun.put("/sensors/{sensor_id}", Need.EDIT, Sensor, statuses=(401, 403, 404, 409, 422))
async def update_sensor(call: Call, sensor_id: str, body: SensorChanges) -> Sensor:
    """Name, status, expected frequency. The status of a retired sensor stays: 409."""
    expected_interval_s = None if body.expected_freq is None else parse_frequency(body.expected_freq)
    async with call.database.transaction() as connection:
        old = await connection.fetchrow(LOCK_SENSOR, sensor_id)
        if old is None:
            raise NotFound("Sensor")
        if old["retired_at"] is not None and body.status not in {None, old["status"]}:
            raise HttpRefusal(409, "The sensor is retired; an activation that is dated later brings it back")
        row = await connection.fetchrow(
            UPDATE_SENSOR, sensor_id, body.name, body.status, body.expected_freq, expected_interval_s
        )
        before, after = changes(dict(old), dict(row))
        if after:
            await connection.execute(TELL_ENGINE, call.facility_id)
            subject = f"sensor:{sensor_id}"
            await audit(connection, call.actor, Action.SENSOR_UPDATED, subject, before=before, after=after)
    return await _read(call, sensor_id)


@noun.post("/retire/sensor/{sensor_id}", Need.ADMIN, Sensor, statuses=(401, 403, 404, 409))
async def retire_sensor(call: Call, sensor_id: str) -> Sensor:
    """Out of use: its alarms end, its history stays, and what comes for it has no effect. An activation that is dated
    later brings it back.
    """
    async with call.database.transaction() as connection:
        old = await connection.fetchrow(READ_SENSOR, sensor_id)
        if old is None:
            raise NotFound("Sensor")
        if not await connection.fetchval(RETIRE_SENSOR, sensor_id):
            raise HttpRefusal(409, "The sensor is retired already")
        subject, before, after = f"sensor:{sensor_id}", {"status": old["status"]}, {"status": "Inactive"}
        await audit(connection, call.actor, Action.SENSOR_RETIRED, subject, before=before, after=after)
    return await _read(call, sensor_id)


@noun.delete("/sensors/{sensor_id}", Need.ADMIN, Sensor, statuses=(401, 403, 404))
async def remove_sensor(call: Call, sensor_id: str) -> Sensor:
    """For good, with all its data; readings and journal go in pieces afterwards. An activation that is dated
    later makes a new sensor.
    """
    async with call.database.transaction() as connection:
        old = await connection.fetchrow(READ_SENSOR, sensor_id)
        if old is None or not await connection.fetchval(REMOVE_SENSOR, sensor_id):
            raise NotFound("Sensor")
        before = {name: old[name] for name in ("name", "type", "facility_id")}
        await audit(connection, call.actor, Action.SENSOR_REMOVED, f"sensor:{sensor_id}", before=before)
    return _sensor(old, None)


async def _read(call: Call, sensor_id: str) -> Sensor:
    row = await call.database.row(READ_SENSOR, sensor_id)
    if row is None:
        raise NotFound("Sensor")
    return _sensor(row, None)


async def _latest(call: Call, sensors: Sequence[Any]) -> dict[int, Reading]:
    rows = await call.database.rows(READ_LATEST, [row["sensor_no"] for row in sensors])
    return {
        row["sensor_no"]: Reading(
            tracked_at=row["tracked_at"],
            data=reading_text(row["value"], row["text_value"]),
            score=row["score"],
            flags=row["flags"],
        )
        for row in rows
    }


def _sensor(row: Any, latest: Reading | None) -> Sensor:
    location = None
    if row["location_id"] is not None:
        location = Location(
            id=row["location_id"], address=row["address"], longitude=row["longitude"], latitude=row["latitude"]
        )
    return Sensor(
        id=row["id"],
        name=row["name"],
        facility_id=row["facility_id"],
        status=row["status"],
        type=row["type"],
        expected_freq=row["expected_freq"],
        location_id=row["location_id"],
        installed_at=row["installed_at"],
        location=location,
        latest=latest,
        retired_at=row["retired_at"],
    )
