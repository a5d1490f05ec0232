"""Rate limits, slow bodies and readers, websockets of clients that misbehave, and how many there may be."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.integration.web.harness import Web, app_beside_no_database, bearer, serving, web_server
from tests.integration.web.test_live import READING, received, status_of
from web.edge import connections as listening
from web.edge.connections import CLIENT_BYTES_AT_ONCE, CLIENT_MESSAGE_BYTES_MAX, OPEN_FILES_MAX

ORIGIN = {"Origin": "https://front.example"}
BURST = 40


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path, websockets_per_caller_max=3, websockets_max=4) as running:
        await running.facility("f")
        await running.sensor("s", "f")
        yield running


async def until_open(connections: int) -> None:
    async with asyncio.timeout(60):
        while listening.BoundedServer._open != connections:
            await asyncio.sleep(0.02)


async def closed(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await socket.recv()
    return socket.close_code


async def socket_of(stack: AsyncExitStack, web: Web, token: str, **options: object) -> ClientConnection:
    url = web.ws("/ws/sensor-data/s", token=token)
    opened: ClientConnection = await stack.enter_async_context(connect(url, **options))  # type: ignore[arg-type]
    return opened


@pytest.mark.postgres
async def test_clients_that_send_are_cut_off_and_cost_the_others_nothing(web: Web) -> None:
    """One by one on a server that goes on: too large, too much, no websocket at all, and what is still admitted."""
    token = (await web.sign_in())["access_token"]
    async with AsyncExitStack() as stack:
        quiet = await socket_of(stack, web, token)
        for sent, code in (
            (["x" * (CLIENT_MESSAGE_BYTES_MAX + 1)], 1009),
            ([b"x" * 10_000_000], 1009),
            (["ä" * CLIENT_MESSAGE_BYTES_MAX], 1009),
            (["x" * 1000] * (CLIENT_BYTES_AT_ONCE // 1000 + 1), 1008),
            ([b""] * CLIENT_BYTES_AT_ONCE, 1008),
        ):
            async with connect(web.ws("/ws/sensor-data/s", token=token)) as noisy:
                with pytest.raises(ConnectionClosed):
                    async with asyncio.timeout(10):
                        for message in sent:
                            await noisy.send(message)
                        while True:
                            await noisy.recv()
                assert noisy.close_code == code, (sent[0][:10], len(sent))
        async with connect(web.ws("/ws/sensor-data/s", token=token)) as broken:
            broken.transport.write(b"\xff" * 100)
            assert await closed(broken) in {1002, 1006}
        async with connect(web.ws("/ws/sensor-data/s", token=token)) as endless:
            fragment = b"x" * 1024
            for number in range(5):
                opcode = Opcode.CONT if number else Opcode.BINARY
                endless.transport.write(Frame(opcode, fragment, fin=False).serialize(mask=True))
            assert await closed(endless) == 1009
        for _ in range(3):  # with what frames add, less than CLIENT_BYTES_AT_ONCE
            await quiet.send("x" * CLIENT_MESSAGE_BYTES_MAX)
        await quiet.send(b"\x00\xff" * 100)
        await quiet.ping()
        frames = web.feed.publish("f", READING)
        assert await received(quiet, 1) == frames
    await web.feed.until_watched("f", 0)


@pytest.mark.postgres
async def test_compression_is_not_offered(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with connect(web.ws("/ws/notifications", token=token), compression="deflate") as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers  # type: ignore[union-attr]


@pytest.mark.postgres
async def test_there_may_be_so_many_websockets_each_and_in_all(web: Web) -> None:
    admin = (await web.sign_in())["access_token"]
    _, _, kim = await web.user("kim", ("f", "View"))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await socket_of(stack, web, admin)
        last = await socket_of(stack, web, admin)
        assert await status_of(web.ws("/ws/sensor-data/s", token=admin)) == 403
        await socket_of(stack, web, kim)
        assert await status_of(web.ws("/ws/sensor-data/s", token=kim)) == 503
        await last.close()
        async with asyncio.timeout(5):
            while 'websocket_clients{kind="sensor-data"} 3' not in (await web.client.get("/metrics")).text:
                await asyncio.sleep(0.02)
        await socket_of(stack, web, kim)


@pytest.mark.postgres
async def test_each_caller_has_a_rate_and_nobody_else_pays(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path, rate_limit_per_s=0.001, rate_limit_burst=BURST) as web:
        admin = await web.admin()
        _, kim, _ = await web.user("kim")
        statuses = [(await web.client.get("/users/me", headers=kim)).status_code for _ in range(BURST)]
        assert statuses == [200] * BURST
        refused = await web.client.get("/users/me", headers={**kim, **ORIGIN})
        assert refused.status_code == 429
        assert refused.json() == {"detail": "Too many requests"}
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        assert (await web.client.get("/users/me", headers=admin)).status_code == 200
        assert (await web.client.get("/nowhere")).status_code == 404, "the address has a bucket of its own"
        told = [
            (await web.client.get("/users/me", headers=bearer({"access_token": "x"}))).status_code for _ in range(BURST)
        ]
        assert set(told) == {401, 429}
        for path in ("/nowhere", "/docs", "/dashboard/colors", "/metrics"):
            assert (await web.client.get(path)).status_code == 429
        assert (await web.client.options("/users/me")).status_code == 429
        assert (await web.client.post("/auth/token", data={"username": "kim", "password": "pw kim"})).status_code == 429
        for path in ("/livez", "/readyz"):
            assert (await web.client.get(path)).status_code in {200, 503}
        assert (await web.client.get("/users/me", headers=admin)).status_code == 200
        preflight = {**ORIGIN, "Access-Control-Request-Method": "GET"}
        assert (await web.client.options("/users/me", headers=preflight)).status_code == 200


@pytest.mark.postgres
async def test_who_listens_is_told_when_the_server_ends(database_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with web_server(database_url, tmp_path) as web:
            token = (await web.sign_in())["access_token"]
            listening = await stack.enter_async_context(connect(web.ws("/ws/notifications", token=token)))
        assert await closed(listening) == 1001


async def test_a_slow_body_gets_408_and_one_that_comes_in_time_does_not(tmp_path: Path) -> None:
    app = app_beside_no_database(tmp_path)
    assert app.config["BODY_TIMEOUT"] == 15
    app.config["BODY_TIMEOUT"] = 1
    head = b"POST /auth/refresh-token HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nContent-Length: 15\r\n\r\n"
    async with serving(app) as port:
        for parts, status in (((b"refresh_token",), b"408"), ((b"refresh_", b"token=x"), b"401")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            for part in parts:
                await asyncio.sleep(0.1)
                writer.write(part)
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"access-control-allow-origin: https://a.example" in answer
            assert b'{"detail":' in answer
            writer.close()


async def test_a_reader_that_stopped_does_not_hold_its_answer_for_ever(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its window stays shut; the kernel gives up after the time that the server set on the connection."""
    monkeypatch.setattr(listening, "UNACKNOWLEDGED_S_MAX", 1)
    app = app_beside_no_database(tmp_path)
    async with serving(app) as port:
        await until_open(0)
        stopped = socket.create_connection(("127.0.0.1", port))
        stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /static/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
        stopped.sendall(asked * 8)  # more than the kernel's buffers hold
        await until_open(1)
        await until_open(0)
        stopped.close()
    assert "Traceback" not in capsys.readouterr().out + caplog.text


async def test_a_client_that_resets_its_connection_is_forgotten(tmp_path: Path) -> None:
    app = app_beside_no_database(tmp_path)
    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for request in (b"", b"GET /li", b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nuser"):
            rude = socket.create_connection(("127.0.0.1", port))
            rude.sendall(request)
            await asyncio.sleep(0.05)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.close()
        assert (await client.get("/livez")).status_code == 200
        await until_open(1)


async def test_a_request_behind_one_that_closes_does_not_hold_the_connection(tmp_path: Path) -> None:
    """The second is read when the first is answered; nobody waits for that on a connection that is over."""
    app = app_beside_no_database(tmp_path)
    asked = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(app) as port:
        await until_open(0)
        for first in (asked.replace(b"Host", b"Connection: close\r\nHost"), asked.replace(b"1.1", b"3.0"), asked * 50):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await until_open(1)
            writer.write(first + asked * 50)
            await writer.drain()
            assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 ")
            writer.transport.abort()
            await until_open(0)


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "asked"),
    [
        (1024, 20_000, 20_000, (20_000, 20_000)),
        (1024, 10**9, OPEN_FILES_MAX, (OPEN_FILES_MAX, 10**9)),
        (1024, resource.RLIM_INFINITY, OPEN_FILES_MAX, (OPEN_FILES_MAX, resource.RLIM_INFINITY)),
        (20_000, 20_000, 20_000, None),
        (10**6, 10**6, OPEN_FILES_MAX, None),
    ],
)
def test_a_web_process_may_open_as_many_files_as_it_needs(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, asked: tuple[int, int] | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    assert listening.raise_open_files_limit() == wanted
    assert given == ([asked] if asked else [])
