"""Rules that were filed to hold from a moment on: each holds once, in order, whoever leads and whatever was down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.model import SensorType
from engine.settings import Settings
from tests.integration.historian.outcomes import facility_with_sensors, load

pytestmark = pytest.mark.postgres

NEEDS_LIMIT = {"rules": [{"rule": "high_high", "enabled": True}]}
"""Which it has of a profile of its type."""
PLAN = """
INSERT INTO planned_rules (facility_id, sensor_type, sensor_id, settings, effective_from, set_by, set_by_name, reason)
VALUES ('f', $1, $2, $3, now() + make_interval(secs => $4), 'user:1', 'ann', 'order 4711')
RETURNING id
"""
VERSIONS = """
SELECT settings->'rules'->0->>'limit' AS limit, set_by_name, reason, effective_from <= set_at AS came_later
  FROM sensor_rules WHERE sensor_id = $1 ORDER BY id
"""


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    made = await Historian.open(database_url, Settings(_env_file=None, group_commit_wait_ms=0), SystemClock())
    await facility_with_sensors(made, "f", 2)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    made = await asyncpg.connect(database_url)
    yield made
    await made.close()


def high(limit: float) -> dict[str, Any]:
    return {"rules": [{"rule": "high", "limit": limit}]}


async def plan(database: Any, settings: dict[str, Any], in_s: float, sensor_id: str | None = "f-s0") -> int:
    kind = "GasDetection" if sensor_id is None else None
    return int(await database.fetchval(PLAN, kind, sensor_id, json.dumps(settings), in_s))


async def test_what_is_due_holds_once_in_order_and_what_is_not_waits(
    historian: Historian, database: Any, database_url: str
) -> None:
    """Also after hours in which nobody led, and with two leaders for a moment."""
    heard: list[str] = []
    listener = await asyncpg.connect(database_url)
    await listener.add_listener("facility_config", lambda *message: heard.append(str(message[3])))
    last = await plan(database, high(42), -10)
    first = await plan(database, high(41), -7200)
    later = await plan(database, high(43), 3600)
    passes = await asyncio.gather(historian.apply_planned_rules(), historian.apply_planned_rules())
    done = [each for one in passes for each in one]
    assert sorted(each.planned_id for each in done) == sorted([first, last])
    assert {(each.facility_id, each.subject, each.refusal) for each in done} == {("f", "f-s0", None)}
    assert await historian.apply_planned_rules() == []
    rows = [tuple(row) for row in await database.fetch(VERSIONS, "f-s0")]
    assert rows == [("41", "ann", "order 4711", True), ("42", "ann", "order 4711", True)]
    state = await load(historian, "f")
    assert state.sensors[0].settings == high(42) and state.sensors[1].settings == {}
    assert [row["id"] for row in await database.fetch("SELECT id FROM planned_rules")] == [later]
    await listener.fetch("SELECT 1")
    await listener.close()
    assert set(heard) == {"f"}


async def test_rules_of_a_type_hold_for_all_of_its_sensors(historian: Historian, database: Any) -> None:
    """Or for none: not where one of them has rules of its own that do not go with them."""
    await database.execute("UPDATE sensors SET type = 'GasDetection'")
    await plan(database, high(41), -1, sensor_id=None)
    (done,) = await historian.apply_planned_rules()
    assert done.subject == "GasDetection" and done.refusal is None
    state = await load(historian, "f")
    assert state.rules == {SensorType.GAS_DETECTION: high(41)}
    assert [sensor.settings for sensor in state.sensors] == [high(41)] * 2
    await plan(database, {"profile": "ambient_safety"}, -3, sensor_id=None)
    await plan(database, NEEDS_LIMIT, -2, sensor_id="f-s1")
    await plan(database, high(42), -1, sensor_id=None)
    assert [each.refusal is None for each in await historian.apply_planned_rules()] == [True, True, False]


async def test_what_the_core_refuses_by_then_never_holds_and_says_why(historian: Historian, database: Any) -> None:
    """So that the facility can still be loaded; what was filed for later is not kept back by it."""
    refused = await plan(database, NEEDS_LIMIT, -9)
    held = await plan(database, high(41), -8)
    done = {each.planned_id: each.refusal for each in await historian.apply_planned_rules()}
    assert done[held] is None and "high_high" in (done[refused] or "")
    assert await historian.apply_planned_rules() == []
    kept = await database.fetchrow("SELECT id, refusal FROM planned_rules")
    assert tuple(kept) == (refused, done[refused])
    assert (await load(historian, "f")).sensors[0].settings == high(41)
