"""One installation, restarted part by part while readings come in: nothing lost or doubled, every alert told once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.bus.queue_lengths import queue_lengths
from engine.clock import US_PER_S
from engine.errors import BusUnavailable
from migrations import upgrade
from tests.integration.cluster.field import QUEUES
from tests.integration.cluster.harness import ENGINE_START_S_MAX, Engine, eventually
from tests.integration.cluster.rolling import STEP_US, STEPS_MAX, Bus, Client, Part, Sender, Standstill, Web
from tests.integration.historian.test_upgrade_schema import upgrading

pytestmark = [pytest.mark.ray, pytest.mark.bus, pytest.mark.postgres, pytest.mark.timeout(900)]
REDELIVERED = "gasinsight_redeliveries_total"


class House:
    """Everything that runs, and how it looks from outside."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.url = database_url
        self.bus = Bus(folder)
        self.web = Web(folder, database_url)
        self.engines = [Engine(folder / name, database_url, self.bus.address) for name in ("old", "new")]
        for engine in self.engines:
            engine.data_dir.mkdir()
            # hours of readings pass in minutes: what began and ended in them is news here
            engine.environment["LATE_ALARM_S_MAX"] = str(STEPS_MAX * STEP_US // US_PER_S)
        self.sender = Sender(self.bus.address)
        self.client = Client(self.web)

    async def value(self, query: str) -> Any:
        """Also while PostgreSQL is restarting."""
        while True:
            try:
                rows = await asyncpg.connect(self.url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)
                continue
            try:
                return await rows.fetchval(query)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.1)
            finally:
                rows.terminate()

    async def stored(self) -> int:
        return int(await self.value("SELECT count(*) FROM sensor_records"))

    async def goes_on(self) -> None:
        """Wait until everything that was sent by now is stored."""
        wanted = self.sender.sent + 8

        async def is_stored() -> bool:
            return await self.stored() >= wanted

        await eventually(is_stored, ENGINE_START_S_MAX, self.told)

    async def redelivered(self) -> float:
        state = json.loads(str(await self.value("SELECT state FROM engine_status WHERE component = 'engine'")))
        return float(sum(state["metrics"]["counters"].get(REDELIVERED, {}).values()))

    def told(self) -> str:
        parts: list[Part] = [self.bus, self.web]
        return "\n".join([*(part.log.read_text()[-2000:] for part in parts), *(e.log_text() for e in self.engines)])

    def kill(self) -> None:
        self.bus.kill()
        self.web.kill()
        for engine in self.engines:
            if engine.process is not None and engine.process.returncode is None:
                os.killpg(engine.process.pid, signal.SIGKILL)


async def says(engine: Engine, event: str) -> bool:
    return event in engine.log_text()


async def hand_over(house: House) -> float:
    """The next engine waits until the present one is told to end; the longest time without a commit."""
    old, new = house.engines
    await new.start()
    await eventually(lambda: says(new, "waiting_to_lead"), ENGINE_START_S_MAX, house.told)
    standstill = Standstill()
    watching = asyncio.create_task(standstill.watch(house.stored))
    await house.goes_on()
    assert await old.stop() == 0, house.told()
    await house.goes_on()
    watching.cancel()
    return standstill.longest_s


async def test_a_rolling_restart_of_everything_under_load(
    tmp_path: Path, database_url: str, server_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, database_url)
    users: list[asyncio.Task[None]] = []
    seconds: dict[str, float] = {}
    try:
        await house.bus.start()
        await house.web.start()
        await house.engines[0].start()
        await house.sender.introduce()
        users = [asyncio.create_task(house.sender.run()), asyncio.create_task(house.client.run())]
        await house.goes_on()

        async def followed_again() -> bool:
            if users[1].done():
                users[1].result()  # says why it gave up
            return len(house.client.alert_ids) > told

        await house.web.restart()
        told = len(house.client.alert_ids)
        await eventually(followed_again, 60, house.told)

        migration = await upgrading(database_url, tmp_path / "migration.log")
        seconds["engine handed over"] = await hand_over(house)
        redelivered = await house.redelivered()
        assert await migration.wait() == 0, (tmp_path / "migration.log").read_text()
        assert await upgrade.current_revision(database_url) == "next"

        for name, restart in (("bus", house.bus.restart), ("PostgreSQL", lambda: restart_postgres(server_folder))):
            started_s = time.monotonic()
            await restart()
            await house.goes_on()
            seconds[f"{name} restarted"] = time.monotonic() - started_s

        house.sender.stop.set()
        await users[0]
        await check_the_end(house)
        redelivered += await house.redelivered()
        took = ", ".join(f"{name} {each:.1f} s" for name, each in seconds.items())
        with capsys.disabled():
            sys.stdout.write(
                f"\n{house.sender.sent} readings, {len(house.client.alert_ids)} alerts, {redelivered:.0f} messages"
                f" redelivered; longest without a commit, then until all was stored: {took}\n"
            )
    finally:
        for user in users:
            user.cancel()
        await asyncio.gather(*users, return_exceptions=True)
        house.kill()


async def check_the_end(house: House) -> None:
    async def is_settled() -> bool:
        try:
            lengths = await queue_lengths(house.bus.address, QUEUES, 100)
        except BusUnavailable:
            return False
        assert all(dead == 0 for _, dead in lengths.values()), lengths
        return all(waiting == 0 for waiting, _ in lengths.values())

    async def all_are_told() -> bool:
        rows = await asyncpg.connect(house.url)
        journal = await rows.fetch("SELECT id FROM alarm_events WHERE transition = 'activated' ORDER BY id")
        await rows.close()
        return house.client.alert_ids == [row["id"] for row in journal]

    await eventually(is_settled, 60, house.told)
    assert await house.stored() == house.sender.sent
    assert await house.value("SELECT count(*) FROM dead_letters") == 0
    assert await house.value("SELECT count(*) FROM parked") == 0
    twice = "SELECT count(*) FROM (SELECT 1 FROM alarm_events WHERE NOT late GROUP BY sensor_no, rule, transition,"
    assert await house.value(f"{twice} event_time HAVING count(*) > 1) twice") == 0
    alarms = "SELECT count(*) FROM alarm_events WHERE rule = 'high' AND transition = 'activated'"
    violations = "SELECT count(*) FROM sensor_records WHERE value = 30.5"
    assert await house.value(alarms) == await house.value(violations)
    await eventually(all_are_told, 20, lambda: f"{house.client.alert_ids[-5:]}\n{house.told()}")


async def restart_postgres(server_folder: Path) -> None:
    """Fast shutdown; whoever keeps the server of these tests starts it again."""
    pid_file = (server_folder / "session" / "postgres" / "data" / "postmaster.pid").resolve()
    pid = int(pid_file.read_text().split()[0])
    os.kill(pid, signal.SIGINT)
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            await asyncio.sleep(0.05)
