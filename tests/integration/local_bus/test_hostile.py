"""Clients that are broken, rude or gone: the local bus loses nothing but their connection."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.local_bus import Counts, LocalBus, bus_status
from engine.local_bus.amqp_types import Described, Symbol, ULong
from engine.local_bus.codec import encode
from engine.local_bus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Open,
    Transfer,
    encode_frame,
)
from engine.local_bus.link import Inbound
from engine.local_bus.message import BATCH_FORMAT
from engine.local_bus.places import Places
from tests.integration.local_bus.wire import ACCEPTED, Wire, attach, connected, data, put

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]


@pytest.fixture
async def bus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[LocalBus]:
    bus = LocalBus(tmp_path, ["readings"], 0, places=Places(known_max=12))
    await bus.start()
    yield bus
    assert "error of its own" not in caplog.text, "what a client says is never the bus' own error"
    assert await bus_status(bus.port, None) == bus.counts, "the bus no longer answers"
    await bus.stop()


@pytest.fixture
async def wire(bus: LocalBus) -> AsyncIterator[Wire]:
    async with connected(bus) as wire:
        yield wire


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"AMQP\x00\x00\x09\x01",
    SASL_HEADER + bytes(64),
    AMQP_HEADER + struct.pack(">IBBH", 7, 2, 0, 0),
    AMQP_HEADER + struct.pack(">IBBH", 0xFFFFFFFF, 2, 0, 0) + bytes(64),
    AMQP_HEADER + struct.pack(">IBBH", 16, 200, 0, 0) + bytes(8),
    AMQP_HEADER + struct.pack(">IBBH", 12, 2, 9, 0) + bytes(4),
    AMQP_HEADER + encode_frame(0, Begin(None, 0, 1, 1)),
    AMQP_HEADER + encode_frame(0, Open("twice")) * 2,
    AMQP_HEADER + encode_frame(0, Open("me")) + encode_frame(0, Detach(0)),
    AMQP_HEADER + encode_frame(0, Open("me")) + encode_frame(999, Begin(None, 0, 1, 1)),
    AMQP_HEADER + encode_frame(0, Open("me")) + encode_frame(0, Begin(None, 0, 1, 1)) + encode_frame(0, Transfer(5)),
    AMQP_HEADER + encode_frame(0, Open("me")) + encode_frame(0, Begin(None, 0, 1, 1)) * 2,
]


@pytest.mark.parametrize("octets", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_not_amqp_is_hung_up_on(bus: LocalBus, octets: bytes) -> None:
    async with connected(bus, opened=False) as wire:
        wire.say(octets)
        assert await wire.is_closed()


async def test_random_bytes_at_every_stage(bus: LocalBus) -> None:
    chance = random.Random(20_260)
    stages = [b"", SASL_HEADER, AMQP_HEADER, AMQP_HEADER + encode_frame(0, Open("me"))]
    stages.append(stages[-1] + encode_frame(0, Begin(None, 0, 9, 9)))
    stages.append(stages[-1] + encode_frame(0, attach(0, receives=False)))
    for number in range(120):
        body = chance.randbytes(chance.randrange(1, 200))
        framed = struct.pack(">IBBH", 8 + len(body), 2, 0, 0) + body
        async with connected(bus, opened=False) as wire:
            wire.say(stages[number % len(stages)] + (framed if number % 2 else body))
            await wire.writer.drain()
    await asyncio.sleep(0.05)


async def test_a_mutated_conversation_is_survived(bus: LocalBus, wire: Wire) -> None:
    """Whole frames of a right conversation with one byte changed: deeper than random bytes get."""
    chance = random.Random(7)
    talk = b"".join(
        [
            encode_frame(0, Open("me")),
            encode_frame(0, Begin(None, 0, 9, 9)),
            encode_frame(0, attach(0, receives=False)),
            encode_frame(0, attach(1, receives=True)),
            encode_frame(0, Flow(0, 9, 0, 9, 1, 0, 5)),
            encode_frame(0, Transfer(0, 0, b"t", 0, False, False), data(b"mutant")),
            encode_frame(0, Disposition(True, 1 << 30, (1 << 30) + 4, True, ACCEPTED)),
            encode_frame(0, Detach(0, True)),
        ]
    )
    for _ in range(150):
        mutated = bytearray(talk)
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        async with connected(bus, opened=False) as other:
            other.say(AMQP_HEADER + bytes(mutated))
            await other.writer.drain()
    await asyncio.sleep(0.05)
    wire.say(Flow(None, 10, 0, 10, None, None, None, None, None, True))
    await wire.until(Flow)


async def test_a_client_that_vanishes_within_a_message_sent_nothing(bus: LocalBus, wire: Wire) -> None:
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, True), payload=data(b"x" * 1_000)[:500])
    await wire.writer.drain()
    wire.vanish()
    await asyncio.sleep(0.05)
    assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_an_aborted_message_is_forgotten_and_the_next_is_taken(bus: LocalBus, wire: Wire) -> None:
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, True), payload=b"half")
    wire.say(Transfer(0, aborted=True))
    wire.say(Transfer(0, 1, b"b", 0, False, False), payload=data(b"whole"))
    settled = (await wire.until(Disposition)).performative
    assert (settled.first, settled.state) == (1, ACCEPTED)
    assert bus.counts["readings"].active == 1


async def test_half_a_batch_is_refused_whole(bus: LocalBus, wire: Wire) -> None:
    await wire.send_link()
    batch = b"".join(data(data(b"reading")) for _ in range(3))
    wire.say(Transfer(0, 0, b"a", BATCH_FORMAT, False, False), payload=batch[:-4])
    settled = (await wire.until(Disposition)).performative
    assert settled.state.descriptor == 0x25
    assert settled.state.value[0].value[0] == "amqp:decode-error"
    assert bus.counts["readings"].active == 0
    wire.say(Transfer(0, 1, b"b", BATCH_FORMAT, False, False), payload=batch)
    assert (await wire.until(Disposition)).performative.state == ACCEPTED
    assert bus.counts["readings"].active == 3


@pytest.mark.parametrize("payload", [b"no section", encode(Described(ULong(0x73), 5)), data(b"cut")[:-1]])
async def test_a_message_that_cannot_be_read_is_refused(bus: LocalBus, wire: Wire, payload: bytes) -> None:
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=payload)
    assert (await wire.until(Disposition)).performative.state.descriptor == 0x25
    assert bus.counts["readings"].active == 0


async def test_an_endless_message_is_refused_and_not_kept(bus: LocalBus, wire: Wire) -> None:
    await wire.send_link()
    for _ in range(300):
        wire.say(Transfer(0, 0, b"a", 0, False, True), payload=bytes(60_000))
        await wire.writer.drain()
    (link,) = [link for connection in bus._connections for link in connection._sessions[0].links.values()]
    assert isinstance(link, Inbound)
    assert sum(map(len, link._parts)) <= 256 * 1024
    wire.say(Transfer(0, 0, b"a", 0, False, False))
    state = (await wire.until(Disposition)).performative.state
    assert state.value[0].value[0] == "amqp:link:message-size-exceeded"


async def test_settling_what_one_does_not_have_says_so(bus: LocalBus, wire: Wire) -> None:
    wire.say(Disposition(True, 7, None, False, ACCEPTED))
    settled = (await wire.until(Disposition)).performative
    assert (settled.role, settled.first, settled.settled) == (False, 7, True)
    assert settled.state.value[0].value[0] == "com.microsoft:message-lock-lost"
    wire.say(Disposition(True, 8, None, False, Described(ULong(0x99), [])))
    assert (await wire.until(Disposition)).performative.first == 8


async def test_a_refused_link_leaves_the_session_whole(bus: LocalBus, wire: Wire) -> None:
    wire.say(attach(0, receives=False, address="nowhere"))
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=data(b"into the void"))
    refused = (await wire.until(Attach)).performative
    assert (refused.source, refused.target) == (None, None)
    detach = (await wire.until(Detach)).performative
    assert (detach.closed, detach.error.value[0]) == (True, "amqp:not-found")
    wire.say(Detach(0, True))
    await put(wire, b"a")
    assert bus.counts["readings"].active == 1


async def test_a_session_filter_is_refused(bus: LocalBus, wire: Wire) -> None:
    source = Described(ULong(0x28), ["readings", *[None] * 6, {Symbol("com.microsoft:session-filter"): "s"}])
    wire.say(Attach("s", 0, True, 0, 1, source, Described(ULong(0x29), ["me"])))
    assert (await wire.until(Detach)).performative.error.value[0] == "amqp:not-allowed"
