"""Loads a facility: first a new epoch, then everything that was committed under the earlier ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import asyncpg
import structlog

from engine.alarm_rules import merged
from engine.errors import CommitFenced, StoreUnavailable
from engine.historian.connection import APPLICATION_NAME, LOCK_WAIT_S_MAX
from engine.historian.port import StoredItem, StoredReading
from engine.historian.queries import SQL
from engine.model import (
    Checkpoint,
    Detection,
    EntryKind,
    FacilityConfig,
    FacilityState,
    FacilityStatus,
    FacilityType,
    LogEntry,
    ParkedItem,
    SensorConfig,
    SensorStatus,
    SensorType,
)

STALLED_S_MIN = 3.0
_ATTEMPTS = 2

_log = structlog.get_logger(__name__)


async def load_facility(
    connection: Any, facility_id: str, held_epoch: int | None, *, now_us: int, latest_us: int
) -> FacilityState | None:
    """None: no such facility. Raises StoreUnavailable when commits in flight do not end in time; see HistorianPort.

    `latest_us`: the latest moment that a status may be of.
    """
    epoch = await _take_epoch(connection, facility_id, held_epoch)
    if epoch is None:
        present: int | None = await connection.fetchval(SQL["epoch_get"], facility_id)
        if present is None:
            return None
        raise CommitFenced(f"facility {facility_id}: epoch {held_epoch} is over, {present} is the present one")
    await connection.execute(SQL["statuses_ahead_mend"], facility_id, now_us, latest_us)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _read_state(connection, facility_id, epoch)


async def _take_epoch(connection: Any, facility_id: str, held_epoch: int | None) -> int | None:
    for _ in range(_ATTEMPTS):
        try:
            epoch: int | None = await connection.fetchval(SQL["epoch_take"], facility_id, held_epoch)
        except asyncpg.LockNotAvailableError:
            ended = await connection.fetch(SQL["stalled_writers_end"], APPLICATION_NAME, STALLED_S_MIN)
            _log.warning("stalled_writers_ended", facility_id=facility_id, pids=[row["pid"] for row in ended])
        else:
            return epoch
    raise StoreUnavailable(f"commits of {facility_id} in flight did not end within {_ATTEMPTS * LOCK_WAIT_S_MAX:.0f} s")


async def _read_state(connection: Any, facility_id: str, epoch: int) -> FacilityState:
    facility = await connection.fetchrow(SQL["facility_get"], facility_id)
    sensors = await connection.fetch(SQL["sensors_of"], facility_id)
    by_type = await connection.fetch(SQL["detection_by_type"], facility_id)
    rules = await connection.fetch(SQL["rules_of"], facility_id)
    of_type = {SensorType(row["sensor_type"]): json.loads(row["settings"]) for row in rules if row["sensor_type"]}
    of_sensor = {row["sensor_id"]: json.loads(row["settings"]) for row in rules if row["sensor_id"]}
    groups = await connection.fetchval(SQL["groups_of"], facility_id)
    point = await connection.fetchrow(SQL["checkpoint_get"], facility_id)
    checkpoint = Checkpoint(point["commit_no"], point["core_version"], point["state"]) if point else None
    covered = checkpoint.commit_no if checkpoint else 0
    log = [
        LogEntry(row["commit_no"], EntryKind(row["kind"]), row["payload"])
        for row in await connection.fetch(SQL["log_after"], facility_id, covered)
    ]
    removals = await connection.fetch(SQL["removals_of"], facility_id)
    parked = stored_items(await connection.fetch(SQL["parked_of_facility"], facility_id))
    return FacilityState(
        config=FacilityConfig(
            facility["id"],
            facility["name"],
            FacilityType(facility["type"]),
            FacilityStatus(facility["status"]),
            facility["is_retired"],
        ),
        epoch=epoch,
        sensors=tuple(
            _sensor(row, merged(of_type.get(SensorType(row["type"]), {}), of_sensor.get(row["id"], {})))
            for row in sensors
        ),
        checkpoint=checkpoint,
        log=tuple(log),
        parked=tuple((stored.id, stored.item) for stored in parked),
        last_commit_no=log[-1].commit_no if log else covered,
        detection={SensorType(row["sensor_type"]): _detection(row) for row in by_type},
        rules=of_type,
        groups=json.loads(groups) if groups else {},
        removed={row["subject_id"]: row["removed_at"] for row in removals if row["kind"] == "sensor"},
        removed_us=next((row["removed_at"] for row in removals if row["kind"] == "facility"), -1),
    )


async def recent_readings(connection: Any, sensor_nos: Sequence[int], readings_max: int) -> list[StoredReading]:
    """See HistorianPort; `data` is the text that was received, which is not stored where the value prints as it."""
    rows = await connection.fetch(SQL["readings_recent"], sensor_nos, readings_max)
    return [(number, at_us, repr(value) if text is None else text) for number, at_us, value, text in rows]


def _sensor(row: Any, settings: Mapping[str, object]) -> SensorConfig:
    return SensorConfig(
        sensor_id=row["id"],
        sensor_no=row["sensor_no"],
        facility_id=row["facility_id"],
        name=row["name"],
        type=SensorType(row["type"]),
        status=SensorStatus(row["status"]),
        expected_interval_s=row["signal_interval_s"],
        installed_at_us=row["installed_at"],
        status_changed_at_us=row["status_changed_at"],
        detection=_detection(row),
        is_retired=row["is_retired"],
        settings=settings,
    )


def _detection(row: Any) -> Detection:
    return Detection(**{each.name: row[each.name] for each in fields(Detection)})


def stored_items(rows: list[Any]) -> list[StoredItem]:
    """Rows of the parking table as values."""
    return [
        StoredItem(
            row["id"],
            ParkedItem(
                row["kind"], row["facility_id"], row["sensor_id"], row["tracked_at"], row["body"], row["reason"]
            ),
        )
        for row in rows
    ]
