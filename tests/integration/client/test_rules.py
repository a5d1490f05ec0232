"""Alarm rules in the typed client, against a real web server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.client import GasInSight, NotFound, RuleChange, SensorRules, Unusable
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f", name="North")
        await running.sensor("s", "f", kind="GasDetection")
        yield running


@pytest_asyncio.fixture
async def gis(web: Web) -> AsyncIterator[GasInSight]:
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        yield client


def limits(found: SensorRules) -> dict[str, float | None]:
    return {rule.rule: rule.limit for rule in found.in_force}


async def test_rules_are_set_read_and_taken_back(gis: GasInSight) -> None:
    by_itself = limits(await gis.rules.of("s"))
    await gis.rules.set_facility("f", "GasDetection", {"rules": [{"rule": "high", "limit": 30}]})
    found = await gis.rules.set("s", {"unit": "% LEL", "rules": [{"rule": "high_high", "limit": 45}]})
    assert found == await gis.rules.of("s")
    assert (limits(found)["high"], limits(found)["high_high"]) == (30, 45)
    assert found.of_sensor.rules == [RuleChange(rule="high_high", limit=45)] and found.of_sensor.unit == "% LEL"
    assert found.of_type.rules == [RuleChange(rule="high", limit=30)]
    assert [version.settings for version in found.versions] == [found.of_sensor]
    (of_type,) = (await gis.rules.of_facility("f")).types
    assert of_type.sensor_type == "GasDetection" and of_type.of_type == found.of_type
    await gis.rules.set_facility("f", "GasDetection", {})
    assert limits(await gis.rules.set("s", {})) == by_itself


async def test_what_cannot_be_is_told(gis: GasInSight) -> None:
    with pytest.raises(Unusable, match="rate_of_change"):
        await gis.rules.set("s", {"rules": [{"rule": "rate_of_change", "limit": -1}]})
    with pytest.raises(NotFound):
        await gis.rules.of("absent")
