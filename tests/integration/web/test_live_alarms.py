"""`/ws/alarms`: each row of the journal once and in order, over any number of lost connections."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres

Frame = dict[str, Any]
DISCONNECTS = 1_000


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path, rate_limit_per_s=100_000, rate_limit_burst=100_000) as running:
        await running.facility("f")
        await running.facility("g")
        yield running


async def frames(socket: ClientConnection, count: int) -> list[Frame]:
    async with asyncio.timeout(10):
        return [json.loads(await socket.recv()) for _ in range(count)]


async def nothing_more(socket: ClientConnection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await socket.recv()


async def test_who_saw_nothing_begins_with_what_is_so_and_goes_on_from_there(web: Web) -> None:
    _, _, token = await web.user("kim", ("f", "View"))
    for facility_id in ("f", "g"):
        await web.alarm(facility_id, "facility:silent")
    await web.alarm("f", "facility:facility_anomaly", active=False, acknowledged=True)
    async with connect(web.ws("/ws/alarms", token=token)) as socket:
        (first,) = await frames(socket, 1)
        assert (first["type"], first["after_id"], first["more"]) == ("snapshot", 3, False)
        assert [(alarm["facility_id"], alarm["id"]) for alarm in first["alarms"]] == [("f", "facility:silent")]
        await web.alert("g", None, "not for kim")
        told = await web.alert("f", None, "for kim", transition="shelved")
        (second,) = await frames(socket, 1)
        assert (second["type"], second["after_id"]) == ("event", told)
        assert (second["event"]["id"], second["event"]["transition"]) == (told, "shelved")
        await nothing_more(socket)


async def test_who_comes_back_goes_on_after_what_they_saw(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    told = [await web.alert("f", None, f"message {number}") for number in range(5)]
    async with connect(web.ws("/ws/alarms", token=token, after=told[1])) as socket:
        found = await frames(socket, 3)
        assert [frame["after_id"] for frame in found] == told[2:]
        assert {frame["type"] for frame in found} == {"event"}
        await nothing_more(socket)
    async with connect(web.ws("/ws/alarms", token=token, after=0)) as socket:
        assert [frame["after_id"] for frame in await frames(socket, 5)] == told


@pytest.mark.parametrize("after", [2, 900])
async def test_a_past_that_is_gone_is_told_with_what_is_so(web: Web, after: int) -> None:
    """The database was set back, or what was seen was removed with its facility."""
    token = (await web.sign_in())["access_token"]
    for number in range(3):
        await web.alarm("f", f"facility:rule{number}")
    await web.database.execute("DELETE FROM alarm_events WHERE id = 2")
    async with connect(web.ws("/ws/alarms", token=token, after=after)) as socket:
        (gap,) = await frames(socket, 1)
        assert (gap["type"], gap["after_id"], len(gap["alarms"])) == ("gap", 3, 3)
        told = await web.alert("f", None, "news")
        assert [frame["after_id"] for frame in await frames(socket, 1)] == [told]


async def test_a_large_snapshot_comes_in_parts(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    for number in range(5):
        await web.alarm("f", f"facility:rule{number}")
    with patch("web.live.alarms.SNAPSHOT_ROWS", 2):
        async with connect(web.ws("/ws/alarms", token=token)) as socket:
            parts = await frames(socket, 3)
            await nothing_more(socket)
    assert [(len(part["alarms"]), part["more"]) for part in parts] == [(2, True), (2, True), (1, False)]
    assert len({alarm["id"] for part in parts for alarm in part["alarms"]}) == 5
    assert {part["after_id"] for part in parts} == {5}


@pytest.mark.parametrize("disconnects", [40, pytest.param(DISCONNECTS, marks=pytest.mark.slow)])
async def test_no_row_is_lost_or_doubled_over_random_disconnects(web: Web, disconnects: int) -> None:
    """By the client's end and by a cut of the line, while rows are written; a client goes on after the last it has."""
    chance = random.Random(7)
    token = (await web.sign_in())["access_token"]
    written: list[int] = []
    ended = asyncio.Event()

    async def write() -> None:
        while not ended.is_set():
            written.append(await web.alert("f", None, "m", transition=chance.choice(["activated", "returned"])))
            await asyncio.sleep(chance.uniform(0, 0.02))

    writing = asyncio.create_task(write())
    seen: list[int] = []
    lost = 0
    after = 0
    try:
        while lost < disconnects:
            socket = await connect(web.ws("/ws/alarms", token=token, after=after))
            try:
                async with asyncio.timeout(chance.uniform(0.001, 0.05)):
                    async for text in socket:
                        frame = json.loads(text)
                        assert frame["type"] == "event"
                        after = frame["after_id"]
                        seen.append(after)
            except (TimeoutError, ConnectionClosed):
                lost += 1
            if chance.random() < 0.5:
                socket.transport.abort()
            await socket.close()
    finally:
        ended.set()
        await writing
    async with connect(web.ws("/ws/alarms", token=token, after=after)) as socket:
        missing = len(written) - len(seen)
        seen += [frame["after_id"] for frame in await frames(socket, missing)]
        await nothing_more(socket)
    assert seen == written, f"{len(seen)} of {len(written)} rows over {lost} disconnects"
