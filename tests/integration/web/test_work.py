"""Work before trust: what a request costs that is refused, on every route, beside a small request of the same route.

Costs are processor time of this process, so that a busy machine makes no difference; what looks dear is measured again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import pytest_asyncio
from quart import Quart

from engine.errors import StoreUnavailable
from tests.integration.web.harness import app_beside_no_database
from web.app import NOUNS
from web.auth.guard import Guard, Person
from web.background import Background
from web.contract.declare import FEW_FIELDS_BYTES_MAX, Endpoint
from web.database import Database
from web.edge.bodies import PIECES_FREE
from web.edge.request_limits import HEADERS_MAX, ITEMS_MAX, PATH_BYTES_MAX, QUERY_BYTES_MAX, QUERY_FIELDS_MAX

RATIO_MAX = 20
"""Of the dearest refusal to a small request: twice what is seen. What made the loop stand still was above 300."""
TRIES = 5
MIB = 1_048_576
PIECE_BYTES = 65_536
ADMIN = Person(
    principal="user:1",
    name="admin",
    user_id=1,
    email="a@b.org",
    role="Admin",
    family="00000000-0000-4000-8000-000000000000",
    impersonated_by=None,
)
ENDPOINTS = [endpoint for noun in NOUNS for endpoint in noun.endpoints]
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Sent:
    """What is sent to a route; `path` is put behind its own."""

    body: bytes = b"{}"
    kind: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""
    path: str = ""
    piece_bytes: int = PIECE_BYTES


def parts(size: int) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    return part * (size // len(part)) + b"--x--\r\n"


def filled(piece: bytes, size: int = FEW_FIELDS_BYTES_MAX, before: bytes = b"", after: bytes = b"") -> bytes:
    """As many of `piece` as fit into `size` bytes."""
    return before + piece * ((size - len(before) - len(after)) // len(piece)) + after


def many_names(size: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(10_000, 10_000 + size // 10)) + b"}"


def in_header(name: bytes, value: bytes) -> Sent:
    return Sent(headers=((name, value),))


NASTY: dict[str, Sent] = {
    "75,000 values": Sent(b"[" + b"1234567890123," * 74_000 + b"1]"),
    "as many values as bytes allow": Sent(filled(b"1,", before=b"[", after=b"1]")),
    "as many names": Sent(many_names(FEW_FIELDS_BYTES_MAX)),
    "as many empty lists": Sent(filled(b"[],", before=b"[", after=b"1]")),
    "deep": Sent(filled(b"[")),
    "deep and closed": Sent(b"[" * 8_000 + b"]" * 8_000),
    "1 MB deep": Sent(b'{"a":' * (MIB // 6)),
    "a long string": Sent(filled(b"a", before=b'{"a":"', after=b'"}')),
    "a long string of escapes": Sent(filled(b"\\u0041", before=b'{"a":"', after=b'"}')),
    "a string without end": Sent(filled(b'\\"', before=b'{"a":"')),
    "a long number": Sent(filled(b"1")),
    "blanks": Sent(filled(b" ")),
    "1 MB of blanks": Sent(b" " * MIB),
    "form of many fields": Sent(filled(b"a=1&"), FORM),
    "form of escapes": Sent(filled(b"%41", before=b"username="), FORM),
    "1 MB of form": Sent(b"a=1&" * (MIB // 4), FORM),
    "many parts": Sent(parts(FEW_FIELDS_BYTES_MAX - 100), MULTIPART),
    "1 MB of parts": Sent(parts(MIB - 100), MULTIPART),
    "a part of almost boundaries": Sent(
        filled(b"\r\n--", before=b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'), MULTIPART
    ),
    "a part of many headers": Sent(filled(b"A: b\r\n", before=b"--x\r\n"), MULTIPART),
    "crumbs": Sent(b" " * 10_000, piece_bytes=1),
    "few crumbs": Sent(b" " * PIECES_FREE, piece_bytes=1),
    "a query of many parameters": Sent(query=b"&".join(b"a%d=1" % n for n in range(QUERY_FIELDS_MAX))),
    "a query of more parameters": Sent(query=b"&" * QUERY_BYTES_MAX),
    "a query of escapes": Sent(query=filled(b"%41", QUERY_BYTES_MAX, before=b"a=")),
    "a query of secrets": Sent(query=filled(b"token=%41&", QUERY_BYTES_MAX // 10)),
    "a path of slashes": Sent(path="/" * (PATH_BYTES_MAX - 100)),
    "a path of letters": Sent(path="a" * (PATH_BYTES_MAX - 100)),
    "a path of line ends": Sent(path="\n/" * (PATH_BYTES_MAX // 2 - 100)),
    "many headers": Sent(headers=tuple((b"x-%d" % n, b"y") for n in range(HEADERS_MAX - 10))),
    "a list in Accept": in_header(b"accept", b",".join(b"a/b%d;q=0.5" % n for n in range(ITEMS_MAX // 2))),
    "a long list in Accept": in_header(b"accept", filled(b"a/b,", 15_000)),
    "parameters of Content-Type": Sent(b"", "a/b; " + "; ".join(f'a{n}="b"' for n in range(ITEMS_MAX - 1))),
    "many parameters of Content-Type": Sent(b"", "a/b; " + 'a="\\"";' * 2_000),
    "a long Content-Type": Sent(b"", "a/b; " + "a" * 15_000),
    "cookies": in_header(b"cookie", filled(b"a=b; ", 15_000)),
    "a token of 8 kB": in_header(b"authorization", b"Bearer " + b"a" * 8_000),
    "a token that looks like one": in_header(b"authorization", b"Bearer " + b".".join([b"eyJ" + b"a" * 1_300] * 3)),
    "a key that looks like one": in_header(b"authorization", b"Bearer gik_" + b"a" * 8_000),
    "Basic": in_header(b"authorization", b"Basic " + b"YWFh" * 3_000),
    "a long Host": in_header(b"host", b"a." * 7_000),
    "a long date": in_header(b"if-modified-since", b"Sat, 01 " * 1_800),
    "many ranges": in_header(b"range", b"bytes=" + b"0-1," * (ITEMS_MAX - 1)),
    "many tags": in_header(b"if-none-match", b'"a", ' * (ITEMS_MAX - 1)),
    "many hops": in_header(b"x-forwarded-for", b"1.2.3.4, " * (ITEMS_MAX - 1)),
}


@pytest_asyncio.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Quart]:
    """Counts nobody: what counts and is then refused costs even less. It has no database, and does not look for one."""

    async def nowhere(*_: object, **__: object) -> None:
        raise StoreUnavailable("the test has none")

    for name in ("row", "rows", "value", "execute"):
        monkeypatch.setattr(Database, name, nowhere)
    start = Background.start

    def start_one(background: Background, name: str, run: Callable[[], Awaitable[None]]) -> None:
        if name == "preparation":
            start(background, name, run)

    monkeypatch.setattr(Background, "start", start_one)
    served = app_beside_no_database(tmp_path, rate_limit_per_s=0)
    async with served.test_app():
        yield served


async def cost_s(app: Quart, method: str, path: str, sent: Sent) -> float:
    return (await asked(app, method, path, sent))[0]


async def asked(app: Any, method: str, path: str, sent: Sent) -> tuple[float, int]:
    """Processor time of one request, from the door of the application to the end of its answer; and its status."""
    headers = {b"host": b"plant.example", b"content-type": sent.kind.encode(), **dict(sent.headers)}
    pieces = [sent.body[at : at + sent.piece_bytes] for at in range(0, len(sent.body), sent.piece_bytes)]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    coming = iter(messages)
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        message = next(coming, None)
        if message is None:
            await ended.wait()
            return {"type": "http.disconnect"}
        await asyncio.sleep(0)
        return message

    statuses = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            ended.set()

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path + sent.path,
        "raw_path": (path + sent.path).encode(),
        "query_string": sent.query,
        "root_path": "",
        "headers": list(headers.items()),
        "client": ("192.0.2.7", 1234),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }
    begun_s = time.process_time()
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return time.process_time() - begun_s, statuses[0]


async def ratios(app: Quart, endpoints: list[Endpoint]) -> dict[str, float]:
    """Of each route the dearest, which is measured again before it is believed."""
    found: dict[str, float] = {}
    for endpoint in endpoints:
        path = endpoint.path.replace("{", "").replace("}", "")
        small_s = median([await cost_s(app, endpoint.method, path, Sent()) for _ in range(2 * TRIES + 1)])
        for name, sent in NASTY.items():
            ratio = await cost_s(app, endpoint.method, path, sent) / small_s
            if ratio > RATIO_MAX:
                again = [await cost_s(app, endpoint.method, path, sent) for _ in range(TRIES)]
                ratio = median(again) / small_s
            found[f"{endpoint.method} {endpoint.path}: {name}"] = ratio
    return found


def show(what: str, found: dict[str, float]) -> None:
    dearest = sorted(found.items(), key=lambda pair: -pair[1])[:12]
    lines = [f"{what}: {len(found)} requests; times the work of a small one:"]
    sys.stdout.write("\n".join([*lines, *(f"{ratio:8.1f}  {name}" for name, ratio in dearest), ""]))


async def test_what_is_measured_is_what_is_meant(app: Quart) -> None:
    """Else all would cost as much as any other 503."""
    statuses = {name: (await asked(app, "POST", "/auth/token", sent))[1] for name, sent in NASTY.items()}
    assert (await asked(app, "POST", "/auth/token", Sent()))[1] == 422
    assert {
        statuses[name] for name in ("as many values as bytes allow", "deep", "form of many fields", "many parts")
    } == {422}
    assert {statuses[name] for name in ("75,000 values", "1 MB of form", "1 MB of parts", "crumbs")} == {413}
    assert 503 not in statuses.values()


async def test_a_stranger_causes_little_more_work_than_a_small_request(app: Quart) -> None:
    found = await ratios(app, ENDPOINTS)
    show("nobody", found)
    assert {name: ratio for name, ratio in found.items() if ratio > RATIO_MAX} == {}


async def test_so_does_whoever_is_known(app: Quart, monkeypatch: pytest.MonkeyPatch) -> None:
    async def admin(*_: object) -> Person:
        return ADMIN

    async def admitted(*_: object) -> str:
        return "f"

    monkeypatch.setattr(Guard, "caller", admin)
    monkeypatch.setattr(Guard, "require_facility", admitted)
    monkeypatch.setattr(Guard, "require_sensor", admitted)
    found = await ratios(app, ENDPOINTS)
    show("an Admin", found)
    assert {name: ratio for name, ratio in found.items() if ratio > RATIO_MAX} == {}
