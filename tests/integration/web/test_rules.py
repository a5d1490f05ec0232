"""Alarm rules over REST: what is set where, by whom, what holds, and what the core would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.clock import SystemClock
from engine.facility.payloads import config_payload
from engine.historian.historian import Historian
from engine.model import SensorType
from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres

STRICTER = {"rules": [{"rule": "high", "limit": 24, "priority": "high", "source": "operator's handbook 3.2"}]}
OF_TYPE = {
    "sensor_type": "Temperature",
    "rules": [{"rule": "high", "limit": 30.0, "latched": True}, {"rule": "high_high", "limit": 40.5}],
}


async def rules_of(web: Web, headers: dict[str, str], sensor_id: str = "n1") -> dict[str, Any]:
    answer = await web.client.get(f"/rules/sensor/{sensor_id}", headers=headers)
    assert answer.status_code == 200, answer.text
    return {rule["rule"]: rule for rule in answer.json()["in_force"]}


async def test_what_is_set_goes_before_what_the_type_has(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        await web.sensor("n2", "n")
        user_id, editor, _ = await web.user("eve", ("n", "Edit"))
        default = (await rules_of(web, editor))["high"]
        assert default["limit"] == 25 and default["source"]
        answer = await web.client.put("/rules/facility/n", headers=editor, json=OF_TYPE)
        assert answer.status_code == 200, answer.text
        (of_type,) = answer.json()["types"]
        assert {rule["rule"]: rule["limit"] for rule in of_type["in_force"]}["high_high"] == 40.5
        answer = await web.client.put("/rules/sensor/n1", headers=editor, json=STRICTER)
        assert answer.status_code == 200, answer.text
        held = await rules_of(web, editor)
        assert (held["high"]["limit"], held["high"]["priority"], held["high"]["latched"]) == (24, "high", False)
        assert held["high"]["source"] == "operator's handbook 3.2"
        assert held["high_high"]["limit"] == 40.5
        assert (await rules_of(web, editor, "n2"))["high"]["latched"]
        again = (await web.client.put("/rules/sensor/n1", headers=editor, json=STRICTER)).json()
        (version,) = again["versions"]
        assert (version["set_by"], version["set_by_name"]) == (f"user:{user_id}", "eve"), "the same again is no version"
        back = (await web.client.delete("/rules/sensor/n1", headers=editor)).json()
        assert [one["settings"]["rules"] != [] for one in back["versions"]] == [False, True]
        assert (await rules_of(web, editor))["high"]["limit"] == 30
        await web.client.delete("/rules/facility/n", headers=editor, params={"sensor_type": "Temperature"})
        assert (await rules_of(web, editor))["high"] == default
        audited = (await web.client.get("/audit", headers=await web.admin(), params={"limit": 4})).json()["entries"]
        assert {entry["action"] for entry in audited} == {"rules.updated"}
        assert audited[-1]["after"]["sensor_type"] == "Temperature"


async def test_a_facility_is_loaded_with_what_is_set(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.database.execute("INSERT INTO facility_epochs VALUES ('n', 0)")
        await web.sensor("n1", "n")
        admin = await web.admin()
        heard: list[str] = []
        listener = await asyncpg.connect(database_url)
        await listener.add_listener("facility_config", lambda *message: heard.append(str(message[3])))
        await web.client.put("/rules/facility/n", headers=admin, json={**OF_TYPE, "unit": "K"})
        own = {**STRICTER, "number_format": "comma"}
        own["rules"] = [
            *own["rules"],
            {"rule": "bad_value", "priority": "critical"},
            {"rule": "clock", "enabled": False},
        ]
        answer = await web.client.put("/rules/sensor/n1", headers=admin, json=own)
        assert answer.status_code == 200, answer.text
        held = {rule["rule"]: rule["priority"] for rule in answer.json()["in_force"]}
        assert held["bad_value"] == "critical" and "clock" not in held
        await listener.fetch("SELECT 1")
        await listener.close()
        assert heard == ["n", "n"]
        historian = await Historian.open(database_url, web.settings, SystemClock())
        try:
            state = await historian.load("n")
        finally:
            await historian.close()
        assert state is not None
        assert state.rules[SensorType.TEMPERATURE]["unit"] == "K"
        (upsert,) = json.loads(config_payload(state.sensors, facility_name="n", at_us=1))["sensors"]
        assert (upsert["unit"], upsert["number_format"]) == ("K", "comma")
        limits = [(rule["rule"], rule["limit"]) for rule in upsert["rules"] if "limit" in rule]
        assert limits == [("high", 24), ("high_high", 40.5)]


@pytest.mark.parametrize(
    "wanted",
    [
        {"rules": [{"rule": "hotter", "limit": 1}]},
        {"rules": [{"rule": "high", "limit": 1e31}]},
        {"rules": [{"rule": "high", "on_delay_s": 86_401}]},
        {"rules": [{"rule": "high", "limit": 24}, {"rule": "high", "limit": 25}]},
        {"rules": [{"rule": "high", "priority": "shrill"}]},
        {"rules": [{"rule": "rate_of_change", "limit": -1}]},
        {"rules": [{"rule": "stale"}] * 21},
        {"profile": "none such"},
        {"number_format": "semicolon"},
        {"rules": [{"rule": "bad_value", "limit": 1}]},
        {"rules": [{"rule": "stuck", "enabled": True}]},
        {"rules": [{"rule": "out_of_physical_range", "limit": 1}]},
    ],
)
async def test_what_the_core_would_refuse_is_not_set(database_url: str, tmp_path: Path, wanted: dict[str, Any]) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        answer = await web.client.put("/rules/sensor/n1", headers=await web.admin(), json=wanted)
        assert answer.status_code == 422, answer.text
        assert await web.database.fetchval("SELECT count(*) FROM sensor_rules") == 0
