"""Versions of alarm rules and groups over REST: who set what when and why, and what held at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres

BACK_DATE = "UPDATE {} SET set_at = set_at - make_interval(days => {}) WHERE id = {}"


def high(limit: float, **more: Any) -> dict[str, Any]:
    return {"rules": [{"rule": "high", "limit": limit}], **more}


async def answered(web: Web, headers: dict[str, str], path: str, **query: Any) -> Any:
    answer = await web.client.get(path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def put(web: Web, headers: dict[str, str], path: str, body: Any) -> Any:
    answer = await web.client.put(path, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def limit_of(rules: Any) -> float:
    (found,) = [rule["limit"] for rule in rules["in_force"] if rule["rule"] == "high"]
    return float(found)


async def test_every_version_is_kept_with_who_when_and_why(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.facility("elsewhere")
        await web.sensor("n1", "n")
        await web.sensor("n2", "n")
        user_id, editor, _ = await web.user("eve", ("n", "Edit"))
        assert await answered(web, editor, "/rule-history/sensor/n1") == []
        assert await answered(web, editor, "/rule-history/facility/n") == []
        await put(web, editor, "/rules/facility/n", high(30, sensor_type="Temperature", reason="summer"))
        await put(web, editor, "/rules/facility/n", high(90, sensor_type="Pressure"))
        for number in range(3):
            await put(web, editor, "/rules/sensor/n1", high(40 + number, reason=f"order {number}"))
        await put(web, editor, "/rules/sensor/n2", high(50))
        versions = await answered(web, editor, "/rule-history/sensor/n1")
        assert [(one["sensor_id"], one["sensor_type"], one["reason"]) for one in versions] == [
            ("n1", None, "order 2"), ("n1", None, "order 1"), ("n1", None, "order 0"), (None, "Temperature", "summer")
        ]  # fmt: skip
        assert versions[0]["valid_to"] is None and versions[-1]["valid_to"] is None
        assert [one["valid_to"] for one in versions[1:3]] == [one["valid_from"] for one in versions[:2]]
        assert {(one["set_by"], one["set_by_name"]) for one in versions} == {(f"user:{user_id}", "eve")}
        assert [one["settings"]["rules"][0]["limit"] for one in versions] == [42, 41, 40, 30]
        assert {one["effective_from"] for one in versions} == {None}
        of_types = await answered(web, editor, "/rule-history/facility/n")
        assert [one["sensor_type"] for one in of_types] == ["Pressure", "Temperature"]
        assert (await web.client.get("/audit", headers=await web.admin())).json()["entries"][1]["after"]["reason"] == (
            "order 2"
        )

        part = await web.client.get("/rule-history/sensor/n1", headers=editor, params={"skip": 1, "limit": 2})
        assert part.json() == versions[1:3] and part.headers["X-Total-Count"] == "4"
        rest = await web.client.get(part.headers["Link"].split(">")[0][1:], headers=editor)
        assert rest.json() == versions[3:] and "Link" not in rest.headers
        for path, refused in (("/rule-history/facility/elsewhere", 403), ("/rule-history/sensor/absent", 404)):
            assert (await web.client.get(path, headers=editor)).status_code == refused


async def test_what_held_at_a_moment(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        admin = await web.admin()
        by_itself = limit_of(await answered(web, admin, "/rules/sensor/n1"))
        await put(web, admin, "/rules/facility/n", high(30, sensor_type="Temperature"))
        await put(web, admin, "/rules/sensor/n1", high(40))
        await put(web, admin, "/rules/sensor/n1", high(41))
        for version, days in ((1, 30), (2, 20), (3, 10)):
            await web.database.execute(BACK_DATE.format("sensor_rules", days, version))
        now = datetime.now(UTC)
        held = {}
        for days in (31, 29, 19, 9):
            at = (now - timedelta(days=days)).isoformat()
            found = await answered(web, admin, "/rules/sensor/n1", at=at)
            held[days] = limit_of(found), len(found["versions"])
        assert held == {31: (by_itself, 0), 29: (30, 0), 19: (40, 1), 9: (41, 2)}
        of_type = await answered(web, admin, "/rules/facility/n", at=(now - timedelta(days=31)).date().isoformat())
        assert [limit_of(one) for one in of_type["types"]] == [by_itself]
        exactly = await web.database.fetchval("SELECT set_at FROM sensor_rules WHERE id = 3")
        for moment, limit in ((exactly, 41), (exactly - timedelta(microseconds=1), 40)):
            assert limit_of(await answered(web, admin, "/rules/sensor/n1", at=moment.isoformat())) == limit
        for path in ("/rules/sensor/n1", "/rules/facility/n", "/groups/facility/n"):
            for at in ((now + timedelta(minutes=1)).isoformat(), "yesterday"):
                assert (await web.client.get(path, headers=admin, params={"at": at})).status_code == 422


async def test_versions_of_groups(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        admin = await web.admin()
        assert await answered(web, admin, "/group-history/facility/n") == []
        vote = {"name": "hall", "kind": "vote", "votes": 1, "members": [{"sensor_id": "n1", "rules": ["high"]}]}
        await put(web, admin, "/groups/facility/n", {"groups": [vote], "reason": "order 4711"})
        await put(web, admin, "/groups/facility/n", {})
        await web.database.execute(BACK_DATE.format("facility_groups", 2, 1))
        newest, first = await answered(web, admin, "/group-history/facility/n")
        assert (first["reason"], first["valid_to"]) == ("order 4711", newest["valid_from"])
        assert (newest["reason"], newest["valid_to"], newest["settings"]["groups"]) == (None, None, [])
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        then = await answered(web, admin, "/groups/facility/n", at=yesterday)
        assert then["groups"] == first["settings"]["groups"] and len(then["versions"]) == 1
        assert await answered(web, admin, "/group-history/facility/n", skip=1) == [first]


async def test_what_is_put_holds_at_once_or_not_at_all(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await web.sensor("n1", "n")
        later = high(40, effective_from="2099-01-01T00:00:00Z")
        answer = await web.client.put("/rules/sensor/n1", headers=await web.admin(), json=later)
        assert answer.status_code == 422 and "/planned-rules/" in answer.text
        assert await web.database.fetchval("SELECT count(*) FROM sensor_rules") == 0
