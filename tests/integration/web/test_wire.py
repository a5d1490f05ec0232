"""Bytes that no well-behaved client sends, to the real server over a real socket: who answers, and how.

The database is not there: whatever is refused here costs it nothing.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from engine.logs import configure_logging
from tests.integration.web.harness import app_beside_no_database, serving, settings_for
from web.contract.declare import FEW_FIELDS_BYTES_MAX
from web.edge import bodies, connections
from web.edge.bodies import PIECES_FREE
from web.edge.connections import BoundedServer
from web.edge.heads import HEAD_BYTES_MAX, HEAD_LINES_MAX
from web.edge.proxies import TrustedProxies
from web.edge.request_limits import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    ITEMS_MAX,
    PATH_BYTES_MAX,
    QUERY_BYTES_MAX,
    QUERY_FIELDS_MAX,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGIN = "https://front.example"
BODY_BYTES_MAX = 65_536  # of any route
ROUTE_BYTES_MAX = FEW_FIELDS_BYTES_MAX
WEBSOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ON_EVERY_ANSWER = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    is_closed: bool

    @property
    def detail(self) -> object:
        return json.loads(self.body)["detail"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    folder: Path = tmp_path_factory.mktemp("wire")
    async with serving(app_beside_no_database(folder, body_bytes_max=BODY_BYTES_MAX)) as number:
        yield number


async def ask(port: int, raw: bytes, *, wait_s: float = 10) -> Answer:
    """Send the bytes, read one answer; is_closed tells whether the server hangs up after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        async with asyncio.timeout(wait_s):
            answer = await read_answer(reader, is_head=raw.startswith(b"HEAD"))
        closing = answer.headers.get("connection", "").lower() == "close"
        if closing:
            async with asyncio.timeout(10):
                assert await reader.read() == b"", "nothing comes after the answer"
        return Answer(answer.status, answer.headers, answer.body, closing)
    finally:
        writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool = False) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    body = b"" if is_head else await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(status.split()[1]), headers, body, False)


def request(
    target: str = "/livez", *headers: str, method: str = "GET", version: str = "1.1", body: bytes = b""
) -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: plant.example", f"Origin: {ORIGIN}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def sized(bytes_of_headers: int) -> bytes:
    """A request whose headers' names and values have this many bytes altogether."""
    fixed = len("Host" + "plant.example" + "Origin" + ORIGIN + "X-Odd")
    return request("/livez", "X-Odd: " + "x" * (bytes_of_headers - fixed))


def chunked(size: int, target: str = "/auth/token") -> bytes:
    chunk = b"%x\r\n" % 4096 + b"x" * 4096 + b"\r\n"
    rest = b"%x\r\n" % (size % 4096) + b"x" * (size % 4096) + b"\r\n" if size % 4096 else b""
    return request(
        target, "Transfer-Encoding: chunked", method="POST", body=chunk * (size // 4096) + rest + b"0\r\n\r\n"
    )


def crumbs(pieces: int) -> bytes:
    return request(
        "/auth/token", "Transfer-Encoding: chunked", method="POST", body=b"1\r\nx\r\n" * pieces + b"0\r\n\r\n"
    )


REFUSED_BY_US = {
    "HTTP/9.9": (505, request(version="9.9")),
    "HTTP/2 with prior knowledge": (505, request("*", method="PRI", version="2.0")),
    "no path": (400, request("?x=1")),
    "a path without a slash": (400, request("livez")),
    "an absolute target that cannot be read": (400, request("http://[livez")),
    "an absolute target of another protocol": (400, request("ftp://plant.example/livez")),
    "CONNECT": (400, request("evil.example:443", method="CONNECT")),
    "a path too long": (414, request("/" + "a" * PATH_BYTES_MAX)),
    "a query too long": (414, request("/livez?" + "a" * (QUERY_BYTES_MAX + 1))),
    "a query of too many parameters": (414, request("/livez?" + "&" * QUERY_FIELDS_MAX)),
    "headers too large": (431, sized(HEADER_BYTES_MAX + 1)),
    "40 kB of headers": (431, sized(40_000)),
    "too many headers": (431, request("/livez", *(f"X-{n}: y" for n in range(HEADERS_MAX - 1)))),
    "a body too large, announced": (
        413,
        request(
            "/auth/token", f"Content-Length: {BODY_BYTES_MAX + 1}", method="POST", body=b"x" * (BODY_BYTES_MAX + 1)
        ),
    ),
    "a body too large to be true": (413, request("/auth/token", f"Content-Length: {10**18}", method="POST")),
    "a body too large for its route, announced": (
        413,
        request(
            "/auth/token", f"Content-Length: {ROUTE_BYTES_MAX + 1}", method="POST", body=b"x" * (ROUTE_BYTES_MAX + 1)
        ),
    ),
    "a body too large for its route, in chunks": (413, chunked(ROUTE_BYTES_MAX + 1)),
    "a body in crumbs": (413, crumbs(PIECES_FREE + 1)),
    "a body too large where login comes first": (401, request("/users", "Content-Length: 60000", method="POST")),
    "a list too long in a header": (431, request("/", "Accept: " + "a/b," * ITEMS_MAX)),
    "two ways to tell a length": (
        400,
        request("/auth/token", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n"),
    ),
    "an unknown method": (405, request(method="BREW")),
    "TRACE": (405, request(method="TRACE")),
    "DELETE where there is none": (405, request("/facilities", method="DELETE")),
    "an unknown path": (404, request("/nowhere")),
    "a trailing slash": (404, request("/livez/")),
    "a NUL in the path": (404, request("/%00")),
    "a lone surrogate in the path": (404, request("/%ED%A0%80")),
    "* as a target": (404, request("*", method="OPTIONS")),
    "a file outside": (404, request("/static/../app.py")),
    "a file outside, encoded": (404, request("/static/..%2f..%2fapp.py")),
    "a file outside, encoded twice": (404, request("/static/%252e%252e/app.py")),
    "a file from the root": (404, request("/static//etc/passwd")),
    "a file with a NUL": (404, request("/static/home.css%00.js")),
    "a folder": (404, request("/static/vendor")),
    "a file name longer than names are": (404, request("/static/" + "a" * 300)),
    "a range that ends before it starts": (416, request("/static/home.css", "Range: bytes=5-2")),
    "a websocket on a REST path": (400, request("/livez", *WEBSOCKET.split("\r\n")[:-1])),
    "REST on a websocket path": (400, request("/ws/notifications")),
    "a websocket without a token": (403, request("/ws/notifications", *WEBSOCKET.split("\r\n")[:-1])),
    "a websocket without a path": (403, request("?token=x", *WEBSOCKET.split("\r\n")[:-1])),
    "a websocket with too long a query": (
        403,
        request("/ws/notifications?token=" + "a" * QUERY_BYTES_MAX, *WEBSOCKET.split("\r\n")[:-1]),
    ),
    "a websocket that leads nowhere": (404, request("/ws/nowhere", *WEBSOCKET.split("\r\n")[:-1])),
}

REFUSED_BY_THE_SERVER = {
    "no HTTP": (400, b"nonsense\r\n\r\n"),
    "TLS on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "HTTP/0.9": (400, b"GET /livez\r\n\r\n"),
    "a byte that no target has": (400, request("/\xff")),
    "no Host": (400, b"GET /livez HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, request("/livez", "Host: evil.example")),
    "a header with a NUL": (400, request("/livez", "X: a\x00b")),
    "a blank before the colon": (400, request("/livez", "X : a")),
    "a negative length": (400, request("/auth/token", "Content-Length: -5", method="POST")),
    "two different lengths": (400, request("/auth/token", "Content-Length: 5", "Content-Length: 6", method="POST")),
    "a chunk of no size": (400, request("/auth/token", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n")),
    "an encoding of the transfer": (501, request("/auth/token", "Transfer-Encoding: gzip", method="POST")),
    "a head without end": (431, request("/livez", "X: " + "x" * (HEAD_BYTES_MAX + 65_536))),
    "a head of too many lines": (431, request("/livez", *("X: y" for _ in range(HEAD_LINES_MAX)))),
    "a websocket whose headers are not ASCII": (
        400,
        request("/ws/notifications", *WEBSOCKET.replace("Upgrade\r", "Upgrade, \xff\r", 1).split("\r\n")[:-1]),
    ),
    "a websocket without a key": (400, request("/ws/notifications", "Connection: Upgrade", "Upgrade: websocket")),
    "a websocket of another version": (
        400,
        request("/ws/notifications", *WEBSOCKET.replace("13", "8").split("\r\n")[:-1]),
    ),
}


def check(answer: Answer, origin: str) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert answer.detail
    assert answer.headers["access-control-allow-origin"] == origin
    assert "server" not in answer.headers
    assert ON_EVERY_ANSWER.items() <= answer.headers.items()
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", REFUSED_BY_US)
async def test_what_we_refuse_is_json_that_the_front_end_can_read(port: int, name: str) -> None:
    status, raw = REFUSED_BY_US[name]
    answer = await ask(port, raw)
    assert answer.status == status, answer
    check(answer, ORIGIN)


@pytest.mark.parametrize("name", REFUSED_BY_THE_SERVER)
async def test_what_never_becomes_a_request_is_json_that_anybody_can_read(port: int, name: str) -> None:
    status, raw = REFUSED_BY_THE_SERVER[name]
    answer = await ask(port, raw)
    assert answer.status == status, answer
    assert answer.is_closed
    check(answer, "*")


ADMITTED: dict[str, Callable[[], bytes]] = {
    "HTTP/1.0": lambda: request(version="1.0"),
    "an absolute target": lambda: request("http://elsewhere.example/livez"),
    "an Upgrade to HTTP/2, ignored": lambda: request(
        "/livez", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"
    ),
    "the longest query": lambda: request("/livez?" + "a" * QUERY_BYTES_MAX),
    "the most parameters": lambda: request("/livez?" + "&" * (QUERY_FIELDS_MAX - 1)),
    "the largest headers": lambda: sized(HEADER_BYTES_MAX),
    "the longest list in a header": lambda: request("/", "Accept: " + "a/b," * (ITEMS_MAX - 1)),
    "any number of cookies": lambda: request("/livez", "Cookie: " + "a=b; " * (2 * ITEMS_MAX)),
    "the most headers": lambda: request("/livez", *(f"X-{n}: y" for n in range(HEADERS_MAX - 2))),
    "HEAD": lambda: request(method="HEAD"),
    "OPTIONS": lambda: request(method="OPTIONS"),
    "a header that goes on in the next line": lambda: request("/livez", "X: a\r\n b"),
    "odd headers": lambda: request("/", "Accept: ;;q=\xff,text/html;q=abc", "Cookie: \xff=;;=", "Range: bytes=x"),
}


@pytest.mark.parametrize("name", ADMITTED)
async def test_the_other_side_of_each_limit_is_admitted(port: int, name: str) -> None:
    answer = await ask(port, ADMITTED[name]())
    assert answer.status == 200, answer
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert ON_EVERY_ANSWER.items() <= answer.headers.items()


async def test_the_longest_path_and_body_reach_their_handler(port: int) -> None:
    assert (await ask(port, request("/" + "a" * (PATH_BYTES_MAX - 1)))).status == 404
    whole = request("/auth/token", f"Content-Length: {ROUTE_BYTES_MAX}", method="POST", body=b"x" * ROUTE_BYTES_MAX)
    assert (await ask(port, whole)).status == 422
    assert (await ask(port, chunked(ROUTE_BYTES_MAX))).status == 422
    assert (await ask(port, crumbs(PIECES_FREE - 1))).status == 422


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "\xff;;=", "multipart/form-data"])
async def test_a_content_type_of_any_kind_is_no_error_of_ours(port: int, kind: str) -> None:
    answer = await ask(
        port, request("/auth/token", f"Content-Type: {kind}", "Content-Length: 1", method="POST", body=b"a")
    )
    assert answer.status == 422
    check(answer, ORIGIN)


async def test_a_file_in_a_form_is_part_of_the_body_and_no_larger(port: int) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * BODY_BYTES_MAX
    chunk = b"%x\r\n" % len(part) + part + b"\r\n0\r\n\r\n"
    kind = "Content-Type: multipart/form-data; boundary=x"
    raw = request("/auth/token", kind, "Transfer-Encoding: chunked", method="POST", body=chunk)
    assert (await ask(port, raw)).status == 413


async def test_requests_in_one_write_are_answered_in_turn(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request() + request("/nowhere") + request() + b"nonsense\r\n\r\n")
    async with asyncio.timeout(10):
        assert [(await read_answer(reader)).status for _ in range(4)] == [200, 404, 200, 400]
        assert await reader.read() == b""
    writer.close()


async def test_a_refused_body_that_is_sent_anyway_leaves_the_answer_readable(port: int) -> None:
    """A server that hangs up on a client that still sends resets the connection, and the answer is lost with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = 3 * BODY_BYTES_MAX
    writer.write(request("/auth/token", f"Content-Length: {size}", method="POST"))
    for _ in range(size // 4096):
        writer.write(b"x" * 4096)
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 413
    writer.close()


ENDLESS = {
    "announced": (request("/auth/token", f"Content-Length: {10**15}", method="POST"), b"x" * 4096),
    "in chunks": (request("/livez", "Transfer-Encoding: chunked", method="POST"), b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "in crumbs": (request("/livez", "Transfer-Encoding: chunked", method="POST"), b"1\r\nx\r\n" * 700),
    "in crumbs, to a route": (request("/auth/token", "Transfer-Encoding: chunked", method="POST"), b"1\r\nx\r\n" * 700),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_body_without_end_holds_no_connection(port: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head, piece = ENDLESS[kind]
    monkeypatch.setattr(bodies, "DRAIN_S_MAX", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
    writer.transport.abort()
    assert reader.at_eof() or reader.exception() is not None
    assert (await ask(port, request())).status == 200


async def test_the_lines_of_a_second_head_count_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request() + request("/livez", *("X: y" for _ in range(HEAD_LINES_MAX))))
    async with asyncio.timeout(10):
        assert [(await read_answer(reader)).status for _ in range(2)] == [200, 431]
    writer.close()


async def test_one_address_may_keep_so_many_connections_waiting(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is answered at the moment does not count, and proxies that speak for others never do."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/auth/token", "Content-Length: 9", method="POST"))
    waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    async with asyncio.timeout(10):
        while BoundedServer._waiting["address:127.0.0.1"] != len(waiting):
            await asyncio.sleep(0.01)
        monkeypatch.setattr(connections, "WAITING_MAX", len(waiting))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask(port, request())
        with monkeypatch.context() as patch:
            patch.setattr(BoundedServer, "proxies", TrustedProxies((ip_network("127.0.0.1"),)))
            assert (await ask(port, request())).status == 200
        waiting.pop()[1].transport.abort()
        while BoundedServer._waiting["address:127.0.0.1"] != len(waiting):
            await asyncio.sleep(0.01)
        assert (await ask(port, request())).status == 200
    writer.transport.abort()
    for _, each in waiting:
        each.transport.abort()


async def test_a_head_that_never_ends_costs_a_connection_for_the_time_of_a_keep_alive(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypercorn.config import Config

    monkeypatch.setattr(Config, "keep_alive_timeout", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_more_connections_than_there_are_files_are_refused_and_the_others_go_on(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request())
    async with asyncio.timeout(10):
        assert (await read_answer(reader)).status == 200
        monkeypatch.setattr(BoundedServer, "connections_max", BoundedServer._open)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask(port, request())
        monkeypatch.setattr(BoundedServer, "connections_max", BoundedServer._open + 1)
        assert (await ask(port, request())).status == 200
        writer.write(request())
        assert (await read_answer(reader)).status == 200
    writer.close()


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_an_error_of_ours_is_500_in_json_and_its_log_holds_no_secret(
    port: int, tmp_path: Path, log_format: str
) -> None:
    settings = settings_for("postgresql://127.0.0.1:1/none", tmp_path, log_format=log_format)
    stream = io.StringIO()
    app = app_beside_no_database(tmp_path, log_format=log_format)

    @app.before_request
    @app.before_websocket
    async def fail() -> None:
        raise RuntimeError("the test wants it so")

    secret = "a-token-that-nobody-should-read"
    configuration, handlers = structlog.get_config(), logging.root.handlers[:]
    try:
        configure_logging(settings, "web", stream)
        async with serving(app) as failing:
            bearer = f"Authorization: Bearer {secret}"
            for raw in (
                request(f"/users/me?token={secret}", bearer),
                request("/auth/token", bearer, "Content-Length: 9", method="POST", body=b"password="),
                request(f"/ws/notifications?ticket={secret}", bearer, *WEBSOCKET.split("\r\n")[:-1]),
            ):
                answer = await ask(failing, raw)
                assert (answer.status, answer.detail) == (500, "Internal server error")
                check(answer, ORIGIN)
    finally:
        structlog.configure(**configuration)
        logging.basicConfig(handlers=handlers, force=True)
    assert stream.getvalue().count("the test wants it so") >= 3
    assert secret not in stream.getvalue()


async def test_what_is_refused_is_not_said_twice(port: int, caplog: pytest.LogCaptureFixture) -> None:
    secret = "a-token-that-nobody-should-read"
    for target in (
        f"/livez?token={secret}",
        f"/livez?%74oken={secret}",
        f"/nowhere?ticket={secret}",
        f"?token={secret}",
    ):
        await ask(port, request(target, f"Referer: https://front.example/?token={secret}"))
    await ask(
        port, request(f"/ws/notifications?ticket={secret}&" + "a" * QUERY_BYTES_MAX, *WEBSOCKET.split("\r\n")[:-1])
    )
    lines = [record.getMessage() for record in caplog.records if record.name == "hypercorn.access"]
    assert len(lines) >= 5
    assert not [line for line in lines if secret in line]
