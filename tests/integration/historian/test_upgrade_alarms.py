"""An engine of this version starts on a database as the release before left it, while readings keep coming."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

import native
from engine.clock import US_PER_S, ManualClock
from engine.facility.host import FacilityHost
from engine.historian.historian import Historian
from engine.metrics import REBUILDS, Metrics
from engine.settings import Settings
from migrations import upgrade
from tests.native.golden import DATA, T0_US, entries

pytestmark = pytest.mark.postgres
SCHEMA = "0016"
"""Of before alarms had commands and rules; cores of version 3 wrote to it."""
COMMIT_NO, EPOCH = 50, 5
NOW_US = T0_US + 5_000 * US_PER_S
SENSORS = (
    ("temperature", 7, "Temperature", "Active"),
    ("pressure", 8, "Pressure", "Active"),
    ("flow", 9, "Flow", "Inactive"),
)
SILENT = "flow"
"""Out of use: its readings are stored, and nothing else comes of them."""
FACILITY = """
WITH place AS (INSERT INTO locations (longitude, latitude) VALUES (1, 2) RETURNING id)
INSERT INTO facilities (id, name, status, type, location_id, created_at)
SELECT 'plant', 'Plant', 'Active', 'TankFarm', id, $1 FROM place
"""
SENSOR = """
INSERT INTO sensors (id, sensor_no, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
    status_changed_at)
VALUES ($1, $2, 'plant', initcap($1), $4, $3, '15S', 15, $5, $5)
"""
READING = "INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, flags) VALUES ($1, $2, $3, $4, 0)"
COMMIT = """
INSERT INTO facility_commits (facility_id, commit_no, kind, payload, recorded_at)
VALUES ('plant', $1, 'batch', $2, now())
"""
EVENT = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
    recorded_at, priority, alert_type, message, explanation, late, actor, reason)
VALUES (nextval('alarm_events_id_seq'), 'plant', $1, $2, $3, 1, $4, $5, now(), 'medium', 'danger', 'Problem', '{}',
    false, 'system', '')
RETURNING id
"""
ALARM = """
INSERT INTO alarms (facility_id, alarm_key, sensor_no, rule, active, acknowledged, suppression, latched, priority,
    since, last_event_id)
VALUES ('plant', $1, $2, $3, $4, false, 'none', false, 'medium', $5, $6)
"""
PROJECTION = "SELECT alarm_key, active, acknowledged, since FROM alarms ORDER BY alarm_key"
JOURNAL = "SELECT alarm_key, transition FROM alarm_events WHERE id > $1 ORDER BY id"


def moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


async def fill(db: Any, version: int) -> None:
    """As an engine of a core of that version left it: readings, journal, alarms and a checkpoint."""
    await db.execute(FACILITY, moment(T0_US))
    await db.execute("INSERT INTO facility_epochs VALUES ('plant', $1)", EPOCH)
    for sensor_id, number, kind, status in SENSORS:
        await db.execute(SENSOR, sensor_id, number, kind, status, moment(T0_US))
    numbers = {sensor_id: number for sensor_id, number, *_ in SENSORS}
    ((_, payload),) = [entry for entry in entries() if entry[0] == "batch"]
    for row in native.batch_rows(payload):
        is_number = row["data"] != "on"
        value, text = (float(row["data"]), None) if is_number else (None, row["data"])
        await db.execute(READING, numbers[row["sensor_id"]], moment(row["tracked_at_us"]), value, text)
    for key, state, since in json.loads(DATA.joinpath(f"told-{version}.json").read_text())["alarms"]:
        number, _, rule = key.partition(":")
        since_at = datetime.fromisoformat(since).replace(tzinfo=UTC)
        is_active = state == "unacknowledged"
        event_id = await db.fetchval(
            EVENT, key, int(number), rule, "activated", since_at - timedelta(minutes=not is_active)
        )
        if not is_active:
            event_id = await db.fetchval(EVENT, key, int(number), rule, "returned", since_at)
        await db.execute(ALARM, key, int(number), rule, is_active, since_at, event_id)
    state = DATA.joinpath(f"checkpoint-{version}.bin").read_bytes()
    await db.execute("INSERT INTO checkpoints VALUES ('plant', $1, $2, $3, now())", COMMIT_NO, version, state)


class Load:
    """Readings of one sensor, each once; the next is `sent` microseconds after the first."""

    def __init__(self) -> None:
        self.sent = 0

    def next(self) -> tuple[int, bytes]:
        """When it was measured, and as a batch."""
        at_us = NOW_US + self.sent
        self.sent += 1
        return at_us, native.encode_batch("plant", [(SILENT, at_us, "1.5")], NOW_US + US_PER_S)


@asynccontextmanager
async def old_engine(database_url: str, load: Load) -> AsyncIterator[asyncio.Task[None]]:
    """Commits what comes by the columns that it knows, until the epoch is somebody else's."""
    db = await asyncpg.connect(database_url)

    async def work() -> None:
        for commit_no in range(COMMIT_NO + 1, 1_000_000):
            async with db.transaction():
                epoch = await db.fetchval("SELECT epoch FROM facility_epochs WHERE facility_id = 'plant' FOR SHARE")
                if epoch != EPOCH:
                    return
                at_us, batch = load.next()
                await db.execute(COMMIT, commit_no, batch)
                await db.execute(READING, 9, moment(at_us), 1.5, None)

    task = asyncio.create_task(work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await db.close()


async def until_sent(load: Load, more: int, by: asyncio.Task[None]) -> None:
    wanted = load.sent + more
    async with asyncio.timeout(60):
        while load.sent < wanted and not by.done():
            await asyncio.sleep(0.01)
    assert load.sent >= wanted, by


@pytest.mark.parametrize(("version", "rebuilds"), [(3, 0), (1, 1)])
async def test_every_active_alarm_outlives_the_upgrade_under_load(
    database_url: str, version: int, rebuilds: int
) -> None:
    """A checkpoint of version 3 is read, one of version 1 cannot be."""
    await asyncio.to_thread(upgrade.downgrade, database_url, SCHEMA)
    db = await asyncpg.connect(database_url)
    await fill(db, version)
    before = await db.fetch(PROJECTION)
    last_id = await db.fetchval("SELECT max(id) FROM alarm_events")
    load = Load()
    async with old_engine(database_url, load) as old:
        await until_sent(load, 5, old)
        await asyncio.to_thread(upgrade.upgrade, database_url)
        await until_sent(load, 5, old)
        settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
        metrics, clock = Metrics(), ManualClock(NOW_US + US_PER_S)
        historian = await Historian.open(database_url, settings, clock)
        host = FacilityHost(historian, settings, clock, metrics)
        await host.load("plant")
        async with asyncio.timeout(60):
            await old  # it is fenced
    facility = host._facility("plant")
    for _ in range(20):
        await facility.ingest(load.next()[1])
    assert metrics.snapshot()["counters"].get(REBUILDS, {}).get("", 0) == rebuilds
    assert await db.fetch(PROJECTION) == before
    assert await db.fetch(JOURNAL, last_id) == []
    assert facility._core is not None
    held = {alarm.alarm_key: (alarm.active, alarm.acknowledged) for alarm in facility._core.alarms()}
    assert held == {row["alarm_key"]: (row["active"], row["acknowledged"]) for row in before}

    async def read(second: int, value: str) -> None:
        at_us = NOW_US + second * US_PER_S
        await facility.ingest(native.encode_batch("plant", [("temperature", at_us, value)], at_us))

    await read(2, "30")
    assert [tuple(row) for row in await db.fetch(JOURNAL, last_id)] == [("7:stale", "returned")]
    for second in range(15, 120, 15):
        await read(second, "22")
    told = [tuple(row) for row in await db.fetch(JOURNAL, last_id) if row["alarm_key"] == "7:high"]
    assert told == [("7:high", "returned")]
    stored = await db.fetchval(
        "SELECT count(*) FROM sensor_records WHERE sensor_no = 9 AND tracked_at >= $1", moment(NOW_US)
    )
    assert stored == load.sent
    await historian.close()
    await db.close()
