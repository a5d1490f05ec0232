"""The sender loses nothing over a bus that is killed and a network that is cut, and says what it sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from azure.servicebus import ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

import native
from engine.local_bus import connection_string
from engine.settings import load_settings
from tests.chaos.ledger import Contents, Ledger
from tests.chaos.proxy import Fault, TcpProxy
from tests.chaos.sender import GaveUp, Sender, SenderProcess
from tests.integration.local_bus.harness import KEY, BusProcess, bus_process

pytestmark = [pytest.mark.bus, pytest.mark.timeout(120)]

QUEUES = [word for queue in load_settings().queues.values() for word in ("--queue", queue)]


async def test_nothing_is_lost_over_a_killed_bus_and_a_cut_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    stop = asyncio.Event()
    async with bus_process(tmp_path, *QUEUES) as bus:
        proxy = TcpProxy(bus.port)
        await proxy.start()
        sender = Sender(ledger, connection_string(proxy.port, KEY), 3, 2, 10, 200.0)
        running = asyncio.create_task(sender.run(stop))
        await has_sent(sender, 200)
        await proxy.apply(Fault("cut", 0.5))
        await has_sent(sender, sender.readings + 200)
        await bus.kill()
        async with asyncio.timeout(30):
            while not sender.waiting:
                await asyncio.sleep(0.05)
    async with bus_process(tmp_path, *QUEUES, "--port", str(bus.port)) as bus:
        await has_sent(sender, sender.readings + 200)
        stop.set()
        await running
        await proxy.close()
        received = await drained(bus)
    contents = ledger.read()
    assert contents.accepted == contents.last_sequence == sender.accepted
    assert len(contents.rows) == sender.readings
    assert sum(contents.again.values()) == sender.again > 0
    check(contents, received)


async def test_a_process_of_its_own_does_the_same_and_ends_with_its_driver(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    stop = asyncio.Event()
    async with bus_process(tmp_path, *QUEUES) as bus:
        sender = SenderProcess(ledger, connection_string(bus.port, KEY), 4, 2, 10, 200.0)
        running = asyncio.create_task(sender.run(stop))
        async with asyncio.timeout(60):
            while sender.status()["readings"] < 100:
                await asyncio.sleep(0.1)
        assert ledger.last_sequence >= sender.status()["accepted"] > 0
        stop.set()
        await running
        contents = ledger.read()
        assert contents.accepted == contents.last_sequence == sender.status()["accepted"]
        check(contents, await drained(bus))


async def has_sent(sender: Sender, readings: int) -> None:
    async with asyncio.timeout(60):
        while sender.readings < readings:
            await asyncio.sleep(0.05)


async def drained(bus: BusProcess) -> list[bytes]:
    """Every body of the data queue, each delivery."""
    bodies: list[bytes] = []
    async with ServiceBusClient.from_connection_string(connection_string(bus.port, KEY)) as client:
        mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        async with client.get_queue_receiver("sensor-data-queue", receive_mode=mode) as receiver:
            while batch := await receiver.receive_messages(500, max_wait_time=2):
                bodies += [b"".join(message.body) for message in batch]
    return bodies


def check(contents: Contents, bodies: list[bytes]) -> None:
    """What arrived is what the ledger says, at least once each and at most as often as it says."""
    decoded = native.decode(bodies, 2**50, 1e9)
    arrived: dict[tuple[str, int, float], int] = {}
    for number in range(len(decoded.facility_ids)):
        for row in native.batch_rows(decoded.batch(number)):
            key = (row["sensor_id"], row["tracked_at_us"], float(row["data"]))
            arrived[key] = arrived.get(key, 0) + 1
    sent = {
        (contents.sensors[row["sensor"]].sensor_id, int(row["tracked_at_us"]), float(row["value"])): int(sequence)
        for row, sequence in zip(contents.rows, contents.row_sequences, strict=True)
    }
    assert len(sent) == len(contents.rows) > 0
    assert arrived.keys() == sent.keys()
    assert all(1 <= count <= 1 + contents.again[sent[key]] for key, count in arrived.items())
    assert (np.diff(contents.row_sequences.astype(np.int64)) >= 0).all()


async def test_it_gives_up_when_the_bus_stays_away_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.sender.AFTER_STOP_S_MAX", 0.5)
    ledger = Ledger(tmp_path / "ledger")
    stop = asyncio.Event()
    stop.set()
    sender = Sender(ledger, connection_string(1, KEY), 3, 2, 10, 200.0)
    with pytest.raises(GaveUp, match="cannot send"):
        await sender.run(stop)
    assert (ledger.read().accepted, ledger.last_sequence) == (0, 2)
