"""The engine as it runs: Ray, actors, the real SDK, the local bus, PostgreSQL; and kill -9 of each under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import pytest
from azure.servicebus.aio import ServiceBusClient

from engine.cluster.feed import ClusterFeed
from engine.errors import ClusterUnavailable
from tests.integration.cluster.field import ACTIVATIONS, FACILITIES, QUEUES, SETUPS, Field, activation_body, setup_body
from tests.integration.cluster.harness import ENGINE_START_S_MAX, Engine, Hub, eventually, is_running, rows_of
from tests.integration.local_bus.harness import running_bus


@pytest.mark.ray
@pytest.mark.bus
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_doubled_when_processes_are_killed(tmp_path: Path, database_url: str) -> None:
    async with running_bus(tmp_path / "bus", lock_s=5.0, queues=QUEUES) as bus:
        engine = Engine(tmp_path, database_url, bus.connection_string)
        await engine.start()
        feed = ClusterFeed(engine.settings)
        try:
            async with (
                ServiceBusClient.from_connection_string(bus.connection_string) as client,
                rows_of(database_url) as rows,
            ):
                hub = Hub(client)
                field = Field(hub.send, begins_s_ago=60)

                async def all_stored() -> bool:
                    return bool(await rows.fetchval("SELECT count(*) FROM sensor_records") == field.sent)

                async def all_settled() -> bool:
                    counts = [bus.counts[queue] for queue in QUEUES]
                    return all(each.active == 0 and each.locked == 0 for each in counts)

                # The wrong way round: readings, activations, setups.
                await field.send(30)
                await hub.send(ACTIVATIONS, [activation_body(facility) for facility in FACILITIES])
                await hub.send(SETUPS, [setup_body(facility) for facility in FACILITIES])
                await eventually(all_stored, ENGINE_START_S_MAX, engine.log_text)

                live = asyncio.create_task(first_frame(feed, "north"))
                await asyncio.sleep(3)
                while not live.done():
                    await field.send(3)
                    await asyncio.sleep(0.2)
                assert json.loads(await live)["sensor_id"] == "north-t"

                epoch = await rows.fetchval("SELECT epoch FROM facility_epochs WHERE facility_id = 'north'")
                await rows.execute("UPDATE facilities SET name = 'Northern' WHERE id = 'north'")
                await rows.execute("SELECT pg_notify('facility_config', 'north')")  # as the web server does

                async def loaded_again() -> bool:
                    now = await rows.fetchval("SELECT epoch FROM facility_epochs WHERE facility_id = 'north'")
                    return bool(now > epoch)

                await eventually(loaded_again, 60, engine.log_text)
                await field.send(-field.sent % len(FACILITIES) + 1, "26.0")  # up to and with one of north
                await eventually(all_stored, 60, engine.log_text)
                message = await rows.fetchval("SELECT message FROM alarm_events WHERE message LIKE '%Northern%'")
                assert message.endswith("in Northern is above maximum threshold (25.0)")
                activated = "SELECT count(*) FROM alarm_events WHERE transition = 'activated' AND rule <> 'stale'"
                alerts = await rows.fetchval(activated)

                async def in_force() -> bool:
                    return not await rows.fetchval("SELECT count(*) FROM alarm_commands WHERE state <> 'done'")

                await ask(rows, "acknowledge")
                await eventually(in_force, 30, engine.log_text)
                for victim in ("FacilityActor", "HistorianActor", "IntakeActor"):
                    for _ in range(5):
                        await field.send(30)
                        await asyncio.sleep(0.05)
                    killed = engine.kill_actor(victim)
                    await ask(rows, "comment")
                    await field.send(30)
                    await eventually(all_stored, 40, engine.log_text)
                    assert killed not in engine.pids_of(victim)
                    await eventually(in_force, 30, engine.log_text)
                by_people = "SELECT transition, command_id FROM alarm_events WHERE command_id IS NOT NULL ORDER BY id"
                told = [tuple(row) for row in await rows.fetch(by_people)]
                assert [transition for transition, _ in told] == ["acknowledged", *["commented"] * 3]
                assert len(set(told)) == 4
                assert await rows.fetchval("SELECT acknowledged_by FROM alarms WHERE rule = 'high'") == "user:1"

                left = await engine.kill()
                await field.send(30)
                await engine.start()
                await eventually(lambda: _gone(left), 60, lambda: f"still there: {left}")
                await eventually(all_stored, ENGINE_START_S_MAX, engine.log_text)
                await eventually(all_settled, 20, engine.log_text)
                assert await rows.fetchval("SELECT count(*) FROM parked") == 0
                assert sum(bus.counts[queue].dead_lettered for queue in QUEUES) == 0
                assert await rows.fetchval(activated) == alerts

                await eventually(lambda: _lives(feed, "south", field), 60, engine.log_text)
                left = set(engine.pids_of(""))
                assert await engine.stop() == 0
                await eventually(lambda: _gone(left), 60, lambda: f"still there: {left}")
                state = json.loads(await rows.fetchval("SELECT state FROM engine_status WHERE component = 'engine'"))
                assert state["state"] == "stopped"
                assert await rows.fetchval("SELECT count(*) FROM checkpoints") == len(FACILITIES)
        finally:
            await feed.close()
            if engine.process is not None and engine.process.returncode is None:
                os.killpg(engine.process.pid, signal.SIGKILL)


async def ask(rows: asyncpg.Connection, command: str) -> None:
    """As the web server does, of the alarm of north's sensor."""
    async with rows.transaction():
        await rows.execute(
            """INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name,
                                           reason, state, refusal)
               SELECT gen_random_uuid()::text, 'north', sensor_no || ':high', $1, clock_timestamp(), 'user:1', 'ann',
                      'because', 'waiting', ''
                 FROM sensors WHERE id = 'north-t'""",
            command,
        )
        await rows.execute("SELECT pg_notify('alarm_commands', 'north')")


async def first_frame(feed: ClusterFeed, facility: str) -> bytes:
    async for chunk in feed.watch(facility):
        if chunk.frames:
            return chunk.frames[0][2]
    raise AssertionError("a watch has no end")


async def _lives(feed: ClusterFeed, facility: str, field: Field) -> bool:
    """A watcher of the new engine gets values, after the end of the old one was told."""
    live = asyncio.create_task(first_frame(feed, facility))
    try:
        for _ in range(20):
            await asyncio.sleep(0.5)
            if live.done():
                return bool(live.result())
            await field.send(3)
    except ClusterUnavailable:
        return False
    finally:
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)
    return False


async def _gone(pids: set[int]) -> bool:
    return not any(is_running(pid) for pid in pids)
