"""Refused rows that the version before parked become dead letters, also while its processes go on, and each once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.historian.overview import read_overview
from engine.metrics import Metrics
from engine.settings import Settings
from migrations import upgrade
from tests.fakes.messages import activation, batch
from tests.integration.historian.outcomes import T0_US, committed, dead_letter, facility_with_sensors, outcome

pytestmark = pytest.mark.postgres
BEFORE = "0011"

# What the version before ran: bad rows of good messages went to the parking table, and expired from there.
PARK = """
    INSERT INTO parked (kind, facility_id, sensor_id, tracked_at, body, reason, digest, parked_at)
    VALUES ($1, $2, $3, NULL, $4, $5, $6, '2026-01-01 10:15Z') ON CONFLICT (digest) DO NOTHING
"""
EXPIRE = """
    WITH expired AS (DELETE FROM parked WHERE body = $1 RETURNING *)
    INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
    SELECT 'parked', '', CASE kind WHEN 'refused' THEN reason ELSE 'parked_too_long' END,
        kind || ': ' || reason, body, facility_id, sensor_id, now() FROM expired
"""
LETTERS = "SELECT source, reason, detail, body, sensor_id, recorded_at::text FROM dead_letters ORDER BY body"
AT = "2026-01-01 10:15:00+00"


@pytest_asyncio.fixture
async def rows(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
    opened = await Historian.open(database_url, settings, ManualClock(T0_US))
    yield opened
    await opened.close()


def identity(body: str, kind: str = "refused") -> tuple[str, ...]:
    return (kind, "f", "s", "None", body)


async def park_as_before(rows: Any, *bodies: str, kind: str = "refused", reason: str = "missing_field: data") -> None:
    for body in bodies:
        digest = hashlib.sha256("\0".join(identity(body, kind)).encode()).digest()
        await rows.execute(PARK, kind, "f", "s", body, reason, digest)


async def test_what_was_parked_before_the_upgrade_moves_over(
    historian: Historian, rows: Any, database_url: str
) -> None:
    await asyncio.to_thread(upgrade.downgrade, database_url, BEFORE)
    await park_as_before(rows, "1", "2", reason="future: tracked_at is 9 s ahead: too far")
    await park_as_before(rows, "3", reason="")
    await park_as_before(rows, "4", kind="deactivation", reason="unknown_sensor")
    await asyncio.to_thread(upgrade.upgrade, database_url)
    assert (await read_overview(database_url, 9)).counts["parked"] == 1, "what waits, before anything has moved"
    assert await historian.move_refused() == 3
    assert [tuple(row) for row in await rows.fetch(LETTERS)] == [
        ("row", "future", "tracked_at is 9 s ahead: too far", "1", "s", AT),
        ("row", "future", "tracked_at is 9 s ahead: too far", "2", "s", AT),
        ("row", "", "", "3", "s", AT),
    ]
    assert [row["body"] for row in await rows.fetch("SELECT body FROM parked")] == ["4"]
    counts = (await read_overview(database_url, 9)).counts
    assert (counts["parked"], counts["dead_letters"]) == (1, 3)
    assert await historian.move_refused() == 0


async def test_more_than_one_piece_moves_also_when_two_move_at_once(historian: Historian, rows: Any) -> None:
    await park_as_before(rows, *(f"{number:04d}" for number in range(2_500)))
    assert sum(await asyncio.gather(historian.move_refused(), historian.move_refused())) == 2_500
    assert await rows.fetchval("SELECT count(*) FROM dead_letters") == 2_500
    assert await rows.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_redelivery_across_the_upgrade_is_told_of_once(historian: Historian, rows: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await park_as_before(rows, "moved later")
    await committed(historian, replace(outcome(state, 2), dead_letters=(dead_letter("moved later"),)))
    assert await historian.move_refused() == 1
    await committed(historian, replace(outcome(state, 3), dead_letters=(dead_letter("moved later"),)))
    assert await rows.fetchval("SELECT count(*) FROM dead_letters") == 1


async def test_the_version_before_works_on_with_the_new_schema(
    historian: Historian, rows: Any, database_url: str
) -> None:
    """Its engine may still hold facilities, or be started again: the next pass moves what it parks."""
    await park_as_before(rows, "expired there", "parked there")
    await rows.execute(EXPIRE, "expired there")
    assert await historian.move_refused() == 1
    told = [(row["source"], row["body"]) for row in await rows.fetch(LETTERS)]
    assert told == [("parked", "expired there"), ("row", "parked there")]
    await park_as_before(rows, "there again")
    assert (await read_overview(database_url, 9)).counts["parked"] == 0
    assert await historian.move_refused() == 1


async def test_a_facility_does_not_take_up_what_the_version_before_refused(historian: Historian, rows: Any) -> None:
    await facility_with_sensors(historian, "f")
    await park_as_before(rows, "{}")
    settings = Settings(_env_file=None)
    facility = Facility("f", historian, settings, ManualClock(T0_US), Metrics())
    await facility.apply([activation("s")])
    await facility.ingest(batch(("s", 1, "21")))
    assert await rows.fetchval("SELECT count(*) FROM sensor_records") == 1
    assert await rows.fetchval("SELECT kind FROM parked") == "refused"
