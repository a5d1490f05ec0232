"""Websocket tickets: one use, thirty seconds, whoever asked for it, whichever web process it is shown to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.web.harness import HeldFeed, Web, app_beside_no_database, serving, web_server
from tests.integration.web.test_live import READING, received, status_of
from web.app import create_app

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        await running.sensor("s", "f")
        await running.facility("g")
        await running.sensor("far", "g")
        yield running


async def ticket(web: Web, headers: dict[str, str]) -> str:
    answer = await web.client.post("/ws/tickets", headers=headers)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"ticket", "expires_in"}
    assert answer.json()["expires_in"] == 30
    text: str = answer.json()["ticket"]
    assert text.replace("-", "").replace("_", "").isalnum(), "it is put into the URL raw"
    return text


async def test_a_ticket_opens_one_websocket(web: Web) -> None:
    _, kim, _ = await web.user("kim", ("f", "View"))
    first = await ticket(web, kim)
    async with connect(web.ws("/ws/sensor-data/s", ticket=first)) as socket:
        await web.feed.until_watched("f")
        frames = web.feed.publish("f", READING)
        assert await received(socket, 1) == frames
        assert await status_of(web.ws("/ws/sensor-data/s", ticket=first)) == 403
    assert await status_of(web.ws("/ws/notifications", ticket=first)) == 403
    async with connect(web.ws("/ws/notifications", ticket=await ticket(web, kim))):
        pass


async def test_a_ticket_gives_no_more_than_its_holder_has(web: Web) -> None:
    user_id, kim, _ = await web.user("kim", ("f", "View"))
    assert await status_of(web.ws("/ws/sensor-data/far", ticket=await ticket(web, kim))) == 403
    assert (await web.client.post("/ws/tickets")).status_code == 401
    assert (
        await web.client.get("/users/me", headers={"Authorization": f"Bearer {await ticket(web, kim)}"})
    ).status_code == 401
    assert await status_of(web.ws("/ws/notifications", token=await ticket(web, kim))) == 403
    held = [await ticket(web, kim) for _ in range(3)]
    revoked = await web.client.get("/permissions", headers=await web.admin(), params={"user_id": user_id})
    await web.client.delete(f"/permissions/{revoked.json()[0]['id']}", headers=await web.admin())
    assert await status_of(web.ws("/ws/sensor-data/s", ticket=held[0])) == 403
    async with connect(web.ws("/ws/notifications", ticket=held[1])) as socket:
        await web.client.delete(f"/users/{user_id}", headers=await web.admin())
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()
    assert await status_of(web.ws("/ws/notifications", ticket=held[2])) == 403


async def test_an_admin_who_is_none_any_more_sees_what_a_user_sees(web: Web) -> None:
    user_id, kim, _ = await web.user("kim", ("f", "View"))
    admin = await web.admin()
    await web.client.put(f"/users/{user_id}", headers=admin, json={"role": "Admin"})
    held = await ticket(web, kim)
    await web.client.put(f"/users/{user_id}", headers=admin, json={"role": "User"})
    assert await status_of(web.ws("/ws/sensor-data/far", ticket=held)) == 403


async def test_an_api_key_gets_tickets_for_its_facilities(web: Web) -> None:
    made = await web.client.post(
        "/api-keys",
        headers=await web.admin(),
        json={"name": "notebook", "facilities": [{"facility_id": "f", "permission_type": "View"}]},
    )
    assert made.status_code == 200, made.text
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    async with connect(web.ws("/ws/sensor-data/s", ticket=await ticket(web, key))):
        pass
    assert await status_of(web.ws("/ws/sensor-data/far", ticket=await ticket(web, key))) == 403
    held = await ticket(web, key)
    await web.client.delete(f"/api-keys/{made.json()['id']}", headers=await web.admin())
    assert await status_of(web.ws("/ws/sensor-data/s", ticket=held)) == 403
    assert (await web.client.post("/ws/tickets", headers=key)).status_code == 401


async def test_a_login_that_ended_ends_its_tickets(web: Web) -> None:
    headers = await web.admin()
    held = await ticket(web, headers)
    await web.client.post("/auth/logout", headers=headers)
    assert await status_of(web.ws("/ws/notifications", ticket=held)) == 403


async def test_of_many_uses_at_once_in_two_processes_exactly_one_gets_in(web: Web, tmp_path: Path) -> None:
    admin = await web.admin()
    async with serving(create_app(web.settings, HeldFeed())) as other_port:
        for _ in range(5):
            held = await ticket(web, admin)

            async def attempt(port: int, text: str = held) -> int:
                try:
                    async with connect(f"ws://127.0.0.1:{port}/ws/notifications?ticket={text}"):
                        return 101
                except InvalidStatus as refused:
                    return refused.response.status_code

            codes = await asyncio.gather(*(attempt(port) for port in (web.port, other_port) for _ in range(5)))
            assert sorted(codes) == [101] + [403] * 9


async def test_a_ticket_lasts_thirty_seconds_by_the_databases_clock(web: Web) -> None:
    admin = await web.admin()
    held = await ticket(web, admin)
    left = await web.database.fetchval("SELECT extract(epoch FROM expires_at - now()) FROM ws_tickets")
    assert 0 < left <= 30
    await web.database.execute("UPDATE ws_tickets SET expires_at = now() - interval '1 millisecond'")
    assert await status_of(web.ws("/ws/notifications", ticket=held)) == 403
    held = await ticket(web, admin)
    await web.database.execute("UPDATE ws_tickets SET expires_at = now() + interval '10 seconds'")
    async with connect(web.ws("/ws/notifications", ticket=held)):
        pass


async def test_the_database_keeps_no_ticket_that_could_be_used_and_none_that_is_over(web: Web) -> None:
    admin = await web.admin()
    held = [await ticket(web, admin) for _ in range(3)]
    rows = await web.database.fetch("SELECT ticket_hash, caller::text FROM ws_tickets")
    assert len(rows) == 3
    assert not any(text.encode() in row["ticket_hash"] or text in row["caller"] for text in held for row in rows)
    assert "password" not in json.loads(rows[0]["caller"])
    await web.database.execute("UPDATE ws_tickets SET expires_at = now() - interval '1 second'")
    await ticket(web, admin)
    assert await web.database.fetchval("SELECT count(*) FROM ws_tickets") == 1


async def test_tickets_that_are_none_are_refused(web: Web) -> None:
    for text in ("x", "x" * 42, "x" * 43, "x" * 44, "é" * 43, "\x00" * 43, "x" * 4000, " " * 43):
        assert await status_of(web.ws("/ws/notifications", ticket=text)) == 403, text


async def test_an_old_token_is_refused_without_a_question_to_the_database(web: Web, tmp_path: Path) -> None:
    """The front end's notifications retry with it every 5 s until the page is loaded again; nobody is banned for it."""
    pair = await web.sign_in()
    short = web.settings.model_copy(update={"access_token_expire_minutes": 1 / 60})
    async with serving(create_app(short, HeldFeed())) as issuing, serving(app_beside_no_database(tmp_path)) as port:
        signed_in = await web.client.post(
            f"http://127.0.0.1:{issuing}/auth/token",
            data={"username": web.settings.admin_email, "password": "correct horse battery"},
        )
        old = signed_in.json()["access_token"]
        await asyncio.sleep(2.1)
        for _ in range(20):
            assert await status_of(f"ws://127.0.0.1:{port}/ws/notifications?token={old}") == 403
        assert await status_of(f"ws://127.0.0.1:{port}/ws/notifications?token={pair['access_token']}") == 503
    async with connect(web.ws("/ws/notifications", token=pair["access_token"])):
        pass
