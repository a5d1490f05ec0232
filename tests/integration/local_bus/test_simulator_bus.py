"""The simulated hub over the real SDK and the local bus: what is on the wire, and a bus that goes away in between."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

from engine.bus.queue_lengths import queue_lengths
from engine.clock import SystemClock
from engine.errors import BusUnavailable, SettingsError
from engine.hub.field import FieldOptions
from engine.hub.simulator import BusSender, Hub, HubOptions
from engine.local_bus import LocalBus
from tests.integration.local_bus.harness import KEY, running_bus

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]

QUEUES = {"setup": "facility-setup-queue", "activation": "sensor-activation-queue", "data": "sensor-data-queue"}
OPTIONS = HubOptions(
    FieldOptions(2, 6, 60.0, seed=4, faults="spike@1"), setup_wait_s=0.1, activation_wait_s=0.1, duration_s=4
)


async def take_all(connection_string: str, queue: str) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver,
    ):
        while batch := await receiver.receive_messages(500, max_wait_time=1):
            found += batch
    return found


def body_of(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b"".join(message.body))
    return body


async def test_messages_are_those_of_a_hub_in_the_field(tmp_path: Path) -> None:
    async with running_bus(tmp_path, queues=tuple(QUEUES.values())) as bus:
        hub = Hub(OPTIONS, QUEUES, BusSender(bus.connection_string), SystemClock(), lambda event, fields: None)
        sent = await hub.run()
        lengths = await queue_lengths(bus.connection_string, QUEUES.values(), 100)
        assert lengths == {QUEUES["setup"]: (2, 0), QUEUES["activation"]: (12, 0), QUEUES["data"]: (100, 0)}
        messages = await take_all(bus.connection_string, QUEUES["data"])
        assert len(messages) == sent == pytest.approx(240, abs=15)
        assert len({message.message_id for message in messages}) == sent
        assert {(message.session_id, message.subject, message.content_type) for message in messages} == {(None,) * 3}
        assert all(set(body_of(one)) == {"sensor_id", "facility_id", "tracked_at", "data"} for one in messages)


async def test_a_bus_that_goes_away_costs_time_and_nothing_else(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = HubOptions(OPTIONS.field, setup_wait_s=0.1, activation_wait_s=0.1, duration_s=4, truth=truth)
    waited: list[str] = []
    async with running_bus(tmp_path / "bus", queues=tuple(QUEUES.values())) as bus:
        port, address = bus.port, bus.connection_string
        hub = Hub(options, QUEUES, BusSender(address), SystemClock(), lambda event, _: waited.append(event))
        running = asyncio.create_task(hub.run())
        await asyncio.sleep(1.5)
    await asyncio.sleep(1.0)
    again = LocalBus(tmp_path / "bus", tuple(QUEUES.values()), port, key=KEY)
    await again.start()
    try:
        assert await asyncio.wait_for(running, 30) > 200
        assert "waiting" in waited
        for carries, queue in QUEUES.items():
            told = [json.loads(line) for line in truth.read_text().splitlines()]
            wanted = {json.dumps(line["body"]) for line in told if line["queue"] == carries}
            assert {json.dumps(body_of(message)) for message in await take_all(address, queue)} == wanted
    finally:
        await again.stop()


async def test_a_bus_that_is_not_there_and_a_key_that_is_wrong_are_told_apart(tmp_path: Path) -> None:
    async with running_bus(tmp_path, queues=("sensor-data-queue",)) as bus:
        wrong = BusSender(bus.connection_string.replace(KEY, "bm90IHRoZSBrZXk="))
        with pytest.raises(SettingsError, match="refuses our key"):
            await wrong.send("sensor-data-queue", [b"{}"])
        address = bus.connection_string
    sender = BusSender(address)
    with pytest.raises(BusUnavailable, match="cannot send to sensor-data-queue"):
        await sender.send("sensor-data-queue", [b"{}"])
    await sender.close()
    with pytest.raises(BusUnavailable):
        await queue_lengths(address, ["sensor-data-queue"], 10)
    with pytest.raises(SettingsError, match="not usable"):
        await BusSender("Endpoint=nonsense").send("sensor-data-queue", [b"{}"])
