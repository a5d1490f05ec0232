"""The bus source over the real SDK: the order of the queue, and a bus that dies while a receive waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.bus.service_bus import ServiceBusSource
from engine.clock import SystemClock
from engine.errors import BusUnavailable
from engine.hub.simulator import BusSender
from engine.local_bus import connection_string
from tests.integration.local_bus.harness import KEY, bus_process

pytestmark = [pytest.mark.bus, pytest.mark.timeout(90)]


MESSAGES = 600


async def test_what_arrives_between_two_receives_is_not_given_back(tmp_path: Path) -> None:
    """A message given back would come again behind its followers: a late reading made by ourselves."""
    async with bus_process(tmp_path) as bus:
        address = connection_string(bus.port, KEY)
        source = ServiceBusSource(address, "readings", SystemClock(), silence_s_max=90)
        sender = BusSender(address)

        async def send() -> None:
            for number in range(0, MESSAGES, 3):
                await sender.send("readings", [b'{"n": %d}' % (number + i) + b" " * 30_000 for i in range(3)])

        sending = asyncio.create_task(send())
        seen: list[int] = []
        settling: set[asyncio.Task[None]] = set()
        asked = 1
        while len(seen) < MESSAGES:
            messages = await source.receive(asked, 5)
            assert messages, f"only {len(seen)} of {MESSAGES} came"
            seen += [message.sequence_number for message in messages]
            settling |= {asyncio.create_task(source.complete(message)) for message in messages}
            await asyncio.sleep(0.01)  # what the reader needs to decode
            asked = asked % 50 + 7
        await asyncio.gather(sending, *settling)
        await source.close()
        await sender.close()
    assert seen == sorted(set(seen))


async def test_a_receive_that_waits_is_told_that_the_bus_has_died(tmp_path: Path) -> None:
    """By the end of the connection, long before its own wait is over."""
    async with bus_process(tmp_path) as bus:
        address = connection_string(bus.port, KEY)
        source = ServiceBusSource(address, "readings", SystemClock(), silence_s_max=90)
        sender = BusSender(address)
        await sender.send("readings", [b"{}"])
        await sender.close()
        [message] = await source.receive(1, 10)
        waiting = asyncio.create_task(source.receive(1, 600))
        await source.complete(message)
        assert not waiting.done()
        await bus.kill()
        with pytest.raises(BusUnavailable):
            await asyncio.wait_for(waiting, 30)
        await source.close()
