"""What nobody should send, and a database that goes away: an answer of ours, in JSON, never a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import pytest_asyncio

from engine.live import LiveChunk, LiveFeed
from native import JSON_DEPTH_MAX
from tests.integration.web.harness import (
    ADMIN_EMAIL,
    ADMIN_PASSWORD,
    Web,
    serving,
    settings_for,
    until_answered,
    web_server,
)
from web.app import create_app

pytestmark = pytest.mark.postgres

ORIGIN = {"Origin": "https://front.example"}
UNUSABLE = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b'{"username": "\xff"}',
    b"[" * 10_000,
    b'{"a":' * 2_500 + b"1" + b"}" * 2_500,
    b'{"username": NaN, "email": "a@b", "password": "p"}',
    b'{"username": 1e999, "email": "a@b", "password": "p"}',
    b'{"username": "a\\u0000b", "email": "a@b", "password": "p"}',
    b'{"username": "\\ud800", "email": "a@b", "password": "p"}',
    b"[]",
    b"null",
    b'"text"',
    b"1" * 10_000,
    b'{"username": "a", "email": "a@b", "password": "p", "username": "b"}',
    b'{"username": "a", "email": "a@b", "password": "p", "more": {"a": 1, "\\u0061": 2}}',
    b'{"more": ' + b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX + b"}",
    b'\xef\xbb\xbf{"username": "a", "email": "a@b", "password": "p"}',
    b'"\xed\xa0\x80"',
)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


async def test_errors_of_every_kind_are_json_with_cors_headers(web: Web) -> None:
    admin = await web.admin()
    answers = [
        (404, await web.client.get("/nowhere", headers=ORIGIN)),
        (405, await web.client.delete("/facilities", headers=ORIGIN)),
        (401, await web.client.get("/users/me", headers=ORIGIN)),
        (422, await web.client.get("/users/abc", headers={**ORIGIN, **admin})),
        (413, await web.client.post("/users", headers={**ORIGIN, **admin}, content=b'"' + b"x" * 2_000_000 + b'"')),
        (404, await web.client.get("/users/99999999999999999999", headers={**ORIGIN, **admin})),
        (404, await web.client.get("/static/../app.py", headers=ORIGIN)),
        (404, await web.client.get("/static/%2e%2e/app.py", headers=ORIGIN)),
    ]
    for status, answer in answers:
        assert answer.status_code == status, answer.text
        assert "detail" in answer.json()
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        assert "Origin" in answer.headers["vary"]
        assert "server" not in answer.headers
    assert answers[1][1].headers["allow"]


async def test_what_is_no_http_gets_json_too(web: Web) -> None:
    for request in (b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(request)
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 400"), head
        assert b"access-control-allow-origin: *" in head
        assert json.loads(body) == {"detail": "Bad Request"}


async def test_large_headers_are_431_and_a_token_fits(web: Web) -> None:
    for size, status in ((8_000, 200), (40_000, 431)):
        answer = await web.client.get("/livez", headers={**ORIGIN, "X-Odd": "x" * size})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_slow_and_broken_bodies_cost_nobody_anything(web: Web) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nusername=")
    await asyncio.sleep(0.1)
    writer.close()
    answer = await web.client.post("/auth/token", content=b"username=a&password=b", headers={"Content-Type": "text/x"})
    assert answer.status_code == 401
    assert (await web.client.get("/livez")).status_code == 200


async def test_bodies_that_cannot_be_used_are_422(web: Web) -> None:
    headers = {**await web.admin(), "Content-Type": "application/json"}
    routes = (("POST", "/users"), ("PUT", "/users/1"), ("POST", "/permissions"), ("POST", "/auth/token"))
    for body in UNUSABLE:
        for method, path in routes:
            answer = await web.client.request(method, path, headers=headers, content=body)
            assert answer.status_code == 422, (body[:40], method, path, answer.text)
            assert {"loc", "msg", "type"} <= set(answer.json()["detail"][0])


async def test_no_name_that_is_stored_holds_a_control_character(web: Web) -> None:
    admin = await web.admin()
    await web.facility("f")
    await web.sensor("s", "f")
    grants = [{"facility_id": "f", "permission_type": "View"}]
    user = {"username": "ann", "email": "ann@plant.example", "password": "p of ann"}
    for text in ("a\x1b[2Jb", "a\u202eb", "a\nb", "a\x9bb"):
        for method, path, body in (
            ("POST", "/users", user | {"username": text}),
            ("POST", "/users", user | {"email": f"{text}@plant.example"}),
            ("PUT", "/users/1", {"username": text}),
            ("PUT", "/facilities/f", {"name": text}),
            ("PUT", "/sensors/s", {"name": text}),
            ("POST", "/api-keys", {"name": text, "facilities": grants}),
        ):
            answer = await web.client.request(method, path, headers=admin, json=body)
            assert answer.status_code == 422, (method, path, body, answer.text)
    for method, path, usable in (
        ("PUT", "/facilities/f", {"name": "Nörd \u200d°"}),
        ("PUT", "/sensors/s", {"name": "é"}),
        ("POST", "/api-keys", {"name": "weekly", "facilities": grants}),
    ):
        answer = await web.client.request(method, path, headers=admin, json=usable)
        assert answer.status_code == 200, (method, path, usable, answer.text)


async def test_json_that_is_odd_and_usable_is_taken(web: Web) -> None:
    headers = {**await web.admin(), "Content-Type": "application/json"}
    deep = b"[" * (JSON_DEPTH_MAX - 1) + b"]" * (JSON_DEPTH_MAX - 1)
    for number, more in enumerate(
        (deep, b"9" * 4000, b'{"a": {"b": 1}, "b": 1}', b"-0", b"1e308", b'"\\ud83d\\ude00"')
    ):
        body = b'{"username": "u%d", "email": "u%d@plant.example", "password": "p of u", "more": %b}' % (
            number,
            number,
            more,
        )
        answer = await web.client.post("/users", headers=headers, content=body)
        assert answer.status_code == 200, (more[:40], answer.text)


async def test_forms_and_queries_that_cannot_be_used_are_422(web: Web) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    contents = (
        b"username=%ff&password=x",
        b"\xff\xff",
        b"username=a%00b&password=x",
        b"username=a",
        b"a=1&" * 500,
        b"username=a&username=b&password=x",
    )
    for content in contents:
        answer = await web.client.post("/auth/token", headers=form, content=content)
        assert answer.status_code == 422, (content, answer.text)
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await web.client.post("/auth/token", headers=broken, content=b"--x\r\nnonsense")
    assert answer.status_code in {400, 422}
    admin = await web.admin()
    await web.facility("f")
    await web.sensor("s", "f")
    for path, query in (
        ("/users", {"skip": "-1"}),
        ("/users", {"limit": "x"}),
        ("/users", {"skip": "9" * 40}),
        ("/permissions", {"user_id": "9" * 12}),
        ("/permissions", {"facility_id": "a\x00b"}),
        ("/sensor-records/s", {}),
        ("/sensor-records/s", {"start_date": "Invalid date"}),
        ("/sensor-records/s", {"start_date": "0001-01-01T00:00:00+14:00"}),
        ("/sensor-records/s", {"start_date": "2026-02-30 00:00:00"}),
        ("/sensor-records/s", {"start_date": "2026-11-01", "freq": "1W"}),
        ("/sensor-records/s", {"start_date": "2026-11-01", "freq": "9" * 12 + "D"}),
        ("/sensor-records/s", {"start_date": "2026-11-01", "aggregation": "sum"}),
        ("/sensor-records/s", {"start_date": "0001-01-01", "freq": "15S"}),
    ):
        answer = await web.client.get(path, headers=admin, params=query)
        assert answer.status_code == 422, (path, query, answer.text)
    odd = await web.client.get("/facilities", headers=admin, params={"facility_id": "\ud7ff", "limit": "5"})
    assert odd.status_code == 200


async def test_authorization_headers_of_any_shape_are_401(web: Web) -> None:
    for value in ("", "Bearer", "Bearer  x y", "Basic abc", "Bearer a.b.c", "Bearer " + "a" * 8000, "Bearer é"):
        answer = await web.client.get("/users/me", headers=[(b"authorization", value.encode())])
        assert answer.status_code == 401, value
        assert answer.headers["www-authenticate"] == "Bearer"
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImlkIjoxLCJleHAiOjk5OTk5OTk5OTksInR5cCI6ImFjY2VzcyJ9."
    assert (await web.client.get("/users/me", headers={"Authorization": f"Bearer {unsigned}"})).status_code == 401


async def test_probes_name_what_is_missing(web: Web) -> None:
    assert (await web.client.get("/livez")).json() == {"status": "alive"}
    waiting = await web.client.get("/readyz")
    assert waiting.status_code == 503
    assert {name: check["ready"] for name, check in waiting.json()["checks"].items()} == {
        "web": True,
        "database": True,
        "bus": False,
        "engine": False,
    }
    queue = {"connected": True, "last_receive_age_s": 1.0, "error": None}
    state: dict[str, object] = {
        "state": "running",
        "readers": {"sensor-data-queue": queue, "facility-setup-queue": queue},
        "metrics": {
            "counters": {"gasinsight_messages_total": {'queue="data",outcome="completed"': 7}},
            "gauges": {},
            "histograms": {
                "gasinsight_commit_seconds": {"bounds": [0.001, 1], "series": {"": {"counts": [1, 2, 3], "sum": 9.5}}}
            },
        },
    }
    await report(web, state)
    assert (await web.client.get("/readyz")).json()["status"] == "ready"
    shown = (await web.client.get("/metrics")).text
    assert 'gasinsight_messages_total{queue="data",outcome="completed"} 7\n' in shown
    assert 'gasinsight_commit_seconds_bucket{le="1"} 3\n' in shown
    assert 'gasinsight_commit_seconds_bucket{le="+Inf"} 6\n' in shown
    assert "gasinsight_commit_seconds_count 6\n" in shown
    for part in ("web", "database", "bus", "engine"):
        assert f'gasinsight_ready{{part="{part}"}} 1\n' in shown
    queue["connected"] = False
    await report(web, state)
    assert "all 2 queues are not connected" in (await web.client.get("/readyz")).json()["checks"]["bus"]["detail"]
    of_bus, of_engine = [await web.client.get("/readyz", params={"part": part}) for part in ("bus", "engine")]
    assert (of_bus.status_code, list(of_bus.json()["checks"])) == (503, ["bus"])
    assert (of_engine.status_code, list(of_engine.json()["checks"])) == (200, ["engine"])
    assert (await web.client.get("/readyz", params={"part": "nonsense"})).status_code == 422
    await web.database.execute("UPDATE engine_status SET updated_at = now() - interval '1 minute'")
    assert (await web.client.get("/readyz")).json()["checks"]["engine"]["ready"] is False


async def report(web: Web, state: dict[str, object]) -> None:
    await web.database.execute(
        """INSERT INTO engine_status (component, state, updated_at) VALUES ('engine', $1, now())
           ON CONFLICT (component) DO UPDATE SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at""",
        json.dumps(state),
    )


class NoFeed:
    async def watch(self, facility_id: str) -> AsyncIterator[LiveChunk]:
        await asyncio.Event().wait()
        yield LiveChunk(facility_id, ())


class Relay:
    """A way to PostgreSQL that a test can cut, refuse and restore."""

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url)
        self._open: set[asyncio.StreamWriter] = set()
        self.is_up = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        yield urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}"))
        self.cut()
        server.close()

    def cut(self) -> None:
        self.is_up = False
        for writer in self._open:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_up:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._open |= {writer, there_writer}
        await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()
            self._open.discard(writer)


async def test_the_database_may_be_away_at_the_start_and_later(database_url: str, tmp_path: Path) -> None:
    relay = Relay(database_url)
    feed: LiveFeed = NoFeed()
    async with relay.running() as url:
        app = create_app(settings_for(url, tmp_path), feed)
        async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}

            async def signed_in() -> httpx.Response:
                return await client.post("/auth/token", data=form, headers=ORIGIN)

            refused = await signed_in()
            assert refused.status_code == 503
            assert refused.json() == {"detail": "The server is starting; ask again soon"}
            assert refused.headers["access-control-allow-origin"] == ORIGIN["Origin"]
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).json()["checks"]["database"]["ready"] is False
            assert "gasinsight_database_up 0" in (await client.get("/metrics")).text
            relay.is_up = True
            await until_answered(f"http://127.0.0.1:{port}/readyz?part=web")
            answer = await signed_in()
            assert answer.status_code == 200
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await client.get("/users/me", headers=headers)).status_code == 200
            relay.cut()
            away = await client.get("/users/me", headers=headers)
            assert (away.status_code, away.json()) == (503, {"detail": "The database is not available now"})
            relay.is_up = True
            assert (await client.get("/users/me", headers=headers)).status_code == 200
