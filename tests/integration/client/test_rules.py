"""Alarm rules in the typed client and in the terminal, against a real web server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import Result

from engine.client import GasInSight, NotFound, RuleChange, SensorRules, Unusable
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.client.terminal import gasinsight
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


async def test_versions_say_who_why_and_what_held_then(web: Web, gis: GasInSight) -> None:
    before = limits(await gis.rules.of("s"))
    await gis.rules.set_facility("f", "GasDetection", {"rules": [{"rule": "high", "limit": 30}]}, reason="survey")
    await gis.rules.set("s", {"rules": [{"rule": "high", "limit": 31}]}, reason="order 4711")
    part = await gis.rules.history("s")
    assert part.total == 2 and [one.reason for one in part.rows] == ["order 4711", "survey"]
    assert part.rows[0].settings == (await gis.rules.of("s")).of_sensor
    assert (await gis.rules.history("s", skip=1, limit=1)).rows == (await gis.rules.history_of_facility("f")).rows
    moment = part.rows[1].valid_from
    assert limits(await gis.rules.of("s", at=moment))["high"] == 30
    assert limits(await gis.rules.of("s", at=moment - timedelta(microseconds=1))) == before
    assert (await gis.rules.of_facility("f", at=moment)).types[0].of_type == part.rows[1].settings
    await gis.groups.set_for_facility("f", reason="nothing changes")
    assert (await gis.groups.history("f")).rows == []
    vote = {"name": "hall", "kind": "vote", "votes": 1, "members": [{"sensor_id": "s", "rules": ["high"]}]}
    await gis.groups.set_for_facility("f", [vote], reason="hall 2")
    (version,) = (await gis.groups.history("f")).rows
    assert version.reason == "hall 2" and version.settings["groups"][0]["name"] == "hall"
    assert (await gis.groups.of_facility("f", at=moment)).groups == []


async def test_what_cannot_be_is_told(gis: GasInSight) -> None:
    with pytest.raises(Unusable, match="rate_of_change"):
        await gis.rules.set("s", {"rules": [{"rule": "rate_of_change", "limit": -1}]})
    with pytest.raises(NotFound):
        await gis.rules.of("absent")


def held(result: Result) -> dict[str, float | None]:
    assert result.exit_code == 0, result.exception
    return {rule["rule"]: rule["limit"] for rule in json.loads(result.output)["in_force"]}


async def test_the_terminal_says_what_would_hold_and_sets_it(web: Web, gis: GasInSight, tmp_path: Path) -> None:
    file, of_type = tmp_path / "rules.json", ("--facility", "--type", "GasDetection")
    file.write_text('{"rules": [{"rule": "high", "limit": 30, "source": null}]}')
    assert "GasDetection of facility f: set" in (await gasinsight(web, "rules", "set", "f", str(file), *of_type)).output
    file.write_text('{"unit": null, "rules": [{"rule": "high_high", "limit": 45}]}')
    before = await gis.rules.of("s")
    would = await gasinsight(web, "rules", "set", "s", str(file), "--dry-run", "--json")
    assert json.loads(would.output)["dry_run"] is True
    assert await gis.rules.of("s") == before and before.versions == []
    assert "nothing is changed" in (await gasinsight(web, "rules", "set", "s", str(file), "--dry-run")).output
    done = await gasinsight(web, "rules", "set", "s", str(file), "--json")
    assert held(done) == held(would) == limits(await gis.rules.of("s"))
    assert (held(done)["high"], held(done)["high_high"]) == (30, 45)
    assert held(await gasinsight(web, "rules", "show", "s", "--json")) == held(done)
    shown = (await gasinsight(web, "rules", "show", "s")).output
    assert "sensor s: last set" in shown and "45 " in shown
    assert "GasDetection of facility f: last set" in (await gasinsight(web, "rules", "show", "f", "--facility")).output
    await web.facility("empty", name="South")
    assert "has no sensors" in (await gasinsight(web, "rules", "show", "empty", "--facility")).output


async def test_the_terminal_lists_versions_and_says_what_held(web: Web, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    assert "Nothing was ever set" in (await gasinsight(web, "rules", "history", "s")).output
    for limit, reason in ((30, "survey"), (31, "order 4711")):
        file.write_text(json.dumps({"rules": [{"rule": "high", "limit": limit}]}))
        assert (await gasinsight(web, "rules", "set", "s", str(file), "--reason", reason)).exit_code == 0
    shown = (await gasinsight(web, "rules", "history", "s", "--limit", "1")).output
    assert "order 4711" in shown and "high limit=31" in shown and "survey" not in shown
    assert "2 versions; --skip 1 has the next" in shown
    said = json.loads((await gasinsight(web, "rules", "history", "s", "--json")).output)
    newest, first = said["versions"]
    assert said["total"] == 2 and first["valid_to"] == newest["valid_from"]
    assert held(await gasinsight(web, "rules", "show", "s", "--at", first["valid_from"], "--json"))["high"] == 30
    nobody = await gasinsight(web, "rules", "history", "f", "--facility", "--json")
    assert json.loads(nobody.output) == {"versions": [], "total": 0}
    assert isinstance((await gasinsight(web, "rules", "show", "s", "--at", "noon")).exception, SettingsError)
    assert isinstance((await gasinsight(web, "rules", "history", "absent")).exception, NotDone)


async def test_rules_are_planned_and_withdrawn(web: Web, gis: GasInSight, tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    limit = {"rules": [{"rule": "high", "limit": 33}]}
    of_type = await gis.rules.plan_for_facility("f", "GasDetection", limit, tomorrow, reason="survey")
    of_sensor = await gis.rules.plan("s", limit, tomorrow - timedelta(hours=1))
    assert (await gis.rules.planned("s")).rows == [of_sensor, of_type]
    assert (await gis.rules.planned_of_facility("f", skip=1)).rows == [of_type]
    assert of_type.effective_from == tomorrow and of_type.reason == "survey"
    assert await gis.rules.withdraw("f", of_type.id) == of_type
    with pytest.raises(NotFound):
        await gis.rules.withdraw("f", of_type.id)
    with pytest.raises(Unusable, match="not to come"):
        await gis.rules.plan("s", limit, tomorrow - timedelta(days=2))
    assert (await gis.rules.of("s")).versions == []

    file, at = tmp_path / "rules.json", tomorrow.isoformat()
    file.write_text(json.dumps(limit))
    would = await gasinsight(web, "rules", "set", "s", str(file), "--from", at, "--dry-run", "--json")
    assert held(would)["high"] == 33 and (await gis.rules.planned("s")).total == 1
    filed = await gasinsight(web, "rules", "set", "f", str(file), "--from", at, "--facility", "--type", "GasDetection")
    assert "GasDetection of facility f: planned as" in filed.output
    said = json.loads(
        (await gasinsight(web, "rules", "set", "s", str(file), "--from", at, "--reason", "why", "--json")).output
    )
    number = str(said["planned"]["id"])
    shown = (await gasinsight(web, "rules", "planned", "s", "--limit", "2")).output
    assert "high limit=33" in shown and "3 are planned; --skip 2 has the next" in shown
    assert json.loads((await gasinsight(web, "rules", "planned", "f", "--facility", "--json")).output)["total"] == 3
    assert f"s: {number} is withdrawn" in (await gasinsight(web, "rules", "withdraw", "s", number)).output
    assert isinstance((await gasinsight(web, "rules", "withdraw", "s", number)).exception, NotDone)
    assert isinstance(
        (await gasinsight(web, "rules", "set", "s", str(file), "--from", "soon")).exception, SettingsError
    )
    assert isinstance(
        (await gasinsight(web, "rules", "set", "s", str(file), "--from", "2020-01-01")).exception, NotDone
    )
    for one in (await gis.rules.planned("s")).rows:
        assert (await gasinsight(web, "rules", "withdraw", "f", str(one.id), "--facility", "--json")).exit_code == 0
    assert "Nothing is planned" in (await gasinsight(web, "rules", "planned", "s")).output


REFUSED = [
    ('{"rules": [{"rule": "high", "limt": 1}]}', NotDone, "unknown field `limt`"),
    ('{"rules": [{"rule": "high", "limit": 1}, {"rule": "high", "limit": 2}]}', NotDone, "high is set twice"),
    ('{"rules": 3}', NotDone, "expected a sequence"),
    ('{"rule": []}', SettingsError, "any of profile, unit, number_format, rules, and nothing else"),
    ("[]", SettingsError, "must hold an object"),
    ("{", SettingsError, "is no JSON"),
]


async def test_a_file_that_cannot_be_is_a_sentence(web: Web, gis: GasInSight, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    for text, kind, sentence in REFUSED:
        file.write_text(text)
        for words in ((), ("--dry-run",)):
            error = (await gasinsight(web, "rules", "set", "s", str(file), *words)).exception
            assert isinstance(error, kind) and sentence in str(error)
    assert (await gis.rules.of("s")).versions == []


async def test_what_is_asked_of_nothing_is_a_sentence(web: Web, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text("{}")
    for words in (("--facility",), ("--type", "GasDetection")):
        assert "go together" in str((await gasinsight(web, "rules", "set", "f", str(file), *words)).exception)
    odd = await gasinsight(web, "rules", "set", "f", str(file), "--facility", "--type", "Nope", "--dry-run")
    assert isinstance(odd.exception, NotDone) and 'unknown type "Nope"' in str(odd.exception)
    assert isinstance((await gasinsight(web, "rules", "show", "absent")).exception, NotDone)
