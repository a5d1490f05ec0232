"""A right that ends closes the streams that rest on it within 5 s, whichever process ended it; others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.integration.web.harness import Web, bearer, web_server

pytestmark = pytest.mark.postgres

STREAMS = ("/ws/sensor-data/s", "/ws/facility-data/f", "/ws/notifications")
CLOSED_S_MAX = 5.0


class Watcher:
    """Somebody with all three streams open at one process, about to lose something at the other."""

    def __init__(self, token: str, end: Callable[[], Awaitable[Any]], streams: tuple[str, ...] = STREAMS) -> None:
        self.token = token
        self.end = end
        self.closes = streams
        self.sockets: dict[str, ClientConnection] = {}

    async def open(self, web: Web, stack: AsyncExitStack) -> None:
        for path in STREAMS:
            self.sockets[path] = await stack.enter_async_context(connect(web.ws(path, token=self.token)))


async def watchers(here: Web, there: Web) -> dict[str, Watcher]:
    """Each by what will be taken away."""
    admin = await there.admin()

    async def ask(method: str, path: str, headers: dict[str, str] = admin, **body: Any) -> dict[str, Any]:
        answer = await there.client.request(method, path, headers=headers, json=body or None)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    found: dict[str, Watcher] = {}
    user_id, _, token = await here.user("permission", ("f", "View"))
    listed = await there.client.get("/permissions", headers=admin, params={"user_id": user_id})
    permission_id = listed.json()[0]["id"]
    found["permission"] = Watcher(token, lambda: ask("DELETE", f"/permissions/{permission_id}"), STREAMS[:2])

    deleted, _, token = await here.user("deleted", ("f", "Edit"))
    found["user"] = Watcher(token, lambda: ask("DELETE", f"/users/{deleted}"))

    demoted, _, token = await here.user("demoted")
    await ask("PUT", f"/users/{demoted}", role="Admin")
    found["role"] = Watcher(token, lambda: ask("PUT", f"/users/{demoted}", role="User"), STREAMS[:2])

    reset, _, token = await here.user("reset", ("f", "View"))
    found["password by an Admin"] = Watcher(token, lambda: ask("PUT", f"/users/{reset}", password="another one 1"))

    _, own, token = await here.user("changed", ("f", "View"))
    words = {"current_password": "pw changed", "new_password": "another one 2"}
    found["own password"] = Watcher(token, lambda: ask("POST", "/auth/password", own, **words))

    _, out, token = await here.user("out", ("f", "View"))
    found["sign-out"] = Watcher(token, lambda: ask("POST", "/auth/logout", out))

    through, _, _ = await here.user("through", ("f", "View"))
    second, second_headers, _ = await here.user("second")
    await ask("PUT", f"/users/{second}", role="Admin")
    pair = await ask("POST", f"/auth/impersonate/{through}", second_headers)
    found["role of who impersonates"] = Watcher(
        pair["access_token"], lambda: ask("PUT", f"/users/{second}", role="User")
    )

    revoked = await here.api_key("revoked", ("f", "View"))
    found["key revoked"] = Watcher(revoked["key"], lambda: ask("DELETE", f"/api-keys/{revoked['id']}"))

    expired = await here.api_key("expired", ("f", "View"))
    expire = "UPDATE api_keys SET expires_at = now() WHERE id = $1"
    found["key expired"] = Watcher(expired["key"], lambda: there.database.execute(expire, expired["id"]))
    return found


async def test_whatever_ends_a_right_closes_its_streams_at_every_process(database_url: str, tmp_path: Path) -> None:
    async with (
        web_server(database_url, tmp_path) as here,
        web_server(database_url, tmp_path) as there,
        AsyncExitStack() as stack,
    ):
        await here.facility("f")
        sensor_no = await here.sensor("s", "f")
        _, _, stays_token = await here.user("stays", ("f", "View"))
        losers = await watchers(here, there)
        bystander = Watcher(stays_token, here.admin)
        for watcher in (*losers.values(), bystander):
            await watcher.open(here, stack)
        closing = {
            f"{what}: {path}": asyncio.create_task(closed(watcher.sockets[path]))
            for what, watcher in losers.items()
            for path in watcher.closes
        }
        for watcher in losers.values():
            await watcher.end()
        _, late = await asyncio.wait(closing.values(), timeout=CLOSED_S_MAX)
        assert not [what for what, task in closing.items() if task in late]
        assert {await task for task in closing.values()} == {1008}

        await here.alert("f", sensor_no, "told to who may know")
        alert = await bystander.sockets["/ws/notifications"].recv()
        assert "told to who may know" in str(alert)
        for what in ("permission", "role"):  # nothing ended but the view of this facility: open, and silent
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await losers[what].sockets["/ws/notifications"].recv()
        frames = here.feed.publish("f", ("s", "2026-11-22T10:16:00.000001", "1.5"))
        for path in STREAMS[:2]:
            assert await bystander.sockets[path].recv() == frames[0]


async def test_a_right_that_comes_back_at_once_is_another_right(database_url: str, tmp_path: Path) -> None:
    """Taken and granted again between two looks: what was begun with the first right ends all the same."""
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f")
        user_id, _, token = await web.user("kim", ("f", "View"))
        stays_id, _, stays_token = await web.user("stays", ("f", "View"))
        vice_id, _, _ = await web.user("vice")
        await web.database.execute("UPDATE users SET role = 'Admin' WHERE id = $1", vice_id)
        vice = await web.sign_in("vice", "pw vice")
        grant = "INSERT INTO permissions (user_id, facility_id, permission_type) VALUES ($1, 'f', 'View')"
        async with (
            connect(web.ws("/ws/facility-data/f", token=token)) as of_kim,
            connect(web.ws("/ws/facility-data/f", token=stays_token)) as stays,
            connect(web.ws("/ws/facility-data/f", token=vice["access_token"])) as of_vice,
        ):
            async with web.database.transaction():
                await web.database.execute("DELETE FROM permissions WHERE user_id = $1", user_id)
                await web.database.execute(grant, user_id)
                await web.database.execute(
                    "UPDATE permissions SET permission_type = 'Edit' WHERE user_id = $1", stays_id
                )
                for role in ("User", "Admin"):
                    await web.database.execute("UPDATE users SET role = $2 WHERE id = $1", vice_id, role)
            async with asyncio.timeout(CLOSED_S_MAX):
                assert [await closed(of_kim), await closed(of_vice)] == [1008, 1008]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stays.recv(), 0.3)
        async with connect(web.ws("/ws/facility-data/f", token=token)):
            pass


async def closed(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_what_ended_opens_no_new_stream(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f")
        _, headers, token = await web.user("kim", ("f", "View"))
        async with connect(web.ws("/ws/facility-data/f", token=token)):
            assert (await web.client.post("/auth/logout", headers=headers)).status_code == 200
        with pytest.raises(Exception, match="403"):
            await connect(web.ws("/ws/facility-data/f", token=token))
        assert bearer({"access_token": token}) == headers
