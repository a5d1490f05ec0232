"""Several sensors in a running facility and groups that people set: a real core, PostgreSQL and web server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import native
from engine.client import FacilityGroups, GasInSight
from engine.clock import US_PER_S, SystemClock
from engine.facility.host import FacilityHost
from engine.historian.historian import Historian
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import SensorActivation, SensorType
from tests.integration.cluster.test_alarm_commands import Plant, carrying
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import web_server


@dataclass
class Hall(Plant):
    """A plant with sensors that are judged together. `alarm` is the one of a group that a test is about."""

    numbers: dict[str, int] = field(default_factory=dict)
    """Of the groups, by their names; a name keeps its number for good."""

    async def say(self, values: Mapping[str, str], seconds: int = 15) -> None:
        """One reading of each that says something, at the same time."""
        self.now_us += seconds * US_PER_S
        rows = [(name, self.now_us, value) for name, value in values.items()]
        await self.host._facility("f").ingest(native.encode_batch("f", rows, self.now_us))

    async def tick(self) -> None:
        """The engine's clock reaches the newest reading."""
        await self.host.tick(["f"], self.now_us)

    async def set_groups(
        self, groups: Sequence[dict[str, Any]] = (), rests: Sequence[dict[str, Any]] = ()
    ) -> FacilityGroups:
        held = await self.gis.groups.set_for_facility("f", groups, rests)
        self.numbers |= {group["name"]: group["no"] for group in held.groups}
        await self.restart()
        return held

    async def shown(self, name: str) -> dict[str, str]:
        """What of a group is not normal."""
        part = await self.gis.alarms.now(facility_id="f")
        of_group = f"{self.numbers[name]}:"
        return {alarm.rule: alarm.state for alarm in part.rows if alarm.id.startswith(of_group)}

    async def rebuild(self) -> None:
        """From the stored readings and the journal: the checkpoint is gone and the log cannot be read."""
        await self.web.database.execute("DELETE FROM checkpoints")
        await self.web.database.execute(r"UPDATE facility_commits SET payload = '\x00'")
        await self.restart()

    async def sensor_numbers(self) -> dict[str, int]:
        return {
            row["id"]: row["sensor_no"] for row in await self.web.database.fetch("SELECT id, sensor_no FROM sensors")
        }


@asynccontextmanager
async def hall_of(database_url: str, tmp_path: Path, sensors: Mapping[str, SensorType]) -> AsyncIterator[Hall]:
    """Facility `f` with these sensors, all new."""
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        historian = await Historian.open(database_url, web.settings, clock)
        assert await historian.create_facility(setup("f")) is Creation.MADE
        host = FacilityHost(historian, web.settings, clock, Metrics())
        start_us = clock.now_us() - 3_600 * US_PER_S
        made = [SensorActivation(name, "f", kind, PLACE, 15, start_us) for name, kind in sensors.items()]
        await host.apply("f", made)
        await web.user("edith", ("f", "Edit"))
        async with GasInSight(f"http://127.0.0.1:{web.port}", "edith@plant.example", "pw edith") as gis:
            hall = Hall(web, gis, historian, host, "", start_us)
            async with carrying(web, historian, hall):
                yield hall
        await historian.close()
