"""Deletes the data of removed facilities and sensors, piece by piece.

Entities, commit log and checkpoint went with the removal itself, in one transaction; what is left is found by numbers
that no sensor has any more, so nobody reads or writes it. Each piece is a statement of its own that may be run again:
a crash loses nothing but the piece it was in.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from engine.historian.queries import SQL

ROWS_AT_ONCE: Final = 5_000
OF_SENSORS: Final = (
    SQL["removal_readings"],
    SQL["removal_rollups"],
    SQL["removal_conflicts"],
    SQL["removal_events"],
)

_log = structlog.get_logger(__name__)


async def purge(connection: Any, now_us: int) -> int:
    """See HousekeepingPort.purge_removed: one piece of each kind of the oldest removal, which is counted itself."""
    removal = await connection.fetchrow(SQL["removal_next"])
    if removal is None:
        return 0
    if removal["sensor_nos"]:
        return await _purge_sensor(connection, removal["id"], removal["sensor_nos"][0])
    is_sensor = removal["kind"] == "sensor"
    facility_id, of_sensor = removal["facility_id"], removal["subject_id"] if is_sensor else None
    deleted = 0
    if not is_sensor:
        last_id = removal["last_event_id"]
        deleted += await _deleted(connection, SQL["removal_facility_events"], facility_id, last_id, ROWS_AT_ONCE)
    for sql in (SQL["removal_parked"], SQL["removal_letters"]):
        deleted += await _deleted(connection, sql, facility_id, removal["removed_at"], of_sensor, ROWS_AT_ONCE)
    if deleted:
        return deleted
    await connection.execute(SQL["removal_done"], removal["id"], now_us)
    _log.info("removal_done", kind=removal["kind"], id=removal["subject_id"], facility_id=facility_id)
    return 1


async def _purge_sensor(connection: Any, removal_id: int, sensor_no: int) -> int:
    deleted = 0
    for sql in OF_SENSORS:
        deleted += await _deleted(connection, sql, sensor_no, ROWS_AT_ONCE)
    if not deleted:
        await connection.execute(SQL["removal_sensor_done"], removal_id, sensor_no)
    return deleted or 1


async def _deleted(connection: Any, sql: str, *arguments: object) -> int:
    status: str = await connection.execute(sql, *arguments)
    return int(status.rpartition(" ")[2])
