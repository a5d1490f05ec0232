"""Several sensors together in a running facility: from what people set to what they see, over restarts and rebuilds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import native
from engine.client import FacilityGroups, GasInSight, Unusable
from engine.clock import US_PER_S, SystemClock
from engine.facility.host import FacilityHost
from engine.historian.historian import Historian
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import SensorActivation, SensorType
from tests.integration.cluster.test_alarm_commands import Plant, carrying
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import web_server

pytestmark = pytest.mark.postgres

VOTERS = ("v0", "v1", "v2")
CALM = ["21.5"] * 3
TWO_OF_THREE = {
    "name": "Hall 2",
    "kind": "vote",
    "votes": 2,
    "off_delay_s": 0,
    "members": [{"sensor_id": name, "rules": ["high"]} for name in VOTERS],
}


@dataclass
class Hall(Plant):
    """A plant with three detectors that vote. `alarm` is the vote's."""

    async def read_all(self, values: list[str | None]) -> None:
        """One reading of each, at the same time; None: that one says nothing."""
        self.now_us += 15 * US_PER_S
        rows = [(name, self.now_us, value) for name, value in zip(VOTERS, values, strict=True) if value is not None]
        await self.host._facility("f").ingest(native.encode_batch("f", rows, self.now_us))

    async def shown(self) -> dict[str, str]:
        """What of the group is not normal."""
        number = self.alarm.partition(":")[0]
        part = await self.gis.alarms.now(facility_id="f")
        return {alarm.rule: alarm.state for alarm in part.rows if alarm.id.partition(":")[0] == number}


@pytest_asyncio.fixture
async def hall(database_url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        historian = await Historian.open(database_url, web.settings, clock)
        assert await historian.create_facility(setup("f")) is Creation.MADE
        host = FacilityHost(historian, web.settings, clock, Metrics())
        start_us = clock.now_us() - 3_600 * US_PER_S
        voters = [SensorActivation(name, "f", SensorType.TEMPERATURE, PLACE, 15, start_us) for name in VOTERS]
        await host.apply("f", voters)
        await web.user("edith", ("f", "Edit"))
        async with GasInSight(f"http://127.0.0.1:{web.port}", "edith@plant.example", "pw edith") as gis:
            made = Hall(web, gis, historian, host, "", start_us)
            await made.read_all(list(CALM))
            held = await set_groups(made, TWO_OF_THREE)
            made.alarm = f"{held.groups[0]['no']}:vote"
            async with carrying(web, historian, made):
                yield made
        await historian.close()


async def set_groups(hall: Hall, *groups: dict[str, Any]) -> FacilityGroups:
    held = await hall.gis.groups.set_for_facility("f", groups)
    await hall.restart()
    return held


async def test_a_vote_lives_as_any_alarm_over_restarts(hall: Hall) -> None:
    assert await hall.shown() == {}
    await hall.read_all(["26", "21.5", "21.5"])
    assert await hall.shown() == {}, "one of three is no vote"
    await hall.read_all(["26", "26", "21.5"])
    assert await hall.shown() == {"vote": "unacknowledged"}
    entry = [entry async for entry in hall.gis.alarms.journal(alarm_id=hall.alarm)][-1]
    assert entry.message.startswith("Hall 2 in ") and entry.reason == "voted: v0, v1; out: none"
    await hall.restart()
    assert await hall.state() == "unacknowledged"
    done = await hall.gis.alarms.acknowledge("f", hall.alarm, "on my way")
    assert done.is_done and await hall.state() == "acknowledged"
    await hall.web.database.execute("DELETE FROM checkpoints")
    await hall.web.database.execute(r"UPDATE facility_commits SET payload = '\x00'")
    await hall.restart()
    assert await hall.state() == "acknowledged", "rebuilt from the journal"
    for _ in range(6):
        await hall.read_all(list(CALM))
    assert await hall.state() == "normal"
    assert await hall.told() == ["activated", "acknowledged", "returned"]


async def test_who_leaves_the_vote_is_seen_and_ends_nothing(hall: Hall) -> None:
    await hall.read_all(["26", "26", "21.5"])
    numbers = {
        row["id"]: row["sensor_no"] for row in await hall.web.database.fetch("SELECT id, sensor_no FROM sensors")
    }
    own = [f"{numbers[name]}:high" for name in VOTERS]
    for alarm in own[:2]:
        await hall.gis.alarms.out_of_service("f", alarm, "calibration")
    assert await hall.shown() == {"vote": "unacknowledged", "vote_degraded": "unacknowledged"}
    await hall.gis.alarms.out_of_service("f", own[2], "calibration")
    assert await hall.shown() == dict.fromkeys(("vote", "vote_degraded", "vote_lost"), "unacknowledged")
    degraded = hall.alarm.replace("vote", "vote_degraded")
    entries = [entry async for entry in hall.gis.alarms.journal(alarm_id=degraded)]
    assert [entry.transition for entry in entries] == ["activated"] * 3, "each is news"
    assert entries[-1].reason == "voted: none; out: v0 (out_of_service), v1 (out_of_service), v2 (out_of_service)"
    for alarm in own:
        await hall.gis.alarms.return_to_service("f", alarm)
    await hall.read_all(["26", "26", "21.5"])
    assert await hall.shown() == {
        "vote": "unacknowledged",
        **dict.fromkeys(("vote_degraded", "vote_lost"), "returned_unacknowledged"),
    }


async def test_a_group_that_is_set_no_more_ends_its_alarms(hall: Hall) -> None:
    await hall.read_all(["26", "26", "21.5"])
    await hall.gis.alarms.acknowledge("f", hall.alarm)
    await set_groups(hall)
    await hall.read_all(["26", "26", "21.5"])
    assert await hall.shown() == {}
    assert await hall.told() == ["activated", "acknowledged", "returned"]


async def test_what_was_read_can_be_set_again_and_what_cannot_be_says_why(hall: Hall) -> None:
    groups = hall.gis.groups
    rest = {
        "name": "stopped",
        "while": {"not": {"sensor_id": "v1", "above": 2}},
        "alarms": [{"sensor_id": "v0", "rules": ["low"]}],
    }
    await groups.set_for_facility("f", [TWO_OF_THREE], [rest])
    before = await groups.of_facility("f")
    assert await groups.set_for_facility("f", before.groups, before.rests) == before
    assert [version.set_by_name for version in before.versions] == ["edith", "edith"]
    with pytest.raises(Unusable, match="votes is 4"):
        await groups.set_for_facility("f", [{**TWO_OF_THREE, "votes": 4}])
    assert await groups.of_facility("f") == before
