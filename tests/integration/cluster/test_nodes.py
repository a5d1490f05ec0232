"""An engine on a Ray cluster of two nodes under load: spread, drain, a lost node, a second engine, a lost head."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from azure.servicebus.aio import ServiceBusClient

from engine.cluster.feed import ClusterFeed
from engine.cluster.watch import RAY_LOST_STATUS
from engine.local_bus.server import LocalBus
from engine.settings import Settings
from tests.integration.cluster.field import QUEUES, Field
from tests.integration.cluster.harness import Engine, Hub, eventually, rows_of
from tests.integration.cluster.ray_nodes import RayNodes
from tests.integration.local_bus.harness import running_bus

FACILITIES = ("f0", "f1", "f2", "f3")


class Site:
    """What a test sees of the installation."""

    def __init__(self, rows: asyncpg.Connection, load: Field, told: Callable[[], str]) -> None:
        self._rows = rows
        self._load = load
        self.told = told

    async def state(self) -> dict[str, Any]:
        text = await self._rows.fetchval("SELECT state FROM engine_status WHERE component = 'engine'")
        state: dict[str, Any] = json.loads(text or "{}")
        return state

    async def facilities_by_node(self) -> dict[str, int]:
        return {node["node_id"]: node["facilities"] for node in (await self.state()).get("nodes", []) if node["alive"]}

    async def all_stored(self) -> bool:
        return bool(await self._rows.fetchval("SELECT count(*) FROM sensor_records") == self._load.sent)

    async def works_again(self, what: str, seconds: float, since_s: float | None = None) -> None:
        """Until everything sent up to now and a reading more of each facility is stored; the time is printed."""
        started_s = since_s or asyncio.get_running_loop().time()
        await self._load.send()
        await eventually(self.all_stored, seconds, self.told)
        took_s = asyncio.get_running_loop().time() - started_s
        sys.stdout.write(f"\n{what}: {took_s:.1f} s until all {self._load.sent} readings were stored\n")


async def gasinsight(engine: Engine, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.commands.cli.app",
        *arguments,
        env={**os.environ, **engine.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, output.decode()


def ended(engine: Engine) -> Callable[[], Awaitable[bool]]:
    async def has_ended() -> bool:
        return engine.process is not None and engine.process.returncode is not None

    return has_ended


@pytest.mark.ray
@pytest.mark.bus
@pytest.mark.postgres
@pytest.mark.timeout(600)
async def test_nodes_come_and_go_under_load_and_nothing_is_lost_or_doubled(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="gi-") as short:  # unix sockets have short names
        nodes = RayNodes(Path(short) / "r")
        engines: list[Engine] = []
        try:
            async with running_bus(tmp_path / "bus", lock_s=5.0, queues=QUEUES) as bus:
                await nodes.start_head()
                await nodes.start_node("second")
                for name, value in nodes.environment.items():
                    monkeypatch.setenv(name, value)  # as it is for a web server on a node
                for name in ("one", "two"):
                    (tmp_path / name).mkdir()
                    engine = Engine(tmp_path / name, database_url, bus.connection_string)
                    engine.environment |= {**nodes.environment, "FACILITIES_PER_ACTOR": "1"}
                    engines.append(engine)
                await _go_through(nodes, engines, bus, database_url)
        finally:
            for engine in engines:
                if engine.process is not None and engine.process.returncode is None:
                    os.killpg(engine.process.pid, signal.SIGKILL)
            nodes.close()


async def _go_through(nodes: RayNodes, engines: list[Engine], bus: LocalBus, database_url: str) -> None:
    first, second = engines
    await first.start()
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        rows_of(database_url) as rows,
    ):
        load = Field(Hub(client).send, FACILITIES)
        site = Site(rows, load, lambda: "\n".join([nodes.log_text(), *(engine.log_text() for engine in engines)]))
        await load.introduce()
        await site.works_again("start", 150)

        async def spread() -> bool:
            return sorted((await site.facilities_by_node()).values()) == [2, 2]

        await eventually(spread, 90, site.told)
        async with load.flowing():
            await _watch(Settings(_env_file=None, data_dir=first.data_dir / "elsewhere"))
            await _drain_and_undo(first, site)
            await eventually(spread, 120, site.told)  # balanced again
        await site.works_again("drain, undo, balance", 60)

        async with load.flowing():
            await asyncio.sleep(1)
            nodes.kill("second")
            killed_at_s = asyncio.get_running_loop().time()
            await asyncio.sleep(2)
        await site.works_again("a node killed", 90, killed_at_s)

        await second.start()
        await eventually(lambda: _waits_to_lead(second), 90, site.told)
        async with load.flowing():
            await asyncio.sleep(1)
            await first.kill()
            killed_at_s = asyncio.get_running_loop().time()
            await asyncio.sleep(2)
        await site.works_again("the leading engine killed", 120, killed_at_s)

        async with load.flowing():
            nodes.kill("head")
            killed_at_s = asyncio.get_running_loop().time()
            await eventually(ended(second), 30, site.told)
        assert second.process is not None and second.process.returncode == RAY_LOST_STATUS
        await second.start()  # as its keeper would

        async def waits() -> bool:
            return (await site.state()).get("state") == "waiting"

        await eventually(waits, 60, site.told)
        assert "nothing answers at" in (await site.state())["troubles"][0]
        await nodes.start_head()
        await site.works_again("the head killed and back", 180, killed_at_s)

        counts = [bus.counts[queue] for queue in QUEUES]
        assert sum(each.dead_lettered for each in counts) == 0
        assert await rows.fetchval("SELECT count(*) FROM reading_conflicts") == 0
        assert await second.stop() == 0


async def _watch(settings: Settings) -> None:
    """A web server that knows the cluster's address only gets values of every facility, wherever it is."""
    feed = ClusterFeed(settings)

    async def first_frame(facility: str) -> str:
        async for chunk in feed.watch(facility):
            if chunk.frames:
                return chunk.frames[0][0]
        raise AssertionError("a watch has no end")

    try:
        async with asyncio.timeout(60):
            seen = await asyncio.gather(*(first_frame(facility) for facility in FACILITIES))
        assert seen == [f"{facility}-t" for facility in FACILITIES]
    finally:
        await feed.close()


async def _drain_and_undo(engine: Engine, site: Site) -> None:
    state = await site.state()
    other = next(node["node_id"] for node in state["nodes"] if not node["engine"])
    own = next(node["node_id"] for node in state["nodes"] if node["engine"])
    status, output = await gasinsight(engine, "drain", other[:10], "--json")
    assert (status, json.loads(output.splitlines()[-1])["event"]) == (0, "safe"), output
    assert (await site.facilities_by_node())[other] == 0
    status, output = await gasinsight(engine, "drain", own)
    assert status == 2 and "is the last node that can carry facilities" in output
    status, output = await gasinsight(engine, "drain", other, "--undo")
    assert status == 0, output


async def _waits_to_lead(engine: Engine) -> bool:
    return "waiting_to_lead" in engine.log_text()
