"""The doctor on a machine that has only a part of the installation: what is elsewhere is as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine import runtime
from engine.clock import SystemClock
from engine.commands.doctor import Finding, _check_engine, _check_ports, _check_reach
from engine.historian.historian import Historian
from engine.settings import Settings


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("body", "check", "grade"),
    [
        (b'{"checks": {"web": {"ready": true, "detail": "answers"}}}', "web server", "ok"),
        (b'{"checks": {"web": {"ready": false, "detail": "is starting: no schema"}}}', "web server", "wrong"),
        (b'{"status": "alive"}', "web port", "wrong"),
        (b'{"checks": {"web": null}}', "web port", "wrong"),
        (b"<html>another program</html>", "web port", "wrong"),
        (b"[1]", "web port", "wrong"),
    ],
)
async def test_who_has_the_web_port(body: bytes, check: str, grade: str) -> None:
    async with answering(body) as port:
        settings = Settings(_env_file=None, web_port=port, servicebus_connection_string="Endpoint=sb://x/")
        findings: list[Finding] = await asyncio.to_thread(lambda: list(_check_ports(settings, settings)))
    assert [(each.check, each.grade) for each in findings] == [(check, grade)]


@pytest.mark.postgres
@pytest.mark.parametrize("leads", [True, False])
async def test_an_engine_that_stands_by_is_well_when_its_leader_is(
    leads: bool, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, database_url=database_url, data_dir=tmp_path)
    runtime.claim(tmp_path, "engine")
    if leads:
        historian = await Historian.open(database_url, settings, SystemClock())
        reader = {"connected": True, "last_receive_age_s": 0.0}
        await historian.write_engine_status("engine", {"state": "running", "readers": {"sensor-data-queue": reader}})
        await historian.close()
    findings: list[Finding] = await asyncio.to_thread(lambda: list(_check_engine(settings)))
    runtime.withdraw(tmp_path, "engine")
    told = [(each.check, each.grade) for each in findings]
    assert told == [("engine", "ok"), ("limits", "ok")] if leads else ("engine's view of the engine", "wrong") in told


@pytest.mark.parametrize(
    ("database", "bus", "told"),
    [
        ("postgresql://gas@db.example.org/gas", "sb://ns.servicebus.windows.net/", []),
        ("postgresql://gas@10.0.0.1,10.0.0.2/gas", "sb://10.0.0.1:5672", []),
        ("postgresql://gas@127.0.0.1:5432/gas", "sb://ns.servicebus.windows.net/", ["DATABASE_URL"]),
        ("postgresql://gas@/gas?host=/run/postgresql", "sb://localhost:5672", None),
        ("postgresql://gas@[::1]/gas", "sb://[::1]:5672", None),
        ("postgresql://gas@localhost.example.org/gas", "sb://localhost", ["SERVICEBUS_CONNECTION_STRING"]),
    ],
)
def test_what_only_this_machine_reaches_is_told_on_a_cluster(database: str, bus: str, told: list[str] | None) -> None:
    def found(ray_address: str) -> list[str]:
        settings = Settings(
            _env_file=None,
            database_url=database,
            servicebus_connection_string=f"Endpoint={bus};SharedAccessKeyName=local;SharedAccessKey=key",
            ray_address=ray_address,
        )
        return [each.check for each in _check_reach(settings)]

    assert found("10.0.0.1:6379") == (["DATABASE_URL", "SERVICEBUS_CONNECTION_STRING"] if told is None else told)
    assert found("local") == []
