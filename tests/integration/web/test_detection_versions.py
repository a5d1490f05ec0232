"""Settings of detection by version: each that ever held, from when to when, whoever wrote it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
import pytest_asyncio

from migrations import upgrade
from tests.contract.stores import withdraw
from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres
SUBJECT = ["facility_id", "sensor_type", "sensor_id"]
SETTINGS = ["budget_days", "warming_readings", "physical_low", "physical_high", "is_on"]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("north", "south"):
            await running.facility(facility_id)
            await running.sensor(f"{facility_id} a", facility_id)
        yield running


async def exported(web: Web, headers: dict[str, str]) -> pl.DataFrame:
    answer = await web.client.get("/exports/detection", headers=headers)
    assert answer.status_code == 200, answer.text
    return pl.read_parquet(io.BytesIO(answer.content))


async def put(web: Web, headers: dict[str, str], path: str, **settings: Any) -> None:
    answer = await web.client.put(f"/detection/{path}", headers=headers, json=settings)
    assert answer.status_code == 200, answer.text


async def test_every_version_is_exported_with_its_time_and_its_maker(web: Web) -> None:
    edith_id, edith, _ = await web.user("edith", ("north", "Edit"))
    key = await web.api_key("tuner", ("north", "Edit"))
    tuner = {"Authorization": f"Bearer {key['key']}"}
    await put(web, edith, "sensor/north a", budget_days=5.0)
    await put(web, edith, "sensor/north a", budget_days=5.0)  # as it is: no version
    await put(web, tuner, "sensor/north a", is_on=False)
    answer = await web.client.delete("/detection/sensor/north a", headers=edith)
    assert answer.status_code == 200, answer.text
    await put(web, edith, "sensor/north a", warming_readings=100)
    await put(web, edith, "facility/north", sensor_type="Flow", physical_low=0.0, physical_high=9.0)

    _, viewer, _ = await web.user("vic", ("north", "View"), ("south", "View"))
    found = await exported(web, viewer)
    by_key = f"key:{await web.database.fetchval('SELECT id FROM api_keys')}"
    assert found.select(*SUBJECT, "version", "set_by", *SETTINGS).rows() == [
        ("north", "Flow", None, 1, f"user:{edith_id}", None, None, 0.0, 9.0, None),
        ("north", None, "north a", 1, f"user:{edith_id}", 5.0, None, None, None, None),
        ("north", None, "north a", 2, by_key, 5.0, None, None, None, False),
        ("north", None, "north a", 3, f"user:{edith_id}", None, 100, None, None, None),
    ]
    of_type, first, second, third = found.rows(named=True)
    assert first["from"] < first["until"] == second["from"] < second["until"] < third["from"]
    assert third["until"] is None and of_type["until"] is None
    entries = [json.loads(row["entry"]) for row in await web.database.fetch("SELECT entry FROM audit_log ORDER BY id")]
    told = [entry["actor"] for entry in entries if entry["action"] == "detection.updated"]
    assert told == [f"user:{edith_id}", by_key, f"user:{edith_id}", f"user:{edith_id}", f"user:{edith_id}"]
    assert (await exported(web, (await web.user("sven", ("south", "View")))[1])).is_empty()


async def test_a_change_that_is_rolled_back_leaves_no_version(web: Web) -> None:
    silence = "INSERT INTO detection_settings (facility_id, sensor_type, is_on) VALUES ('north', 'Flow', false)"
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with web.database.transaction():
            await web.database.execute(silence)
            await web.database.execute("SELECT 1 / 0")
    assert await web.database.fetchval("SELECT count(*) FROM detection_versions") == 0
    await web.database.execute(silence)  # as a process of the version before writes it
    await web.database.execute("UPDATE detection_settings SET is_on = is_on")
    rows = await web.database.fetch("SELECT version, from_at IS NULL AS begun, set_by FROM detection_versions")
    assert [tuple(row) for row in rows] == [(1, False, None)]


async def test_versions_go_with_what_they_are_of(web: Web) -> None:
    _, editor, _ = await web.user("edith", ("north", "Edit"), ("south", "Edit"))
    for facility_id in ("north", "south"):
        await put(web, editor, f"sensor/{facility_id} a", is_on=False)
        await put(web, editor, f"facility/{facility_id}", sensor_type="Flow", is_on=False)
    await withdraw(web.database, "remove", "north", "north a")
    await withdraw(web.database, "remove", "south")
    left = await web.database.fetch("SELECT facility_id, sensor_type, sensor_id FROM detection_versions")
    assert [tuple(row) for row in left] == [("north", "Flow", None)]


async def test_what_held_before_versions_were_kept_is_the_first_one(database_url: str, web: Web) -> None:
    await asyncio.to_thread(upgrade.downgrade, database_url, "0015")
    await web.database.execute(
        "INSERT INTO detection_settings (facility_id, sensor_id, budget_days) VALUES ('north', 'north a', 7)"
    )
    await asyncio.to_thread(upgrade.upgrade, database_url)
    await web.database.execute("UPDATE detection_settings SET budget_days = 8")
    rows = await web.database.fetch("SELECT version, from_at, until_at, budget_days FROM detection_versions ORDER BY 1")
    first, second = (tuple(row) for row in rows)
    assert first == (1, None, second[1], 7.0)
    assert second == (2, first[2], None, 8.0) and second[1] is not None
