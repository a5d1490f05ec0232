"""Alarm rules that shall hold later: filed over REST, set by the engine when their moment has come, or withdrawn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import native
from engine.clock import US_PER_S, SystemClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.historian.notifications import CONFIGURATION, News
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import SensorActivation, SensorType
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import Web, web_server
from web.api.planned_rules import AHEAD_DAYS_MAX, PLANNED_MAX

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
OF_SENSOR = "/planned-rules/sensor/s"
OF_FACILITY = "/planned-rules/facility/f"
COMES_DUE = "UPDATE planned_rules SET effective_from = now() - make_interval(secs => 10 - id)"


@dataclass
class Planned:
    """A web server, a facility as the engine runs it without Ray, and its leader's part in this."""

    web: Web
    editor: dict[str, str]
    historian: Historian
    news: News
    facility: Facility
    now_us: int

    async def plan(self, limit: float, ahead: timedelta = DAY, path: str = OF_SENSOR, **more: Any) -> Any:
        rules = [{"rule": "high", "limit": limit}]
        body = {"rules": rules, "effective_from": (datetime.now(UTC) + ahead).isoformat(), **more}
        return await self.web.client.post(path, headers=self.editor, json=body)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.web.client.get(path, headers=self.editor, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def come_due(self) -> None:
        """All that is planned; what the leader does then, and the directory."""
        await self.web.database.execute(COMES_DUE)
        await self.historian.apply_planned_rules()
        assert await asyncio.wait_for(self.news.next(), 5) == {"f"}
        await self.facility.load(again=True)

    async def restart(self) -> None:
        """Another process takes the facility over."""
        self.facility = Facility("f", self.historian, self.web.settings, SystemClock(), Metrics())
        await self.facility.load()

    async def read(self, value: str) -> list[tuple[str, float]]:
        """The sensor sends; what is told of its limits from the beginning."""
        self.now_us += 15 * US_PER_S
        await self.facility.ingest(native.encode_batch("f", [("s", self.now_us, value)], self.now_us))
        rows = await self.web.database.fetch(
            "SELECT transition, limit_value FROM alarm_events WHERE rule = 'high' ORDER BY id"
        )
        return [(row["transition"], row["limit_value"]) for row in rows]


@pytest_asyncio.fixture
async def planned(database_url: str, tmp_path: Path) -> AsyncIterator[Planned]:
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        historian = await Historian.open(database_url, web.settings, clock)
        assert await historian.create_facility(setup("f")) is Creation.MADE
        facility = Facility("f", historian, web.settings, clock, Metrics())
        start_us = clock.now_us() - 3_600 * US_PER_S
        await facility.apply([SensorActivation("s", "f", SensorType.GAS_DETECTION, PLACE, 15, start_us)])
        _, editor, _ = await web.user("edith", ("f", "Edit"))
        news = await News.open(database_url, web.settings, CONFIGURATION)
        yield Planned(web, editor, historian, news, facility, start_us)
        news.close()
        await historian.close()


async def test_what_is_planned_holds_when_its_moment_has_come_and_after_a_restart(planned: Planned) -> None:
    filed = (await planned.plan(40, DAY, reason="order 1")).json()
    assert (filed["sensor_id"], filed["set_by_name"], filed["reason"], filed["refusal"]) == (
        "s", "edith", "order 1", None
    )  # fmt: skip
    assert await planned.read("30") == [("activated", 20)], "the rules of its type"
    now = await planned.web.client.put("/rules/sensor/s", headers=planned.editor, json={"unit": "% LEL"})
    assert now.status_code == 200 and await planned.get(OF_SENSOR) == [filed], "what is set now leaves plans alone"
    assert await asyncio.wait_for(planned.news.next(), 5) == {"f"}

    await planned.come_due()
    assert await planned.read("41") == [("activated", 20)] and await planned.get(OF_SENSOR) == []
    await planned.restart()
    for _ in range(2):
        told = await planned.read("10")
    assert told == [("activated", 20), ("returned", 40)]
    assert (await planned.read("41"))[2:] == [("activated", 40)]
    version, before = await planned.get("/rule-history/sensor/s")
    assert version["effective_from"] is not None and version["effective_from"] <= version["valid_from"]
    assert (version["reason"], before["valid_to"], before["effective_from"]) == ("order 1", version["valid_from"], None)
    configured = "SELECT payload FROM facility_commits WHERE kind = 'config' ORDER BY commit_no"
    entries = [json.loads(row["payload"]) for row in await planned.web.database.fetch(configured)]
    sensors = [sensor for entry in entries for sensor in entry["sensors"]]
    limits = [sensor.get("rules", [{}])[0].get("limit") for sensor in sensors]
    assert limits.index(40) > 0 and set(limits[limits.index(40) :]) == {40}, "an entry of the log, for replays"


async def test_of_two_the_later_replaces_the_earlier_and_one_that_is_withdrawn_never_holds(planned: Planned) -> None:
    first, second, third = [
        (await planned.plan(limit, ahead)).json() for limit, ahead in ((42, 2 * DAY), (41, DAY), (43, 2 * DAY))
    ]
    assert [one["id"] for one in await planned.get(OF_SENSOR)] == [second["id"], first["id"], third["id"]]
    assert await planned.get(OF_FACILITY, skip=1, limit=1) == [first]
    path, of = f"/planned-rules/{third['id']}", {"facility_id": "f"}
    gone = await planned.web.client.delete(path, headers=planned.editor, params=of)
    assert gone.status_code == 200 and gone.json() == third
    assert (await planned.web.client.delete(path, headers=planned.editor, params=of)).status_code == 404
    await planned.web.database.execute("UPDATE planned_rules SET effective_from = effective_from - interval '3 days'")
    await planned.historian.apply_planned_rules()
    history = await planned.get("/rule-history/sensor/s")
    assert [one["settings"]["rules"][0]["limit"] for one in history] == [42, 41]
    audited = (await planned.web.client.get("/audit", headers=await planned.web.admin())).json()["entries"]
    said = [(one["action"], (one["before"] or one["after"])["id"]) for one in audited if "rules." in one["action"]]
    assert said == [("rules.withdrawn", third["id"]), *(("rules.planned", one["id"]) for one in (third, second, first))]
    held = await planned.web.client.delete(f"/planned-rules/{first['id']}", headers=planned.editor, params=of)
    assert held.status_code == 404, "it holds already"


async def test_a_moment_is_to_come_and_not_too_far(planned: Planned) -> None:
    for ahead, status in (
        (-timedelta(seconds=1), 422),
        (timedelta(minutes=1), 200),
        (AHEAD_DAYS_MAX * DAY - timedelta(minutes=1), 200),
        (AHEAD_DAYS_MAX * DAY + timedelta(minutes=1), 422),
    ):
        answer = await planned.plan(40, ahead)
        assert answer.status_code == status, answer.text
        of_type = await planned.plan(40, ahead, OF_FACILITY, sensor_type="GasDetection")
        assert of_type.status_code == status, of_type.text
    for moment in ("next week", None, 5):
        body: dict[str, Any] = {"rules": [], "effective_from": moment}
        assert (await planned.web.client.post(OF_SENSOR, headers=planned.editor, json=body)).status_code == 422
    assert len(await planned.get(OF_FACILITY)) == 4


async def test_there_are_only_so_many_of_one_subject(planned: Planned) -> None:
    for number in range(PLANNED_MAX):
        assert (await planned.plan(40, (number + 1) * timedelta(hours=1))).status_code == 200
    refused = await planned.plan(40)
    assert refused.status_code == 409 and str(PLANNED_MAX) in refused.text
    assert (await planned.plan(40, path=OF_FACILITY, sensor_type="GasDetection")).status_code == 200
    assert len(await planned.get(OF_SENSOR)) == PLANNED_MAX + 1, "those of its type too"


async def test_what_the_core_would_refuse_then_is_not_filed(planned: Planned) -> None:
    """As far as is known what holds then: a profile that is planned for the type is counted on."""
    needs: dict[str, Any] = {"rules": [{"rule": "high_high", "enabled": True}]}
    assert (await planned.plan(0, 2 * DAY, **needs)).status_code == 422
    profile: dict[str, Any] = {"rules": [], "profile": "ambient_safety", "sensor_type": "GasDetection"}
    assert (await planned.plan(0, DAY, OF_FACILITY, **profile)).status_code == 200
    assert (await planned.plan(0, timedelta(hours=23), **needs)).status_code == 422
    assert (await planned.plan(0, 2 * DAY, **needs)).status_code == 200
    nonsense: dict[str, Any] = {"rules": [{"rule": "high", "limit": 1e31}], "sensor_type": "GasDetection"}
    assert (await planned.plan(0, DAY, OF_FACILITY, **nonsense)).status_code == 422
    await planned.come_due()
    (held,) = [one for one in (await planned.get("/rules/sensor/s"))["in_force"] if one["rule"] == "high_high"]
    assert held["limit"] == 40


async def test_what_is_refused_when_its_moment_has_come_says_why_until_it_is_withdrawn(planned: Planned) -> None:
    needs: dict[str, Any] = {"rules": [{"rule": "high_high", "enabled": True}]}
    profile = {"profile": "ambient_safety", "sensor_type": "GasDetection"}
    of_type = await planned.web.client.put("/rules/facility/f", headers=planned.editor, json=profile)
    assert of_type.status_code == 200 and (await planned.plan(0, **needs)).status_code == 200
    back = {"sensor_type": "GasDetection"}
    await planned.web.client.delete("/rules/facility/f", headers=planned.editor, params=back)
    await planned.come_due()
    (refused,) = await planned.get(OF_SENSOR)
    assert "high_high" in refused["refusal"] and await planned.read("30") == [("activated", 20)]
    path = f"/planned-rules/{refused['id']}"
    answer = await planned.web.client.delete(path, headers=planned.editor, params={"facility_id": "f"})
    assert answer.status_code == 200 and await planned.get(OF_SENSOR) == []


async def test_who_only_looks_plans_nothing_and_nobody_withdraws_elsewhere(planned: Planned) -> None:
    filed = (await planned.plan(40)).json()
    await planned.web.facility("g")
    _, viewer, _ = await planned.web.user("vera", ("f", "View"))
    _, other, _ = await planned.web.user("otto", ("g", "Edit"))
    body = {"rules": [], "effective_from": (datetime.now(UTC) + DAY).isoformat()}
    for headers in (viewer, other):
        assert (await planned.web.client.post(OF_SENSOR, headers=headers, json=body)).status_code == 403
    assert (await planned.web.client.get(OF_SENSOR, headers=viewer)).json() == [filed]
    path = f"/planned-rules/{filed['id']}"
    for headers, facility_id, status in ((viewer, "f", 403), (other, "f", 403), (other, "g", 404)):
        answer = await planned.web.client.delete(path, headers=headers, params={"facility_id": facility_id})
        assert answer.status_code == status
    assert (await planned.web.client.delete(path, headers=planned.editor)).status_code == 422
    assert await planned.get(OF_SENSOR) == [filed]
