"""From a request to the running core and back: what somebody asks of an alarm, and what people see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import native
from engine.client import GasInSight, Refused
from engine.clock import US_PER_S, SystemClock
from engine.cluster.commands import Commands
from engine.facility.host import FacilityHost
from engine.facility.port import Answer
from engine.historian.historian import Historian
from engine.historian.notifications import COMMANDS, News
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import AlarmCommand, SensorActivation, SensorType
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres


@dataclass
class Plant:
    """A web server, a facility as the engine runs it without Ray, and what carries commands between them."""

    web: Web
    gis: GasInSight
    historian: Historian
    host: FacilityHost
    alarm: str
    now_us: int

    async def read(self, value: str, seconds: int = 15) -> None:
        self.now_us += seconds * US_PER_S
        await self.host._facility("f").ingest(native.encode_batch("f", [("s", self.now_us, value)], self.now_us))

    async def restart(self) -> None:
        """Another process takes the facility over."""
        self.host = FacilityHost(self.historian, self.web.settings, SystemClock(), Metrics())
        await self.host.load("f")

    async def calm(self) -> None:
        """For longer than a return is delayed."""
        for _ in range(6):
            await self.read("22")

    async def state(self) -> str:
        """As people see it, which is as the core has it."""
        shown = (await self.gis.alarms.alarm("f", self.alarm)).alarm.state
        core = self.host._facility("f")._core
        assert core is not None
        held = {alarm.alarm_key: alarm.state for alarm in core.alarms()}
        assert held.get(self.alarm, "normal") == shown
        return shown

    async def told(self) -> list[str]:
        return [entry.transition async for entry in self.gis.alarms.journal(alarm_id=self.alarm)]


@asynccontextmanager
async def carrying(web: Web, historian: Historian, plant: Plant) -> AsyncIterator[None]:
    assert web.settings.postgresql_url is not None
    news = await News.open(web.settings.postgresql_url, web.settings, COMMANDS)

    async def send(command: AlarmCommand) -> Answer:
        return await plant.host.command(command)

    commands = Commands(historian, SystemClock(), send)
    task = asyncio.create_task(commands.carry(news))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        news.close()


@pytest_asyncio.fixture
async def plant(database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        historian = await Historian.open(database_url, web.settings, clock)
        assert await historian.create_facility(setup("f")) is Creation.MADE
        host = FacilityHost(historian, web.settings, clock, Metrics())
        start_us = clock.now_us() - 3_600 * US_PER_S
        await host.apply("f", [SensorActivation("s", "f", SensorType.TEMPERATURE, PLACE, 15, start_us)])
        number = await web.database.fetchval("SELECT sensor_no FROM sensors")
        await web.user("edith", ("f", "Edit"))
        async with GasInSight(f"http://127.0.0.1:{web.port}", "edith@plant.example", "pw edith") as gis:
            made = Plant(web, gis, historian, host, f"{number}:high", start_us)
            async with carrying(web, historian, made):
                yield made
        await historian.close()


async def test_an_alarm_lives_as_people_and_readings_move_it(plant: Plant) -> None:
    alarms, of = plant.gis.alarms, ("f", plant.alarm)
    await plant.read("26")
    assert await plant.state() == "unacknowledged"
    done = await alarms.acknowledge(*of, "on my way")
    assert done.is_done and done.alarm is not None and done.alarm.state == "acknowledged"
    assert await plant.state() == "acknowledged"
    await plant.restart()
    assert await plant.state() == "acknowledged"
    await plant.calm()
    assert await plant.state() == "normal"
    await plant.read("26")
    await plant.calm()
    assert await plant.state() == "returned_unacknowledged"
    await alarms.comment(*of, "a draught")
    await alarms.acknowledge(*of)
    assert await plant.state() == "normal"
    assert await plant.told() == [
        *("activated", "acknowledged", "returned"),
        *("activated", "returned", "commented", "acknowledged"),
    ]


async def test_what_is_kept_from_people_goes_on_and_is_told_anew(plant: Plant) -> None:
    alarms, of = plant.gis.alarms, ("f", plant.alarm)
    until = datetime.now(UTC) + timedelta(hours=2)
    shelved = await alarms.shelve(*of, until, "calibration")
    assert shelved.alarm is not None and shelved.alarm.suppressed_until == until
    alerts = len(await plant.gis.recent_alerts())
    await plant.read("26")
    assert await plant.state() == "shelved"
    assert len(await plant.gis.recent_alerts()) == alerts, "nobody is told"
    counts = await alarms.counts("f")
    assert (counts.shelved, counts.active, counts.unacknowledged) == (1, 1, 0)
    await alarms.out_of_service(*of, "replaced", work_order="W-1")
    assert (await alarms.shelve(*of, until, "makes no sense now")).is_done
    assert await plant.state() == "out_of_service"
    await alarms.return_to_service(*of)
    assert await plant.state() == "unacknowledged"
    (alert,) = await plant.gis.recent_alerts(1)
    assert "still above" in alert.message
    assert await plant.told() == ["shelved", "activated_silently", "out_of_service", "in_service", "activated"]


async def test_the_same_again_is_once_and_what_cannot_be_says_why(plant: Plant) -> None:
    alarms, of = plant.gis.alarms, ("f", plant.alarm)
    for _ in range(3):
        assert (await alarms.command(*of, "comment", reason="once", command_id="a-1")).is_done
    assert await plant.told() == ["commented"]
    with pytest.raises(Refused, match="no alarm here has the key"):
        await alarms.acknowledge("f", "999999:high")
    with pytest.raises(Refused, match="no alarm can have the key"):
        await alarms.acknowledge("f", "nonsense")
    with pytest.raises(Refused, match="are the most"):
        await alarms.shelve(*of, datetime.now(UTC) + timedelta(days=2), "too long")
    assert await plant.told() == ["commented"]


async def test_what_latches_stays_until_somebody_resets_it(plant: Plant) -> None:
    admin = await plant.web.admin()
    latched = {"rules": [{"rule": "high", "latched": True}]}
    assert (await plant.web.client.put("/rules/sensor/s", headers=admin, json=latched)).status_code == 200
    await plant.restart()
    await plant.read("26")
    await plant.gis.alarms.acknowledge("f", plant.alarm)
    assert await plant.state() == "acknowledged"
    await plant.calm()
    assert await plant.state() == "latched"
    await plant.gis.alarms.command("f", plant.alarm, "reset")
    assert await plant.state() == "normal"


async def test_a_core_that_is_rebuilt_keeps_what_people_asked(plant: Plant) -> None:
    alarms, of = plant.gis.alarms, ("f", plant.alarm)
    await alarms.shelve(*of, datetime.now(UTC) + timedelta(hours=2), "calibration")
    await alarms.assign(*of, "night shift")
    await alarms.out_of_service("f", plant.alarm.replace("high", "low"), "replaced")
    await plant.read("26")
    before = await present(plant)
    await plant.web.database.execute("DELETE FROM checkpoints")
    await plant.web.database.execute(r"UPDATE facility_commits SET payload = '\x00'")
    await plant.restart()
    assert await present(plant) == before
    assert [(state, assignee) for _, state, _, assignee in before] == [
        ("shelved", "night shift"),
        ("out_of_service", None),
    ]
    await alarms.unshelve(*of)
    assert await plant.state() == "unacknowledged"


async def present(plant: Plant) -> list[Any]:
    core = plant.host._facility("f")._core
    assert core is not None
    return sorted((alarm.alarm_key, alarm.state, alarm.until_us, alarm.assignee) for alarm in core.alarms())
