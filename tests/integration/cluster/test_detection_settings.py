"""From a request to the running core: what an editor sets holds from the next reading on, and after a restart."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import native
from engine.client import GasInSight, NotPermitted, Unusable
from engine.clock import SystemClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.historian.notifications import CONFIGURATION, News
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import SensorActivation, SensorType
from native import Flag
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres
QUIET = 330
SPIKE = "24.5"  # within the limits of a temperature, 20 to 25
STEP_S = 15


@dataclass
class Watched:
    """A web server, a facility as the engine runs it without Ray, and the news between them."""

    web: Web
    historian: Historian
    news: News
    facility: Facility
    now_us: int

    async def heard(self) -> None:
        """What the directory does when it hears of a change."""
        assert await asyncio.wait_for(self.news.next(), 5) == {"f"}
        await self.facility.load(again=True)

    async def restart(self) -> None:
        """Another process takes the facility over."""
        self.facility = Facility("f", self.historian, self.web.settings, SystemClock(), Metrics())
        await self.facility.load()

    async def read(self, *values: str) -> list[tuple[float | None, Flag]]:
        """The sensor sends; score and flags of each reading as they are stored."""
        times = [self.now_us + STEP_S * 1_000_000 * step for step in range(1, len(values) + 1)]
        rows = [("s", at_us, value) for at_us, value in zip(times, values, strict=True)]
        await self.facility.ingest(native.encode_batch("f", rows, times[-1]))
        self.now_us = times[-1]
        stored = await self.web.database.fetch(
            "SELECT score, flags FROM sensor_records ORDER BY tracked_at DESC LIMIT $1", len(values)
        )
        return [(score, Flag(flags)) for score, flags in reversed(stored)]

    async def anomalies(self) -> list[Any]:
        return list(
            await self.web.database.fetch(
                "SELECT transition, reason FROM alarm_events WHERE rule = 'anomaly' ORDER BY id"
            )
        )


@pytest_asyncio.fixture
async def watched(database_url: str, tmp_path: Path) -> AsyncIterator[Watched]:
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        historian = await Historian.open(database_url, web.settings, clock)
        news = await News.open(database_url, web.settings, CONFIGURATION)
        assert await historian.create_facility(setup("f")) is Creation.MADE
        facility = Facility("f", historian, web.settings, clock, Metrics())
        start_us = clock.now_us() - 86_400_000_000
        await facility.apply([SensorActivation("s", "f", SensorType.TEMPERATURE, PLACE, STEP_S, start_us)])
        yield Watched(web, historian, news, facility, start_us)
        news.close()
        await historian.close()


@pytest_asyncio.fixture
async def editor(watched: Watched) -> AsyncIterator[GasInSight]:
    await watched.web.user("edith", ("f", "Edit"))
    async with GasInSight(f"http://127.0.0.1:{watched.web.port}", "edith@plant.example", "pw edith") as gis:
        yield gis


def quiet(readings: int = QUIET) -> list[str]:
    chance = random.Random(5)
    return [f"{22 + chance.gauss(0, 0.05):.3f}" for _ in range(readings)]


async def test_what_an_editor_sets_holds_from_the_next_reading_on_and_after_a_restart(
    watched: Watched, editor: GasInSight
) -> None:
    await editor.detection.set_for_type(
        "f", "Temperature", physical_range=(0, 50), warming_readings=100, budget_days=60
    )
    await watched.heard()
    told = await editor.detection.set_for_sensor("s", is_on=False, budget_days=5)
    assert (told.of_sensor.is_on, told.of_type.physical_high) == (False, 50)
    assert told.in_force.model_dump() == {
        "budget_days": 5, "warming_readings": 100, "physical_low": 0, "physical_high": 50, "is_on": False
    }  # fmt: skip
    await watched.heard()

    read = await watched.read(*quiet(), "50.5", "22.0")
    warming = [number for number, (_, flags) in enumerate(read) if Flag.WARMING in flags]
    assert warming and 95 <= warming[-1] <= 105 and read[200][0] is not None
    assert read[-2] == (None, Flag.OUT_OF_PHYSICAL_RANGE | Flag.ABOVE_HIGH)
    logged = await watched.web.database.fetch(
        "SELECT payload FROM facility_commits WHERE kind = 'config' ORDER BY commit_no"
    )
    entries = [json.loads(row["payload"])["sensors"] for row in logged]
    kept = [sensors[0].get("detection") for sensors in entries if sensors]
    assert kept[0] is None  # as the sensor was before anybody set anything, and as older logs are
    assert kept[-1] == {
        "budget_days": 5, "warming_readings": 100, "physical_low": 0, "physical_high": 50, "is_on": False
    }  # fmt: skip

    await watched.restart()
    score, flags = (await watched.read(SPIKE, *quiet()))[0]
    assert score is not None and score > 6
    assert Flag.ANOMALY not in flags and await watched.anomalies() == []

    await editor.detection.reset_sensor("s")
    await watched.heard()
    await editor.detection.set_for_sensor("s", budget_days=0.1)  # the core knows such a spike by now
    await watched.heard()
    await watched.read(SPIKE)
    assert (await watched.anomalies())[-1]["transition"] == "activated"

    await editor.detection.set_for_sensor("s", is_on=False)
    await watched.heard()
    await watched.read("22.0")
    returned = (await watched.anomalies())[-1]
    assert (returned["transition"], returned["reason"]) == ("returned", "detection was switched off")


async def test_a_sensor_that_arrives_begins_with_what_its_type_has(watched: Watched, editor: GasInSight) -> None:
    await editor.detection.set_for_type("f", "Humidity", physical_range=(0, 100))
    await watched.heard()
    start_us = watched.now_us
    await watched.facility.apply([SensorActivation("h", "f", SensorType.HUMIDITY, PLACE, STEP_S, start_us)])
    await watched.facility.ingest(native.encode_batch("f", [("h", start_us + 1, "100.5")], start_us + 1))
    flags = await watched.web.database.fetchval("SELECT flags FROM sensor_records")
    assert Flag.OUT_OF_PHYSICAL_RANGE in Flag(flags)
    await editor.detection.reset_type("f", "Humidity")
    held = {each.sensor_type: each for each in (await editor.detection.of_facility("f")).types}
    assert set(held) == {"Temperature", "Humidity"}
    assert held["Humidity"].of_type.physical_high is None and held["Humidity"].in_force.physical_high == 105


async def test_who_may_only_view_sees_and_does_not_set(watched: Watched, editor: GasInSight) -> None:
    await watched.web.user("vic", ("f", "View"))
    async with GasInSight(f"http://127.0.0.1:{watched.web.port}", "vic@plant.example", "pw vic") as viewer:
        assert (await viewer.detection.of_sensor("s")).in_force.budget_days == 20
        assert [each.sensor_type for each in (await viewer.detection.of_facility("f")).types] == ["Temperature"]
        for refused in (
            viewer.detection.set_for_sensor("s", is_on=False),
            viewer.detection.reset_sensor("s"),
            viewer.detection.set_for_type("f", "Temperature", is_on=False),
            viewer.detection.reset_type("f", "Temperature"),
        ):
            with pytest.raises(NotPermitted):
                await refused
    with pytest.raises(Unusable, match="below physical_high"):
        await editor.detection.set_for_sensor("s", physical_range=(5, 4))
    with pytest.raises(Unusable, match="sensor_type"):
        await editor.detection.set_for_type("f", "Unheard", is_on=False)
    assert await watched.web.database.fetchval("SELECT count(*) FROM detection_settings") == 0
