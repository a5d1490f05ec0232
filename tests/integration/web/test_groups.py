"""Groups over REST: who may set them, what is refused, and that the core reads what is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import native
from engine.clock import SystemClock
from engine.facility.payloads import config_payload
from engine.historian.historian import Historian
from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres

MEMBERS = [{"sensor_id": name, "rules": ["high"]} for name in ("n1", "n2")]
VOTE = {"name": "Hall 2", "kind": "vote", "votes": 1, "members": MEMBERS}
REST = {
    "name": "shut in",
    "while": {"all": [{"sensor_id": "n2", "above": 30.0}, {"not": {"sensor_id": "n1", "rule": "low"}}]},
    "alarms": [{"sensor_id": "n1", "rules": ["low"]}],
}


async def put(web: Web, headers: dict[str, str], **body: Any) -> Any:
    return await web.client.put("/groups/facility/n", headers=headers, json=body)


async def test_groups_are_set_as_a_whole_and_keep_their_numbers(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.database.execute("INSERT INTO facility_epochs VALUES ('n', 0)")
        await web.sensor("n1", "n")
        await web.sensor("n2", "n")
        user_id, editor, _ = await web.user("eve", ("n", "Edit"))
        empty = (await web.client.get("/groups/facility/n", headers=editor)).json()
        assert empty == {"facility_id": "n", "groups": [], "rests": [], "versions": []}
        answer = await put(web, editor, groups=[VOTE], rests=[REST])
        assert answer.status_code == 200, answer.text
        (group,) = answer.json()["groups"]
        assert group["no"] > 0
        again = (await put(web, editor, groups=[VOTE], rests=[REST])).json()
        (version,) = again["versions"]
        assert version["set_by"] == f"user:{user_id}", "the same again is no version"
        assert (await put(web, editor)).json()["groups"] == []
        (back,) = (await put(web, editor, groups=[{**VOTE, "votes": 2}], rests=[REST])).json()["groups"]
        assert back["no"] == group["no"]
        historian = await Historian.open(database_url, web.settings, SystemClock())
        try:
            state = await historian.load("n")
        finally:
            await historian.close()
        assert state is not None
        native.check_groups(json.dumps(state.groups))
        core = native.FacilityCore("n", "{}")
        config = config_payload(state.sensors, facility_name="n", groups=state.groups, at_us=1_767_225_600_000_000)
        told = {event.alarm_key for event in core.apply("config", config).events}
        assert told == {f"{group['no']}:vote_degraded", f"{group['no']}:vote_lost"}


async def test_what_is_wrong_is_refused(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        await web.sensor("n2", "n")
        _, editor, _ = await web.user("eve", ("n", "Edit"))
        _, viewer, _ = await web.user("vic", ("n", "View"))
        assert (await put(web, viewer, groups=[VOTE])).status_code == 403
        for wrong, said in (
            ({**VOTE, "votes": 3}, "votes is 3"),
            ({**VOTE, "members": [MEMBERS[0]] * 2}, "stands twice"),
            ({**VOTE, "members": [{"sensor_id": "n9", "rules": ["high"]}]}, "no sensor 'n9'"),
            ({**VOTE, "members": [{"sensor_id": "n1", "rules": ["stale"]}]}, "about the measuring"),
        ):
            answer = await put(web, editor, groups=[wrong])
            assert answer.status_code == 422 and said in answer.text, answer.text
        assert (await put(web, editor, groups=[VOTE, VOTE])).status_code == 422
        assert (await web.client.get("/groups/facility/n", headers=viewer)).json()["versions"] == []


async def test_limits_are_those_of_the_core(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        for name in ("n1", "n2", "n3"):
            await web.sensor(name, "n")
        _, editor, _ = await web.user("eve", ("n", "Edit"))
        for name in ("x" * 200, "ü" * 100):
            named = {"groups": [{**VOTE, "name": name}], "rests": [{**REST, "name": name}]}
            answer = await put(web, editor, **named)
            assert answer.status_code == 200 and answer.json()["groups"][0]["name"] == name, answer.text
        for part, one in (("groups", VOTE), ("rests", REST)):
            answer = await put(web, editor, **{part: [{**one, "name": "ü" * 100 + "x"}]})
            assert answer.status_code == 422 and "a name of 201 bytes; 200 are the most" in answer.text
        third = {"sensor_id": "n3", "rules": ["high"]}
        many = [{**VOTE, "name": f"Hall {number}", "members": [*MEMBERS, third]} for number in range(201)]
        assert len((await put(web, editor, groups=many[:200])).json()["groups"]) == 200
        for part, too_many in (("groups", many), ("rests", [REST] * 201)):
            answer = await put(web, editor, **{part: too_many})
            assert answer.status_code == 422 and "at most 200" in answer.text, answer.text
