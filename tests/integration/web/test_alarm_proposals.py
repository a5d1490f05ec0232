"""Proposals for alarms: what is proposed tells little and nothing true less, and tells as it was promised."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clock import US_PER_S
from tests.fakes.messages import T0_US
from tests.integration.web.harness import Web, web_server
from tests.integration.web.planted import EVENTS, RULES, RUPTURE, START, STEP_S, STEPS, live, planted, told
from web.api import alarm_proposals
from web.api.alarm_proposals import ALARMS_MAX, RANGE_MAX, READ_SUBJECT, SENSORS_MAX, UNTOLD_MAX
from web.proposals import living
from web.wire.times import from_us

pytestmark = pytest.mark.postgres
END = from_us(T0_US + STEPS * STEP_S * US_PER_S)
RANGE = {"start_date": START.isoformat(), "end_date": END.isoformat()}
TOLD = """
SELECT e.event_time FROM alarm_events e JOIN sensors s USING (sensor_no)
 WHERE s.id = $1 AND e.rule = $2 AND e.transition = 'activated' ORDER BY e.event_time
"""


async def asked(web: Web, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return await web.client.get("/alarm-proposals", headers=headers or await web.admin(), params=query, timeout=60)


async def proposals(web: Web, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    answer = await asked(web, headers, **{**RANGE, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["proposals"]
    return found


async def test_what_is_proposed_is_what_a_facility_that_had_it_tells(database_url: str, tmp_path: Path) -> None:
    await live(database_url, "f", RULES)
    async with web_server(database_url, tmp_path) as web:
        found = {one["sensor_id"].removeprefix("f-"): one for one in await proposals(web, facility_id="f")}
        assert {name: one["outcome"] for name, one in found.items()} == {
            "chatters": "proposed",
            "true": "all_true",
            "rupture": "proposed",
            "critical": "nothing_helps",
        }
        assert all(one["before"] == one["in_journal"] for one in found.values())
        await live(database_url, "g", {name: found[name]["rules"] or RULES[name] for name in RULES})
        for name, one in found.items():
            told = [row["event_time"] for row in await web.database.fetch(TOLD, f"g-{name}", one["rule"])]
            assert len(told) == (one["after"] or one["before"])["activations"], name
            most = timedelta(seconds=one["delay"]["max_s"] if one["delay"] else 0)
            for step in {"chatters": EVENTS, "rupture": [RUPTURE]}.get(name, []):
                began = START + timedelta(seconds=step * STEP_S)
                assert any(began - timedelta(minutes=1) <= at <= began + most for at in told), (name, began, most)
        chatters, rupture = found["chatters"], found["rupture"]
        assert chatters["after"]["activations"] <= 0.05 * chatters["before"]["activations"]
        assert chatters["true_events"] == chatters["delay"]["n"] == len(EVENTS)
        assert 0 < rupture["delay"]["max_s"] <= 15 and rupture["meets_target"]
        assert rupture["untold_count"] == rupture["before"]["activations"] - 1
        assert len(rupture["untold"]) == min(UNTOLD_MAX, rupture["untold_count"])
        assert found["critical"]["rules"] is None and found["true"]["proposed"] is None


OFF = '{"rules": [{"rule": "high", "off_delay_s": 0, "priority": "low"}, {"rule": "anomaly", "enabled": false}]}'
SET = """
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_by, set_by_name)
VALUES ('n', $1, $2, $3, 'user:1', 'ann')
"""
VERDICT = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason, verdict,
                            about_event_id, state, refusal)
VALUES ($1, 'n', $2, 'verdict', $3, 'user:1', 'ann', '', $4, $5, 'done', '')
"""


async def test_what_is_set_stays_and_what_nobody_can_mend_is_said(database_url: str, tmp_path: Path) -> None:
    hour: dict[str, Any] = {
        "facility_id": "n",
        "start_date": START.isoformat(),
        "end_date": (START + timedelta(hours=1)).isoformat(),
    }
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        number, plain = await planted(web), await planted(web, "s2")
        await web.database.execute(SET, "Pressure", None, OFF)
        await web.database.execute(SET, None, "s1", '{"unit": "mbar", "rules": [{"rule": "low", "enabled": false}]}')
        for minute in range(5):
            for alarm in (f"{number}:stale", f"{number}:rate_of_change", "facility:silent", "facility:vote"):
                about = None if alarm.startswith("facility") else number
                await told(web, alarm, about, START + timedelta(minutes=minute))
        found = {one["alarm_id"]: one for one in await proposals(web, **hour)}
        said = {alarm.rpartition(":")[2]: one["outcome"] for alarm, one in found.items()}
        assert said == {
            "high": "proposed",
            "stale": "instrument",
            "rate_of_change": "gone",
            "silent": "instrument",
            "vote": "several",
        }
        mended = found[f"{number}:high"]
        assert (mended["before"]["activations"], mended["after"]["activations"]) == (60, 0)
        assert mended["before"] == mended["in_journal"] and mended["sensor_name"] == "Sensor s1"
        assert mended["delay"] == {"n": 0, "p50_s": None, "p90_s": None, "max_s": None}
        rules = {rule["rule"]: rule for rule in mended["rules"]["rules"]}
        assert mended["rules"]["unit"] == "mbar" and rules["low"]["enabled"] is False and set(rules) == {"low", "high"}
        assert rules["high"]["priority"] == "low", "what the type has is said again: a sensor's rule goes whole"
        put = await web.client.put("/rules/sensor/s1", headers=await web.admin(), json=mended["rules"])
        assert put.status_code == 200, put.text
        again = {one["alarm_id"]: one for one in await proposals(web, **hour)}
        assert again[f"{number}:high"]["outcome"] == "not_reproduced", "the rules of today tell nothing of it"
        first = await web.database.fetchval(
            "SELECT min(id) FROM alarm_events WHERE alarm_key = $1 AND transition = 'activated'", f"{plain}:high"
        )
        await web.database.execute(VERDICT, "c1", f"{plain}:high", START, "true", first)
        found = {one["alarm_id"]: one for one in await proposals(web, **hour)}
        assert (found[f"{plain}:high"]["outcome"], found[f"{plain}:high"]["true_events"]) == ("nothing_helps", 1)
        await web.database.execute(VERDICT, "c2", f"{plain}:high", END, "false", first)
        found = {one["alarm_id"]: one for one in await proposals(web, **hour)}
        assert (found[f"{plain}:high"]["outcome"], found[f"{plain}:high"]["true_events"]) == ("proposed", 0)
        assert found[f"{plain}:high"]["untold"][0]["verdict"] == "false"
        assert await web.database.fetchrow(READ_SUBJECT, "s2")
        await web.database.execute("UPDATE sensors SET retired_at = now() WHERE id = 's2'")
        found = {one["alarm_id"]: one for one in await proposals(web, **hour)}
        assert found[f"{plain}:high"]["outcome"] == "gone"


async def test_limits_hold_on_both_sides_and_one_sees_what_one_may_view(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_server(database_url, tmp_path) as web:
        for facility_id in "ns":
            await web.facility(facility_id)
        number = await planted(web)
        await planted(web, "s2", facility_id="s")
        _, viewer, _ = await web.user("vera", ("n", "View"))
        assert [one["facility_id"] for one in await proposals(web, viewer)] == ["n"]
        assert [one["facility_id"] for one in await proposals(web)] == ["n", "s"]
        assert [one["facility_id"] for one in await proposals(web, skip=1)] == ["s"]
        assert [one["facility_id"] for one in await proposals(web, limit=1)] == ["n"]
        assert await proposals(web, skip=2) == []
        assert [one["sensor_id"] for one in await proposals(web, sensor_id=["s2"])] == ["s2"]
        assert await proposals(web, viewer, sensor_id=["s1"], skip=1) == []
        many = ["s1"] * SENSORS_MAX
        for sensor_ids, status in ((["s2"], 403), (["absent"], 404), (many, 200), ([*many, "s1"], 422)):
            assert (await asked(web, viewer, sensor_id=sensor_ids)).status_code == status, len(sensor_ids)
        for facility_ids, status in ((["s"], 403), (["n", "s"], 403), (["absent"], 404), (["n"], 200)):
            assert (await asked(web, viewer, facility_id=facility_ids)).status_code == status, facility_ids
        over = START + RANGE_MAX + timedelta(microseconds=1)
        for query, status in (
            ({"start_date": START.isoformat(), "end_date": (START + RANGE_MAX).isoformat()}, 200),
            ({"start_date": START.isoformat(), "end_date": over.isoformat()}, 422),
            ({"start_date": "2026-10-02", "end_date": "2026-10-01"}, 422),
            ({"end_date": "2026-10-01"}, 200),
            ({"limit": ALARMS_MAX}, 200),
            ({"limit": ALARMS_MAX + 1}, 422),
            ({"limit": 0}, 422),
            ({"skip": -1}, 422),
        ):
            assert (await asked(web, viewer, **query)).status_code == status, query
        for most, outcome in ((720, "proposed"), (719, "too_many_readings")):
            monkeypatch.setattr(alarm_proposals, "READINGS_MAX", most)
            assert [one["outcome"] for one in await proposals(web, viewer)] == [outcome], most
        for minute in range(3):
            await told(web, f"{number}:anomaly", number, START + timedelta(minutes=minute))
        for most, outcome in ((720, "not_reproduced"), (719, "too_many_readings")):
            monkeypatch.setattr(alarm_proposals, "SCORED_READINGS_MAX", most)
            assert [one["outcome"] for one in await proposals(web, viewer, skip=1)] == [outcome], most


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """The work of the core waits for the event; the list has an entry for each piece that began."""
    go_on, begun = threading.Event(), []
    lived_by_core = living._live

    def lived_later(*arguments: Any) -> None:
        begun.append(1)
        assert go_on.wait(30)
        lived_by_core(*arguments)

    monkeypatch.setattr(living, "_live", lived_later)
    monkeypatch.setattr(living, "PIECE_ROWS", 100)
    yield go_on, begun
    go_on.set()


async def until_begun(begun: list[int], pieces: int) -> None:
    async with asyncio.timeout(20):
        while len(begun) < pieces:
            await asyncio.sleep(0.01)


async def test_others_are_answered_meanwhile_and_who_leaves_is_worked_for_no_longer(
    database_url: str, tmp_path: Path, held: tuple[threading.Event, list[int]]
) -> None:
    go_on, begun = held
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await planted(web)
        headers = await web.admin()
        leaver = asyncio.create_task(proposals(web, headers))
        await until_begun(begun, 1)
        second = asyncio.create_task(proposals(web, headers))
        assert (await web.client.get("/alarm-counts", headers=headers)).status_code == 200
        assert len(begun) == 1, "one at a time"
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        await until_begun(begun, 2)  # the second's turn comes when the first is known to be gone
        go_on.set()
        assert [one["outcome"] for one in await second] == ["proposed"]
        pieces = 8
        assert len(begun) % pieces == 1, "of the first, one piece was worked at, and of the second all"
