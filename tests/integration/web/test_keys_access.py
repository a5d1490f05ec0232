"""What an API key opens, and when it no longer does. The whole walk of routes x callers is in test_matrix."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.web.harness import Web, web_server
from web.auth.keys import new_key

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("own", "shown", "foreign"):
            await running.facility(facility_id, f"Facility {facility_id}")
            number = await running.sensor(f"{facility_id} sensor", facility_id)
            await running.alert(facility_id, number, f"alert of {facility_id}")
        yield running


def with_key(key: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key']}"}


async def get(web: Web, path: str, key: dict[str, Any]) -> Any:
    answer = await web.client.get(path, headers=with_key(key))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def status(web: Web, method: str, path: str, key: dict[str, Any]) -> int:
    return (await web.client.request(method, path, headers=with_key(key), json={"name": "new"})).status_code


async def test_a_key_sees_its_facilities_and_no_other(web: Web) -> None:
    key = await web.api_key("report", ("own", "Edit"), ("shown", "View"))
    assert [one["id"] for one in await get(web, "/facilities", key)] == ["own", "shown"]
    assert [one["id"] for one in await get(web, "/sensors", key)] == ["own sensor", "shown sensor"]
    for path in ("/alerts", "/alerts/recent"):
        assert {one["message"] for one in await get(web, path, key)} == {"alert of own", "alert of shown"}
    assert (await get(web, "/dashboard", key))["metrics"]["total_sensors"] == 2
    assert [await status(web, "GET", f"/facilities/{name}", key) for name in ("own", "foreign", "absent")] == [
        200,
        403,
        404,
    ]
    assert [await status(web, "PUT", f"/facilities/{name}", key) for name in ("own", "shown", "foreign")] == [
        200,
        403,
        403,
    ]
    assert await status(web, "PUT", "/sensors/own sensor", key) == 200
    assert await web.database.fetchval("SELECT name FROM facilities WHERE id = 'shown'") == "Facility shown"
    entries = [json.loads(row["entry"]) for row in await web.database.fetch("SELECT entry FROM audit_log ORDER BY id")]
    by_key = [entry["subject"] for entry in entries if entry["actor"] == f"key:{key['id']}"]
    assert by_key == ["facility:own", "sensor:own sensor"]


async def test_a_key_is_nobodys_account_and_never_an_admin(web: Web) -> None:
    key = await web.api_key("report", ("own", "Edit"))
    me = await web.client.get("/users/me", headers=with_key(key))
    assert (me.status_code, me.json()) == (
        403,
        {"detail": "Not enough permissions: an API key has no account of its own"},
    )
    assert await status(web, "POST", "/auth/logout", key) == 403
    for method, path in (
        ("POST", "/api-keys"),
        ("GET", "/users"),
        ("GET", "/permissions"),
        ("POST", "/auth/impersonate/1"),
    ):
        assert await status(web, method, path, key) == 403, path
    refresh = await web.client.post("/auth/refresh-token", data={"refresh_token": key["key"]})
    assert refresh.status_code == 401


async def test_a_key_that_is_wrong_revoked_or_expired(web: Web) -> None:
    key, other = await web.api_key("one", ("own", "View")), await web.api_key("two", ("own", "View"))
    assert await status(web, "GET", "/facilities", key) == 200
    await web.client.delete(f"/api-keys/{key['id']}", headers=await web.admin())
    await web.database.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", other["id"])
    for text in (key["key"], other["key"], new_key().text, "gik_nonsense"):
        answer = await web.client.get("/facilities/absent", headers={"Authorization": f"Bearer {text}"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Could not validate credentials"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        with pytest.raises(InvalidStatus) as refused:
            await connect(web.ws("/ws/notifications", token=text))
        assert refused.value.response.status_code == 403
    listed = (await web.client.get("/api-keys", headers=await web.admin())).json()["api_keys"]
    assert [one["status"] for one in listed] == ["Revoked", "Expired"]


async def test_a_keys_rights_end_with_its_last_microsecond(web: Web) -> None:
    """Time stands still inside a transaction, so that both sides of the limit can be looked at."""
    key = await web.api_key("brief", ("own", "View"))
    found = []
    async with web.database.transaction():
        for left in ("-1 microsecond", "0", "1 microsecond"):
            await web.database.execute(
                "UPDATE api_keys SET expires_at = now() + $2::text::interval WHERE id = $1", key["id"], left
            )
            found.append(
                await web.database.fetchval(
                    "SELECT count(*) FROM facility_rights WHERE principal = $1", f"key:{key['id']}"
                )
            )
    assert found == [0, 0, 1]


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE api_keys SET revoked_at = now() WHERE id = $1",
        "UPDATE api_keys SET expires_at = now() WHERE id = $1",
        "DELETE FROM api_keys WHERE id = $1",
    ],
)
async def test_streams_close_when_their_key_ends_and_others_stay(web: Web, end: str) -> None:
    key, other = await web.api_key("one", ("own", "View")), await web.api_key("two", ("own", "View"))
    paths = ("/ws/sensor-data/own sensor", "/ws/notifications")
    ending = [await connect(web.ws(path.replace(" ", "%20"), token=key["key"])) for path in paths]
    async with connect(web.ws("/ws/sensor-data/own%20sensor", token=other["key"])) as staying:
        await web.database.execute(end, key["id"])
        for socket in ending:
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(5):
                    await socket.recv()
            assert socket.close_code == 1008
        frames = web.feed.publish("own", ("own sensor", "2026-11-22T10:15:00", "1.00"))
        assert await staying.recv() == frames[0]


async def test_a_ticket_is_worth_no_more_than_its_key(web: Web) -> None:
    key = await web.api_key("one", ("own", "View"))
    tickets = [(await web.client.post("/ws/tickets", headers=with_key(key))).json()["ticket"] for _ in range(2)]
    async with connect(web.ws("/ws/sensor-data/own%20sensor", ticket=tickets[0])):
        await web.client.delete(f"/api-keys/{key['id']}", headers=await web.admin())
    with pytest.raises(InvalidStatus) as refused:
        await connect(web.ws("/ws/sensor-data/own%20sensor", ticket=tickets[1]))
    assert refused.value.response.status_code == 403


async def test_alerts_reach_a_key_from_its_own_facilities(web: Web) -> None:
    key = await web.api_key("alerts", ("own", "View"))
    numbers = {row["facility_id"]: row["sensor_no"] for row in await web.database.fetch("SELECT * FROM sensors")}
    async with connect(web.ws("/ws/notifications", token=key["key"])) as socket:
        await web.alert("foreign", numbers["foreign"], "not this")
        await web.alert("own", numbers["own"], "this")
        assert '"this"' in str(await socket.recv())


async def test_when_a_key_was_used_is_written_once_a_minute(web: Web) -> None:
    key = await web.api_key("report", ("own", "View"))

    async def after_use(last_used: str) -> bool:
        """Whether a use now is written when the last one was then."""
        await web.database.execute(f"UPDATE api_keys SET last_used_at = {last_used}")
        before = await web.database.fetchval("SELECT last_used_at FROM api_keys")
        await get(web, "/facilities", key)
        return bool(before != await web.database.fetchval("SELECT last_used_at FROM api_keys"))

    assert await after_use("NULL")
    assert await after_use("now() - interval '61 seconds'")
    assert not await after_use("now() - interval '30 seconds'")
    await web.client.get("/facilities", headers={"Authorization": f"Bearer {new_key().text}"})
    assert (await web.client.get(f"/api-keys/{key['id']}", headers=await web.admin())).json()["last_used_at"]


async def test_a_key_outlives_its_maker(web: Web) -> None:
    admin = await web.admin()
    body = {"username": "ann", "email": "ann@plant.example", "password": "pw ann", "role": "Admin"}
    maker = (await web.client.post("/users", headers=admin, json=body)).json()
    pair = await web.sign_in("ann", "pw ann")
    made = await web.client.post(
        "/api-keys",
        headers={"Authorization": f"Bearer {pair['access_token']}"},
        json={"name": "kept", "facilities": [{"facility_id": "own", "permission_type": "View"}]},
    )
    assert made.json()["created_by"] == maker["id"]
    await web.client.delete(f"/users/{maker['id']}", headers=admin)
    assert [one["id"] for one in await get(web, "/facilities", made.json())] == ["own"]
    listed = (await web.client.get(f"/api-keys/{made.json()['id']}", headers=admin)).json()
    assert (listed["created_by"], listed["created_by_name"]) == (None, "ann")


async def test_a_key_never_reaches_a_log(
    web: Web, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key = await web.api_key("report", ("own", "View"))
    await get(web, "/facilities", key)
    async with connect(web.ws("/ws/notifications", token=key["key"])):
        pass
    await web.client.delete(f"/api-keys/{key['id']}", headers=await web.admin())
    assert await status(web, "GET", f"/facilities/own?token={key['key']}", key) == 401
    with pytest.raises(InvalidStatus):
        await connect(web.ws("/ws/notifications", token=key["key"]))
    told = "".join(capsys.readouterr()) + caplog.text
    assert "/facilities" in told, "there is an access log to look at"
    assert key["key"].rpartition("_")[2][:16] not in told
