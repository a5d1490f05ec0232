"""Answers that cost much: what one caller asks for neither takes the others' connections nor stays in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from web.api import histories
from web.edge import connections as listening
from web.history.grid import CELLS_MAX
from web.serving import underway
from web.serving.rows import PIECE_ROWS

pytestmark = pytest.mark.postgres

T0 = datetime(2026, 11, 20, tzinfo=UTC)
WAIT_S = 0.4
UNTAKEN_S = 1
CONNECTIONS = 4


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(underway, "WAIT_S_MAX", WAIT_S)
    monkeypatch.setattr(listening, "UNTAKEN_S_MAX", UNTAKEN_S)
    async with web_server(
        database_url,
        tmp_path,
        large_answers_per_caller_max=1,
        database_connections_max=CONNECTIONS,
        statement_timeout_s=2,
    ) as running:
        await running.facility("f")
        number = await running.sensor("s", "f")
        await running.readings(number, (T0, "24.60"))
        yield running


def grid(cells: int) -> str:
    end = T0 + timedelta(seconds=15 * (cells - 1))
    query = httpx.QueryParams(start_date=f"{T0:%Y-%m-%d %H:%M:%S}", end_date=f"{end:%Y-%m-%dT%H:%M:%S}", freq="15S")
    return f"/sensor-records/s?{query}"


class SlowReader:
    """Asks for the largest grid and takes as much of the answer as it is told."""

    def __init__(self, web: Web, headers: dict[str, str]) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", web.port))
        self._socket.setblocking(False)
        lines = [f"GET {grid(CELLS_MAX)} HTTP/1.1", "Host: x", f"Authorization: {headers['Authorization']}", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())

    async def read(self, size: int) -> bytes:
        """At most so much; nothing at the end."""
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self._socket, size)

    def close(self) -> None:
        self._socket.close()


async def test_a_caller_has_so_many_large_answers_at_once_and_the_others_have_theirs(web: Web) -> None:
    _, kim, _ = await web.user("kim", ("f", "View"))
    _, lea, _ = await web.user("lea", ("f", "View"))
    slow = SlowReader(web, kim)
    assert (await slow.read(12)) == b"HTTP/1.1 200"
    refused = await web.client.get(grid(CELLS_MAX), headers=kim)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await web.client.get(grid(1000), headers=kim)).status_code == 200, "small ones do not count"
    assert (await web.client.get(grid(CELLS_MAX), headers=lea)).status_code == 200
    slow.close()
    async with asyncio.timeout(10):
        while (await web.client.get(grid(CELLS_MAX), headers=kim)).status_code != 200:
            await asyncio.sleep(0.05)


async def test_who_reads_a_byte_now_and_then_is_cut_off_and_who_reads_slowly_is_not(web: Web) -> None:
    """What the client's own buffer holds, it still gets; the server keeps neither a place nor a connection for it."""
    _, kim, _ = await web.user("kim", ("f", "View"))
    dripping = SlowReader(web, kim)
    assert await dripping.read(1) == b"H"
    assert (await web.client.get(grid(CELLS_MAX), headers=kim)).status_code == 429
    await asyncio.sleep(UNTAKEN_S)
    async with asyncio.timeout(10):
        while (await web.client.get(grid(CELLS_MAX), headers=kim)).status_code != 200:
            assert await dripping.read(1)
    rest = b""
    with suppress(ConnectionResetError):
        while data := await dripping.read(65_536):
            rest += data
    assert not rest.endswith(b"0\r\n\r\n"), "the last chunk of a complete answer"
    dripping.close()
    reading, taken = SlowReader(web, kim), 0
    ends_s = asyncio.get_running_loop().time() + 4 * UNTAKEN_S
    while asyncio.get_running_loop().time() < ends_s:
        data = await reading.read(16_384)
        assert data, "some hundred kB a second are enough"
        taken += len(data)
        await asyncio.sleep(0.02)
    assert taken > 100_000
    reading.close()


async def test_an_answer_that_fails_on_its_way_is_seen_to_be_broken(web: Web) -> None:
    _, kim, _ = await web.user("kim", ("f", "View"))
    async with web.client.stream("GET", grid(CELLS_MAX), headers=kim) as answer:
        assert answer.status_code == 200
        pieces = answer.aiter_raw()
        await anext(pieces)
        async with web.database.transaction():
            await web.database.execute("LOCK TABLE sensor_records IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in pieces:
                    pass
    assert (await web.client.get(grid(CELLS_MAX), headers=kim)).status_code == 200


async def test_one_caller_does_not_get_every_connection(web: Web) -> None:
    """Kim's statements wait for a lock, more of them than there are connections; the others' are answered meanwhile."""
    admin = await web.admin()
    _, kim, _ = await web.user("kim", ("f", "View"))
    async with web.database.transaction():
        await web.database.execute("LOCK TABLE sensor_records IN ACCESS EXCLUSIVE MODE")
        waiting = [
            asyncio.create_task(web.client.get(grid(100), headers=kim, timeout=30)) for _ in range(3 * CONNECTIONS)
        ]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        async with asyncio.timeout(1.5):
            assert (await web.client.get("/facilities", headers=admin)).status_code == 200
    assert {(await task).status_code for task in waiting} <= {200, 503}


@pytest.mark.parametrize(
    ("who", "charts"), [("another caller", 1), ("the same caller", 1), ("another caller", 10), ("the same caller", 10)]
)
async def test_a_small_answer_does_not_wait_for_eight_large_ones(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str, charts: int
) -> None:
    """Of one chart each, or of ten. While a small request is under way, no more than a twentieth of them is made."""
    pieces, cells = [0], CELLS_MAX // 5
    spelled = histories._records

    def counted(*cells: Any) -> bytes:
        pieces[0] += 1
        return spelled(*cells)

    monkeypatch.setattr(histories, "_records", counted)
    async with web_server(database_url, tmp_path, large_answers_per_caller_max=8) as web:
        await web.facility("f")
        names = ["s", *(f"s{n}" for n in range(1, charts))]
        for name in names:
            await web.readings(await web.sensor(name, "f"), (T0, "24.60"))
        chart = grid(cells // charts)
        if charts > 1:
            chart = chart.replace("/s?", "?") + "".join(f"&sensor_id={name}" for name in names)
        _, kim, _ = await web.user("kim", ("f", "View"))
        _, lea, _ = await web.user("lea", ("f", "View"))
        small = kim if who == "the same caller" else lea
        large = [asyncio.create_task(web.client.get(chart, headers=kim, timeout=60)) for _ in range(8)]
        while pieces[0] < len(large):
            await asyncio.sleep(0.01)
        made = []
        for path in ("/facilities", grid(100), "/sensors/s", grid(250)) * 3:
            before = pieces[0]
            assert (await web.client.get(path, headers=small)).status_code == 200
            made.append(pieces[0] - before)
        assert not any(task.done() for task in large), "they were under way all the time"
        assert {(await task).status_code for task in large} == {200}
    whole = len(large) * cells / PIECE_ROWS
    assert pieces[0] >= whole
    assert max(made) < whole / 20, made
