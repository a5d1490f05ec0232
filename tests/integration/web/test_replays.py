"""Replays over REST: who may ask for what, what is refused, and what is told of one that the engine works at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.historian.replays import ATTEMPTS_MAX
from engine.replay.documents import kept_document
from engine.replay.values import Difference, FacilityResult, Figures
from tests.integration.web.harness import Web, web_server
from web.api.replays import KEPT, KEPT_PER_CALLER_MAX, UNDER_WAY_MAX, UNDER_WAY_PER_CALLER_MAX
from web.contract.replay_shapes import FACILITIES_MAX, PERIOD_MAX, PROPOSALS_MAX

pytestmark = pytest.mark.postgres
PERIOD = {"start_date": "2026-11-01", "end_date": "2026-11-07"}
LIMIT = {"rules": {"rules": [{"rule": "high", "limit": 24}]}}
NONE = Figures(0, {}, ())
CALM = {"same": 2, "added": 0, "removed": 0, "earlier": 0, "later": 0, "changed": 0}
Headers = dict[str, str]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("north", "south"):
            await running.facility(facility_id)
            await running.sensor(f"{facility_id} t", facility_id)
        yield running


@pytest_asyncio.fixture
async def engine(web: Web) -> AsyncIterator[Historian]:
    assert web.settings.postgresql_url is not None
    historian = await Historian.open(web.settings.postgresql_url, web.settings, SystemClock())
    yield historian
    await historian.close()


async def asked(web: Web, headers: Headers, *facility_ids: str, **body: Any) -> httpx.Response:
    wanted = {**PERIOD, **body}
    query = {"facility_id": list(facility_ids or ("north",))}
    return await web.client.post("/replays", headers=headers, params=query, json=wanted)


async def made(web: Web, headers: Headers, *facility_ids: str, **body: Any) -> str:
    answer = await asked(web, headers, *facility_ids, **body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def read(web: Web, headers: Headers, replay_id: str) -> dict[str, Any]:
    answer = await web.client.get(f"/replays/{replay_id}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def text_of(after: timedelta) -> str:
    """So long after the beginning of PERIOD."""
    return f"{datetime(2026, 11, 1, tzinfo=UTC) + after:%Y-%m-%dT%H:%M:%S.%f}"


def result(facility_id: str, *differences: Difference) -> FacilityResult:
    alarms = {**CALM, "added": len(differences)}
    others = {"same": 1, "added": 0, "removed": 0, "changed": 0}
    after = Figures(len(differences), {"high": len(differences)}, (("1:high", len(differences)),))
    return FacilityResult(facility_id, 0, 10, None, 5, 2, alarms, others, NONE, after, (), "c", differences)


async def test_a_replay_is_told_of_from_its_asking_to_its_result(web: Web, engine: Historian) -> None:
    _, ann, _ = await web.user("ann", ("north", "View"), ("south", "View"))
    proposal = {"sensor_id": "north t", **LIMIT}
    rest = {
        "name": "off",
        "while": {"not": {"sensor_id": "south t", "above": 2}},
        "alarms": vote(1, "south t")["members"],
    }
    groups = {"facility_id": "south", "groups": {"groups": [vote(1, "south t")], "rests": [rest]}}
    answer = await asked(web, ann, "north", "south", "north", proposals=[proposal, groups])
    told = answer.json()
    (shown,) = told["proposals"][1]["groups"]["rests"]
    assert shown["while"]["not"]["above"] == 2
    assert told["facility_ids"] == ["north", "south"]
    assert (told["state"], told["progress"], told["settings"], told["asked_by_name"]) == ("queued", 0, "today", "ann")
    assert (told["start_date"], told["end_date"]) == ("2026-11-01T00:00:00", "2026-11-08T00:00:00")
    (rule,) = told["proposals"][0]["rules"]["rules"]
    assert (rule["rule"], rule["limit"], rule["priority"]) == ("high", 24, None)

    first, second = await engine.replays.claim(9)
    assert (first.facility_id, second.facility_id) == ("north", "south")
    assert await engine.replays.claim(9) == []
    assert await engine.replays.tell(first, 0.5, 70)
    await engine.replays.sum_up(0)
    found = await read(web, ann, told["id"])
    assert (found["state"], found["progress"], found["readings"]) == ("running", 0.25, 70)
    assert [part["state"] for part in found["parts"]] == ["running", "running"]
    assert (found["is_same"], found["alarms"], found["checksum"]) == (None, None, None)

    added = Difference("added", True, "1:high", "high", "activated", "high", "too high", None, 1_500_000)
    await engine.replays.end(first, kept_document(result("north", added)), 80)
    await engine.replays.fail(second, "there is no log")
    await engine.replays.sum_up(1_000_000)
    found = await read(web, ann, told["id"])
    assert (found["state"], found["progress"], found["readings"], found["is_same"]) == ("failed", 1, 80, None)
    assert found["ended_at"] == "1970-01-01T00:00:01"
    assert [(part["state"], part["problem"]) for part in found["parts"]] == [
        ("done", None),
        ("failed", "there is no log"),
    ]
    north = found["parts"][0]["result"]
    assert (north["is_same"], north["differences_total"], north["alarms"]["added"]) == (False, 1, 1)
    assert north["after"]["most_frequent"] == [{"alarm_id": "1:high", "alarms": 1}]
    assert north["differences"][0] == {
        "kind": "added", "is_alarm": True, "alarm_id": "1:high", "sensor_id": "north t", "rule": "high",
        "transition": "activated", "priority": "high", "message": "too high", "stored_at": None,
        "replayed_at": "1970-01-01T00:00:01.500000", "seconds": None, "fields": [],
    }  # fmt: skip


async def test_all_done_is_summed_up_for_who_may_still_see_all(web: Web, engine: Historian) -> None:
    user_id, ann, _ = await web.user("ann", ("north", "View"), ("south", "View"))
    replay_id = await made(web, ann, "north", "south")
    for part in await engine.replays.claim(9):
        await engine.replays.end(part, kept_document(result(part.facility_id)), 5)
    await engine.replays.sum_up(0)
    found = await read(web, ann, replay_id)
    assert (found["state"], found["is_same"], found["alarms"]["same"], len(found["checksum"])) == ("done", True, 4, 64)
    await web.database.execute("DELETE FROM permissions WHERE user_id = $1 AND facility_id = 'south'", user_id)
    found = await read(web, ann, replay_id)
    assert [part["facility_id"] for part in found["parts"]] == ["north"]
    assert (found["is_same"], found["alarms"], found["checksum"]) == (None, None, None)


async def test_everybody_sees_their_own_and_an_admin_all(web: Web) -> None:
    _, ann, _ = await web.user("ann", ("north", "View"))
    _, bob, _ = await web.user("bob", ("north", "View"))
    of_ann, of_bob = await made(web, ann), await made(web, bob)

    async def listed(headers: Headers, **query: Any) -> list[str]:
        answer = await web.client.get("/replays", headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["replays"]]

    admin = await web.admin()
    assert (await listed(ann), await listed(bob)) == ([of_ann], [of_bob])
    assert await listed(admin) == [of_bob, of_ann]
    assert await listed(admin, limit=1, skip=1) == [of_ann]
    for method in ("GET", "DELETE"):
        for unknown in (of_bob, "none", "%00"):
            answer = await web.client.request(method, f"/replays/{unknown}", headers=ann)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Replay not found"})
    assert (await web.client.delete(f"/replays/{of_bob}", headers=admin)).json()["state"] == "cancelled"


async def test_a_cancelled_one_takes_nothing_more_and_is_forgotten_when_it_is_deleted(
    web: Web, engine: Historian
) -> None:
    admin = await web.admin()
    replay_id = await made(web, admin)
    (part,) = await engine.replays.claim(9)
    assert (await web.client.delete(f"/replays/{replay_id}", headers=admin)).json()["state"] == "cancelled"
    assert not await engine.replays.tell(part, 0.9, 1)
    await engine.replays.sum_up(0)
    found = await read(web, admin, replay_id)
    assert (found["state"], found["parts"][0]["state"], found["progress"]) == ("cancelled", "cancelled", 0)
    assert found["ended_at"] is not None
    again = await made(web, admin)
    await web.client.delete(f"/replays/{again}", headers=admin)
    assert await engine.replays.claim(9) == [], "nobody begins what is cancelled"
    assert (await web.client.delete(f"/replays/{replay_id}", headers=admin)).json()["state"] == "cancelled"
    assert (await web.client.get(f"/replays/{replay_id}", headers=admin)).status_code == 404


async def test_a_part_whose_process_ended_is_begun_again_so_often_and_the_older_one_writes_no_more(
    web: Web, engine: Historian
) -> None:
    admin = await web.admin()
    replay_id = await made(web, admin)
    (old,) = await engine.replays.claim(9)
    await engine.replays.begin_again()
    (part,) = await engine.replays.claim(9)
    assert (old.attempt, part.attempt) == (1, 2)
    assert not await engine.replays.tell(old, 1, 1)
    await engine.replays.end(old, {}, 1)
    for _ in range(ATTEMPTS_MAX - 2):
        await engine.replays.put_back(part)
        (part,) = await engine.replays.claim(9)
    await engine.replays.put_back(part)
    assert await engine.replays.claim(9) == []
    await engine.replays.sum_up(0)
    found = await read(web, admin, replay_id)
    assert found["state"] == "failed" and f"begun {ATTEMPTS_MAX} times" in found["parts"][0]["problem"]


async def test_small_replays_do_not_wait_behind_a_large_one(web: Web, engine: Historian) -> None:
    _, ann, _ = await web.user("ann", ("north", "View"), ("south", "View"))
    large, small = await made(web, ann, "north", "south"), await made(web, await web.admin())
    assert [part.replay_id for part in await engine.replays.claim(2)] == [large, small]


async def test_what_goes_with_a_facility_ends_the_replay(web: Web, engine: Historian) -> None:
    admin = await web.admin()
    replay_id = await made(web, admin)
    await web.database.execute("DELETE FROM sensors; DELETE FROM facilities")
    await engine.replays.sum_up(0)
    found = await read(web, admin, replay_id)
    assert (found["state"], found["parts"], found["is_same"]) == ("failed", [], None)


async def test_results_are_kept_for_their_time(web: Web, engine: Historian) -> None:
    admin = await web.admin()
    replay_id = await made(web, admin)
    expires, asked_at = await web.database.fetchrow("SELECT expires_at, asked_at FROM replays")
    assert expires - asked_at == KEPT
    at_us = round(expires.timestamp() * 1e6)
    await engine.replays.forget(at_us - 2)
    assert await web.database.fetchval("SELECT count(*) FROM replays") == 1
    await web.database.execute("UPDATE replays SET expires_at = now()")
    assert (await web.client.get(f"/replays/{replay_id}", headers=admin)).status_code == 404
    await engine.replays.forget(at_us + 2)
    assert await web.database.fetchval("SELECT count(*) FROM replay_parts") == 0


def vote(votes: int, sensor_id: str = "north t") -> dict[str, Any]:
    return {"name": "hall", "kind": "vote", "votes": votes, "members": [{"sensor_id": sensor_id, "rules": ["high"]}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"end_date": "2026-10-30"}, "is not after start_date"),
    ({"end_date": text_of(PERIOD_MAX + timedelta(microseconds=1))}, "more than 35 days"),
    ({"proposals": [{"sensor_id": "south t", **LIMIT}]}, "no facility that is replayed has a sensor"),
    ({"proposals": [{"facility_id": "south", "rules": {"sensor_type": "Flow", "rules": []}}]}, "is not replayed"),
    ({"proposals": [{"sensor_id": "north t"}]}, "neither rules nor detection"),
    ({"proposals": [{**LIMIT}]}, "not exactly one"),
    ({"proposals": [{"sensor_id": "north t", "rules": {"rules": [{"rule": "high", "deadband": -1}]}}]}, "deadband"),
    ({"proposals": [{"facility_id": "north", "groups": {"groups": [vote(9)]}}]}, "votes is 9"),
    ({"proposals": [{"facility_id": "north", "groups": {"groups": [vote(1, "south t")]}}]}, "no sensor 'south t'"),
    ({"proposals": [{"sensor_id": "north t", "detection": {"budget_days": 0}}]}, "greater than or equal"),
    ({"proposals": [{"sensor_id": "north t", **LIMIT}] * (PROPOSALS_MAX + 1)}, f"at most {PROPOSALS_MAX} items"),
]


async def test_what_cannot_be_replayed_so_is_said_at_once(web: Web) -> None:
    admin = await web.admin()
    for body, said in REFUSED:
        answer = await asked(web, admin, **body)
        assert (answer.status_code, said in answer.text) == (422, True), answer.text
    assert await web.database.fetchval("SELECT count(*) FROM replays") == 0


async def test_each_limit_has_two_sides(web: Web, engine: Historian) -> None:
    admin = await web.admin()
    facility_ids = [f"f{number}" for number in range(FACILITIES_MAX + 1)]
    for facility_id in facility_ids:
        await web.facility(facility_id)
    assert (await asked(web, admin, *facility_ids)).status_code == 422
    longest = text_of(PERIOD_MAX)
    many = [{"sensor_id": "f t", **LIMIT}] * PROPOSALS_MAX
    await web.sensor("f t", "f0")
    await made(web, admin, *facility_ids[:-1], end_date=longest, proposals=many)
    none = await web.client.post("/replays", headers=admin, json=PERIOD)
    assert none.status_code == 422

    await made(web, admin)
    refused = await asked(web, admin)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
    assert f"at most {UNDER_WAY_PER_CALLER_MAX} and {UNDER_WAY_MAX}" in refused.json()["detail"]
    await _others(web, UNDER_WAY_MAX - 3)
    _, ann, _ = await web.user("ann", ("north", "View"))
    await made(web, ann)
    assert (await asked(web, ann)).status_code == 429, "as many as the server works at"

    await web.database.execute("UPDATE replays SET state = 'done'")
    await _others(web, KEPT_PER_CALLER_MAX - 3, "user:1", "done")
    await made(web, admin)
    await web.database.execute("UPDATE replays SET state = 'done'")
    full = await asked(web, admin)
    assert full.status_code == 429 and "are kept" in full.json()["detail"]


async def _others(web: Web, number: int, who: str = "user:77", state: str = "running") -> None:
    wanted = json.dumps({"from_us": 0, "until_us": 1, "basis": "then", "proposals": []})
    await web.database.execute(
        """INSERT INTO replays (id, asked_by, asked_by_name, facility_ids, wanted, expires_at, state)
           SELECT gen_random_uuid()::text, $2, 'bob', '{north}', $4::text::jsonb, $5, $3 FROM generate_series(1, $1)""",
        number,
        who,
        state,
        wanted,
        datetime.now(UTC) + timedelta(days=1),
    )


async def test_an_api_key_may_ask_and_what_is_asked_for_is_audited(web: Web) -> None:
    key = await web.api_key("review", ("north", "View"))
    headers = {"Authorization": f"Bearer {key['key']}"}
    replay_id = await made(web, headers)
    assert (await asked(web, headers, "north", "south")).status_code == 403
    assert (await asked(web, headers, "north", "nowhere")).status_code == 404
    entry = json.loads(await web.database.fetchval("SELECT entry FROM audit_log ORDER BY id DESC LIMIT 1"))
    assert (entry["action"], entry["subject"]) == ("replay.created", f"replay:{replay_id}")
    assert entry["after"] == {
        "facility_ids": ["north"], "settings": "then", "proposals": 0,
        "start_date": "2026-11-01T00:00:00Z", "end_date": "2026-11-08T00:00:00Z",
    }  # fmt: skip
