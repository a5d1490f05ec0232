"""Alarms as they are now, their journal, and what people ask of them; the engine's part is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.web.harness import PAST, Web, web_server

pytestmark = pytest.mark.postgres

SHELF = {"command": "shelve", "reason": "calibration", "until": "2026-11-22T18:00:00Z"}


@asynccontextmanager
async def plant(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Web, int]]:
    """Two facilities with a sensor each; the number of the first one's."""
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n", name="North")
        await web.facility("s", name="South")
        number = await web.sensor("n1", "n")
        await web.sensor("s1", "s")
        yield web, number


async def ask(web: Web, headers: dict[str, str], facility_id: str = "n", **body: Any) -> httpx.Response:
    return await web.client.post(f"/alarm-commands/{facility_id}", headers=headers, json={"wait_s": 0, **body})


async def ids(web: Web, headers: dict[str, str], **query: str) -> list[str]:
    answer = await web.client.get("/alarms", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return [f"{one['facility_id']} {one['id']}" for one in answer.json()]


async def test_alarms_that_are_not_normal_are_listed_and_counted(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, number):
        high, low = f"{number}:high", f"{number}:low"
        await web.alarm("n", high, number)
        await web.alarm("n", low, number, active=False, acknowledged=True)
        until = PAST + timedelta(hours=1)
        shelved: dict[str, Any] = {"suppression": "shelved", "suppressed_until": until, "suppressed_by": "user:1"}
        await web.alarm("n", "facility:silent", priority="critical", **shelved)
        await web.alarm("s", "facility:silent", suppression="out_of_service", active=False, acknowledged=True)
        await web.alarm("s", "facility:facility_anomaly", active=False)
        admin = await web.admin()
        _, viewer, _ = await web.user("vera", ("n", "View"))
        assert await ids(web, admin) == [
            "s facility:facility_anomaly",
            "s facility:silent",
            "n facility:silent",
            f"n {high}",
        ]
        assert await ids(web, viewer) == ["n facility:silent", f"n {high}"]
        assert await ids(web, admin, facility_id="s", suppression="out_of_service") == ["s facility:silent"]
        assert await ids(web, admin, alarm_state="normal") == [f"n {low}"]
        assert await ids(web, admin, alarm_state="returned_unacknowledged") == ["s facility:facility_anomaly"]
        assert await ids(web, admin, sensor_id="n1") == [f"n {high}"]
        assert await ids(web, admin, priority="critical") == ["n facility:silent"]
        assert await ids(web, admin, skip="1", limit="2") == ["s facility:silent", "n facility:silent"]
        (first,) = (await web.client.get("/alarms", headers=viewer, params={"sensor_id": "n1"})).json()
        assert first == {
            "id": high,
            "facility_id": "n",
            "facility_name": "North",
            "sensor_id": "n1",
            "sensor_name": "Sensor n1",
            "sensor_type": "Temperature",
            "rule": "high",
            "state": "unacknowledged",
            "active": True,
            "acknowledged": False,
            "acknowledged_at": None,
            "acknowledged_by": None,
            "suppression": "none",
            **dict.fromkeys(("suppressed_at", "suppressed_until", "suppressed_by", "suppression_reason")),
            "work_order": None,
            "assignee": None,
            "latched": False,
            "priority": "high",
            "since": "2026-01-01T00:00:00",
            "message": "too high",
            "value": 26.0,
            "limit": 25.0,
            "last_event_id": 1,
        }
        counts = (await web.client.get("/alarm-counts", headers=admin)).json()
        assert counts == {
            "active": 2,
            "unacknowledged": 1,
            "acknowledged": 0,
            "returned_unacknowledged": 1,
            "latched": 0,
            "shelved": 1,
            "by_design": 0,
            "out_of_service": 1,
        }
        of_viewer = (await web.client.get("/alarm-counts", headers=viewer)).json()
        assert (of_viewer["shelved"], of_viewer["out_of_service"]) == (1, 0)
        lines = (await web.client.get("/alarms", headers={**viewer, "Accept": "text/csv"})).text.splitlines()
        assert len(lines) == 3 and lines[0].startswith('"id","facility_id",')


async def test_an_alarm_has_its_history_and_is_found_in_its_facility_only(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        await web.alarm("n", "facility:silent")
        _, viewer, _ = await web.user("vera", ("n", "View"))
        answer = await web.client.get("/alarms/facility:silent", headers=viewer, params={"facility_id": "n"})
        assert answer.json()["alarm"]["state"] == "unacknowledged"
        assert [one["transition"] for one in answer.json()["history"]] == ["activated"]
        for alarm_id, facility_id, status in (
            ("facility:silent", "s", 403),
            ("facility:silent", "absent", 404),
            ("facility:stuck", "n", 404),
            ("%00", "n", 404),
            ("facility:silent", "", 422),
        ):
            query = {"facility_id": facility_id}
            refused = await web.client.get(f"/alarms/{alarm_id}", headers=viewer, params=query)
            assert refused.status_code == status, (alarm_id, facility_id, refused.text)


async def test_the_journal_goes_on_after_an_id_in_either_order(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, number):
        for hour in range(5):
            facility_id, alarm_id, of = (
                ("s", "facility:silent", None) if hour == 2 else ("n", f"{number}:r{hour}", number)
            )
            await web.alarm(facility_id, alarm_id, of, since=PAST + timedelta(hours=hour))
        _, viewer, _ = await web.user("vera", ("n", "View"))

        async def read(**query: Any) -> tuple[list[int], Any, str]:
            answer = await web.client.get("/journal", headers=viewer, params=query)
            assert answer.status_code == 200, answer.text
            return (
                [one["id"] for one in answer.json()["journal"]],
                answer.json()["next"],
                answer.headers.get("Link", ""),
            )

        assert await read() == ([1, 2, 4, 5], None, "")
        part, following, link = await read(limit=2)
        assert (part, following) == ([1, 2], 2) and "after=2" in link
        assert await read(limit=2, after=2) == ([4, 5], None, "")
        assert (await read(limit=3, order="desc"))[:2] == ([5, 4, 2], 2)
        assert (await read(limit=3, order="desc", after=2))[:2] == ([1], None)
        assert (await read(start_date="2026-01-01T01:00", end_date="2026-01-01T03:00"))[0] == [2, 4]
        assert (await read(alarm_id=f"{number}:r4"))[0] == [5]
        assert (await read(facility_id="n", sensor_id="n1"))[0] == [1, 2, 4, 5]
        assert (await read(sensor_id="s1"))[0] == []


async def test_a_command_is_written_once_with_its_row_of_the_audit_log(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        user_id, editor, _ = await web.user("eve", ("n", "Edit"))
        await web.alarm("n", "facility:silent")
        heard: list[str] = []
        listener = await asyncpg.connect(database_url)
        await listener.add_listener("alarm_commands", lambda *message: heard.append(str(message[3])))
        first = await ask(web, editor, alarm_id="facility:silent", command_id="a", work_order="ignored", **SHELF)
        assert first.status_code == 202
        assert first.json()["state"] == "waiting" and first.json()["alarm"]["state"] == "unacknowledged"
        again = await ask(web, editor, alarm_id="facility:silent", command_id="a", work_order="ignored", **SHELF)
        assert (again.status_code, again.json()) == (202, first.json())
        row = dict(await web.database.fetchrow("SELECT * FROM alarm_commands"))
        asked_at = row.pop("asked_at")
        assert abs(asked_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert row == {
            "id": 1,
            "command_id": "a",
            "facility_id": "n",
            "alarm_key": "facility:silent",
            "command": "shelve",
            "actor": f"user:{user_id}",
            "actor_name": "eve",
            "reason": "calibration",
            "until": datetime(2026, 11, 22, 18, tzinfo=UTC),
            "assignee": None,
            "work_order": "ignored",
            "verdict": None,
            "about_event_id": None,
            "state": "waiting",
            "refusal": "",
            "decided_at": None,
        }
        audited = (await web.client.get("/audit", headers=await web.admin(), params={"limit": 1})).json()["entries"][0]
        assert (audited["action"], audited["subject"], audited["actor"]) == (
            "alarm.commanded",
            "alarm:n:facility:silent",
            f"user:{user_id}",
        )
        assert audited["after"]["reason"] == "calibration"
        assert await web.database.fetchval("SELECT count(*) FROM audit_log WHERE entry LIKE '%alarm.commanded%'") == 1
        for _ in range(100):
            if heard:
                break
            await asyncio.sleep(0.01)
        assert heard == ["n"]
        await listener.close()
        for other in (
            {"alarm_id": "facility:stuck", **SHELF},
            {"alarm_id": "facility:silent", **SHELF, "reason": "another"},
            {"alarm_id": "facility:silent", "command": "acknowledge"},
        ):
            taken = await ask(web, editor, command_id="a", **other)
            assert taken.status_code == 409, taken.text
        _, other_editor, _ = await web.user("odo", ("s", "Edit"))
        assert (
            await ask(web, other_editor, "s", alarm_id="facility:silent", command_id="a", **SHELF)
        ).status_code == 409


async def test_whoever_waits_hears_what_came_of_it(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        _, editor, _ = await web.user("eve", ("n", "Edit"))
        body: dict[str, Any] = {"alarm_id": "facility:silent", "command": "acknowledge", "wait_s": 20}

        async def asked_and_decided(command_id: str, refusal: str | None) -> httpx.Response:
            asking = asyncio.create_task(ask(web, editor, command_id=command_id, **body))
            while not await web.database.fetchval("SELECT count(*) FROM alarm_commands WHERE state = 'waiting'"):
                await asyncio.sleep(0.01)
            await web.decide(refusal)
            return await asyncio.wait_for(asking, 5)

        done = await asked_and_decided("a", None)
        assert (done.status_code, done.json()) == (200, {"command_id": "a", "state": "done", "alarm": None})
        refused = await asked_and_decided("b", "no sensor has the number 9")
        assert (refused.status_code, refused.json()) == (409, {"detail": "no sensor has the number 9"})
        for command_id, answer in (("a", done), ("b", refused)):
            again = await ask(web, editor, command_id=command_id, **body)
            assert (again.status_code, again.json()) == (answer.status_code, answer.json())


async def test_two_of_the_same_kind_have_moments_of_their_own(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        _, editor, _ = await web.user("eve", ("n", "Edit"))
        comment = {"alarm_id": "facility:silent", "command": "comment", "reason": "seen"}
        answers = await asyncio.gather(*(ask(web, editor, **comment) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {202}
        rows = await web.database.fetch("SELECT id, asked_at FROM alarm_commands ORDER BY asked_at")
        assert len({row["asked_at"] for row in rows}) == 8
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
        assert len({answer.json()["command_id"] for answer in answers}) == 8, "each was given an id of its own"


@pytest.mark.parametrize(
    "body",
    [
        {"command": "shelve", "reason": "calibration"},
        {"command": "shelve", "until": "2026-11-22T18:00:00Z"},
        {"command": "shelve", "reason": " ", "until": "2026-11-22T18:00:00Z"},
        {"command": "comment"},
        {"command": "out_of_service"},
        {"command": "assign"},
        {"command": "silence"},
        {"command": "acknowledge", "command_id": "a b"},
        {"command": "acknowledge", "command_id": "x" * 65},
        {"command": "acknowledge", "command_id": ""},
        {"command": "acknowledge", "reason": "x" * 1001},
        {"command": "acknowledge", "reason": "\u202e"},
        {"command": "acknowledge", "alarm_id": ""},
        {"command": "acknowledge", "alarm_id": "a\0"},
        {"command": "acknowledge", "wait_s": 31},
        {"command": "acknowledge", "wait_s": -1},
    ],
)
async def test_what_is_not_complete_is_not_written(database_url: str, tmp_path: Path, body: dict[str, Any]) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        admin = await web.admin()
        answer = await ask(web, admin, **{"alarm_id": "facility:silent", **body})
        assert answer.status_code == 422, answer.text
        assert await web.database.fetchval("SELECT count(*) FROM alarm_commands") == 0


async def test_as_long_as_may_be(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        answer = await ask(
            web,
            await web.admin(),
            alarm_id="x" * 200,
            command="comment",
            command_id="x" * 64,
            reason="x" * 1000,
            assignee="x" * 200,
            work_order="x" * 200,
        )
        assert answer.status_code == 202, answer.text


async def test_who_may_only_view_asks_for_nothing(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, _):
        _, viewer, _ = await web.user("vera", ("n", "View"), ("s", "Edit"))
        acknowledge = {"alarm_id": "facility:silent", "command": "acknowledge"}
        assert (await ask(web, viewer, **acknowledge)).status_code == 403
        assert (await ask(web, viewer, "absent", **acknowledge)).status_code == 404
        assert (await ask(web, viewer, "s", **acknowledge)).status_code == 202
        await web.database.execute("UPDATE facilities SET retired_at = now() WHERE id = 's'")
        refused = await ask(web, viewer, "s", **acknowledge)
        assert (refused.status_code, refused.json()["detail"]) == (409, "The facility is retired")


async def test_a_verdict_is_about_an_activation_of_its_alarm(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as (web, number):
        high, low = f"{number}:high", f"{number}:low"
        event_id = await web.alarm("n", high, number)
        other_id = await web.alarm("n", low, number)
        admin = await web.admin()
        verdict: dict[str, Any] = {"alarm_id": high, "command": "verdict", "verdict": "false", "reason": "a test gas"}
        for wrong in (
            {"event_id": other_id},
            {"event_id": 2**63 - 1},
            {"event_id": 2**63},
            {"event_id": 0},
            {},
            {"event_id": event_id, "verdict": "maybe"},
            {"event_id": event_id, "verdict": None},
        ):
            assert (await ask(web, admin, **{**verdict, **wrong})).status_code == 422, wrong
        assert (await ask(web, admin, **verdict, event_id=event_id)).status_code == 202
        (row,) = await web.database.fetch("SELECT command, verdict, about_event_id, reason FROM alarm_commands")
        assert tuple(row) == ("verdict", "false", event_id, "a test gas")
        comment: dict[str, Any] = {
            "alarm_id": high,
            "command": "comment",
            "reason": "r",
            "event_id": other_id,
            "verdict": "true",
        }
        assert (await ask(web, admin, **comment)).status_code == 202, "what a command does not need is ignored"


async def test_the_wall_lets_nobody_ask_in_the_name_of_others_or_decide(database_url: str, tmp_path: Path) -> None:
    insert = """INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name,
                                            reason, state, refusal)
                VALUES ('x', $1, 'k', 'acknowledge', now(), $2, 'n', '', $3, '')"""
    async with plant(database_url, tmp_path) as (web, _):
        user_id, _, _ = await web.user("eve", ("n", "Edit"), ("s", "View"))
        own = f"user:{user_id}"
        for facility_id, actor, state in (("s", own, "waiting"), ("n", "user:1", "waiting"), ("n", own, "done")):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_caller(web, own, insert, facility_id, actor, state)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_caller(web, own, "UPDATE alarm_commands SET state = 'done'")
        await as_caller(web, own, insert, "n", own, "waiting")


async def as_caller(web: Web, principal: str, statement: str, *arguments: object) -> None:
    async with web.database.transaction():
        await web.database.execute(f"SET LOCAL ROLE gasinsight_web; SET LOCAL gasinsight.principal = '{principal}'")
        await web.database.execute(statement, *arguments)
