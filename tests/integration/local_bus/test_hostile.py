"""Clients that are broken, rude or gone: the local bus loses nothing but their connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.local_bus import Counts, LocalBus, bus_status
from engine.local_bus.amqp_types import Array, Described, Int, Symbol, Timestamp, UInt, ULong
from engine.local_bus.codec import decode, encode
from engine.local_bus.connection import UNSTORED_BYTES_MAX
from engine.local_bus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    TYPE_SASL,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    Flow,
    Open,
    SaslInit,
    Transfer,
    encode_frame,
)
from engine.local_bus.link import REPLIES_BYTES_MAX, Inbound
from engine.local_bus.link_targets import MESSAGE_COST_BYTES, REQUEST_COST_BYTES
from engine.local_bus.management import ITEMS_MAX
from engine.local_bus.message import BATCH_FORMAT, SCHEDULED_MS_MAX, Request, parse_request
from engine.local_bus.places import Places
from engine.local_bus.queue import DEFERRED_BYTES_MAX
from tests.integration.local_bus.harness import eventually
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
    assert len(link._payload) <= 256 * 1024
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


# Of what a client says nothing may reach another client, or the bus after it


def message_with(*sections: tuple[int, object]) -> bytes:
    return b"".join(encode(Described(ULong(code), value)) for code, value in sections) + data(b"a")


async def is_alive(bus: LocalBus, wire: Wire) -> bool:
    """Whether messages still come in and go out, on a link that is there."""
    async with connected(bus) as other:
        await put(other, b"after")
        await other.receive_link(1, credit=10)
        await other.until(Transfer)
    return True


ODD_ARRAY = b"\xe0\x03\x01\x56\x01"  # of a boolean: a type that nobody else writes


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0x70, [None, None, ULong(1 << 63)]),
        (0x70, [None, None, -1]),
        (0x70, [None, None, UInt(2**32 - 1)]),
        (0x72, {Symbol("x-opt-sequence-number"): 1, Symbol("odd"): decode(ODD_ARRAY)[0]}),
        (0x72, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(-(1 << 63))}),
    ],
    ids=["ttl of 64 bits", "ttl below nothing", "longest ttl", "array of another kind", "due before time"],
)
async def test_an_odd_message_is_taken_and_handed_out(bus: LocalBus, wire: Wire, code: int, value: object) -> None:
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=message_with((code, value)))
    assert (await wire.until(Disposition)).performative.state == ACCEPTED
    assert await is_alive(bus, wire)


@pytest.mark.parametrize("due_ms", [SCHEDULED_MS_MAX, SCHEDULED_MS_MAX + 1, (1 << 63) - 1])
async def test_a_message_is_due_within_the_years_that_clients_can_say(bus: LocalBus, wire: Wire, due_ms: int) -> None:
    await wire.send_link()
    scheduled = message_with((0x72, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(due_ms)}))
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=scheduled)
    state = (await wire.until(Disposition)).performative.state
    assert state.descriptor == (0x24 if due_ms == SCHEDULED_MS_MAX else 0x25)
    assert bus.counts["readings"].scheduled == (due_ms == SCHEDULED_MS_MAX)
    assert await is_alive(bus, wire)


@pytest.mark.parametrize("value", [5, "text", [b"a"], None], ids=repr)
async def test_a_batch_of_what_is_no_message_is_refused(bus: LocalBus, wire: Wire, value: object) -> None:
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", BATCH_FORMAT, False, False), payload=encode(Described(ULong(0x75), value)))
    state = (await wire.until(Disposition)).performative.state
    assert state.value[0].value[0] == "amqp:decode-error"


async def test_an_address_that_is_no_url_is_not_found(bus: LocalBus, wire: Wire) -> None:
    wire.say(attach(0, receives=True, address="amqps://[half"))
    assert (await wire.until(Detach)).performative.error.value[0] == "amqp:not-found"


async def test_a_source_comes_back_whatever_is_in_it(bus: LocalBus, wire: Wire) -> None:
    source = Described(ULong(0x28), ["readings", None, None, None, None, None, decode(ODD_ARRAY)[0]])
    wire.say(Attach("odd", 1, True, 0, 1, source, Described(ULong(0x29), ["me"])))
    assert encode((await wire.until(Attach)).performative.source.value[6])[-2:] == ODD_ARRAY[-2:]


async def test_an_outcome_is_told_without_what_hangs_on_it(bus: LocalBus, wire: Wire) -> None:
    await put(wire, b"a")
    await wire.receive_link(1, credit=1)
    number = (await wire.until(Transfer)).performative.delivery_id
    modified = Described(ULong(0x27), [True, False, {Symbol("odd"): decode(ODD_ARRAY)[0], Symbol("x"): "y" * 9_000}])
    wire.say(Disposition(True, number, None, False, modified))
    assert (await wire.until(Disposition)).performative.state == Described(ULong(0x27), [True, False])


@pytest.mark.parametrize("part", [b"", b"x"])
async def test_parts_without_end_are_not_kept(bus: LocalBus, wire: Wire, part: bytes) -> None:
    await wire.send_link()
    for _ in range(5_000):
        wire.say(Transfer(0, 0, b"a", 0, False, True), payload=part)
    wire.say(Flow(0, 10, 0, 10, None, None, None, None, None, True))
    await wire.until(Flow)
    (link,) = [link for connection in bus._connections for link in connection._sessions[0].links.values()]
    assert isinstance(link, Inbound)
    assert len(link._payload) == 5_000 * len(part)


async def test_a_performative_has_its_stage(bus: LocalBus) -> None:
    init = encode_frame(0, SaslInit("ANONYMOUS"), kind=TYPE_SASL)
    late = encode_frame(0, SaslInit("ANONYMOUS"))
    early = SASL_HEADER + encode_frame(0, Open("early"), kind=TYPE_SASL)
    for octets in (SASL_HEADER + init + AMQP_HEADER + encode_frame(0, Open("me")) + late, early):
        async with connected(bus, opened=False) as wire:
            wire.say(octets)
            assert await wire.is_closed()


# Requests


def request(number: int, operation: str, body: dict[str, object]) -> bytes:
    return b"".join(
        encode(Described(ULong(code), value))
        for code, value in (
            (0x73, [ULong(number), None, None, None, "me"]),
            (0x74, {"operation": f"com.microsoft:{operation}"}),
            (0x77, body),
        )
    )


async def management(wire: Wire, *, credit: int = 1_000) -> None:
    wire.say(attach(5, receives=False, address="readings/$management"))
    wire.say(attach(6, receives=True, address="readings/$management"), Flow(1, 10_000, 0, 1_000, 6, 0, credit))
    await wire.until(Flow)


async def ask(wire: Wire, operation: str, body: dict[str, object]) -> Request:
    wire.say(Transfer(5, 0, b"r", 0, True, False), payload=request(0, operation, body))
    octets = b""
    while True:
        frame = await wire.until(Transfer)
        octets += frame.payload
        if not frame.performative.more:
            return parse_request(octets)


@pytest.mark.parametrize(
    ("start", "count", "status"),
    [
        (ULong((1 << 63) - 1), Int(1), 204), (ULong(1 << 63), Int(1), 400), (-(1 << 63), Int(1), 200),
        (0, ULong((1 << 64) - 1), 200), (0, Int(0), 400),
    ],
)  # fmt: skip
async def test_peek_takes_any_numbers(bus: LocalBus, wire: Wire, start: int, count: int, status: int) -> None:
    await put(wire, b"a")
    await management(wire)
    answer = await ask(wire, "peek-message", {"from-sequence-number": start, "message-count": count})
    assert answer.properties["statusCode"] == status
    assert await is_alive(bus, wire)


async def test_peek_of_ten_thousand_is_a_part_of_them(bus: LocalBus, wire: Wire) -> None:
    await put(wire, *[bytes(20_000)] * 30)
    await management(wire)
    answer = await ask(wire, "peek-message", {"from-sequence-number": 0, "message-count": Int(10_000)})
    assert 10 <= len(answer.body["messages"]) <= 13


@pytest.mark.parametrize("count", [17, 18])
async def test_deferred_messages_are_answered_within_bounds(bus: LocalBus, wire: Wire, count: int) -> None:
    size = DEFERRED_BYTES_MAX // 17 - 200
    await put(wire, *[bytes(size)] * count)
    await wire.receive_link(1, credit=count)
    numbers = [(await wire.until(Transfer)).performative.delivery_id]
    while len(numbers) < count:
        transfer = (await wire.until(Transfer)).performative
        if transfer.delivery_id not in numbers:
            numbers.append(transfer.delivery_id)
    wire.say(Disposition(True, numbers[0], numbers[-1], False, Described(ULong(0x27), [True, True])))
    await wire.until(Disposition)
    await management(wire)
    wanted: dict[str, object] = {"sequence-numbers": Array(0x81, list(range(1, count + 1)))}
    answer = await ask(wire, "receive-by-sequence-number", wanted)
    assert answer.properties["statusCode"] == (200 if count == 17 else 400)
    assert bus.counts["readings"].deferred == (0 if count == 17 else count)


@pytest.mark.parametrize("count", [ITEMS_MAX, ITEMS_MAX + 1])
async def test_items_of_a_request_are_limited(bus: LocalBus, wire: Wire, count: int) -> None:
    await management(wire)
    octets = request(0, "cancel-scheduled-message", {"sequence-numbers": Array(0x81, list(range(count)))})
    wire.say(Transfer(5, 0, b"r", 0, True, True), payload=octets[:50_000])
    wire.say(Transfer(5, None, None, None, True, False), payload=octets[50_000:])
    answer = parse_request((await wire.until(Transfer)).payload)
    assert answer.properties["statusCode"] == (404 if count == ITEMS_MAX else 400)


@pytest.mark.parametrize("over", [False, True])
async def test_answers_that_are_not_taken_are_bounded(bus: LocalBus, wire: Wire, over: bool) -> None:
    await put(wire, bytes(250_000))
    await management(wire, credit=0)
    count = REPLIES_BYTES_MAX // 250_300 + over
    body: dict[str, object] = {"from-sequence-number": 0, "message-count": Int(1)}
    for number in range(count):
        wire.say(Transfer(5, number, b"r", 0, True, False), payload=request(number, "peek-message", body))
    if over:
        assert (await wire.until(Close)).performative.error.value[0] == "amqp:resource-limit-exceeded"
        assert await wire.is_closed()
    else:
        wire.say(Flow(1, 10_000, 0, 1_000, 6, 0, count))
        for _ in range(count):
            while (await wire.until(Transfer)).performative.more:
                pass


@contextlib.asynccontextmanager
async def slow_disk(bus: LocalBus) -> AsyncIterator[None]:
    """Nothing is stored and nothing read from the store within."""
    bus._broker._store._writing = True
    try:
        yield
    finally:
        bus._broker._store._writing = False
        bus._broker._store._wake()
        await bus._broker.flush()


async def test_a_batch_weighs_what_its_messages_do(bus: LocalBus, wire: Wire) -> None:
    """Thousands of messages of nothing fit into one."""
    await wire.send_link()
    (connection,) = bus._connections
    batch = data(b"") * 5_000
    async with slow_disk(bus):
        wire.say(Transfer(0, 0, b"a", BATCH_FORMAT, False, False), payload=batch)
        await eventually(lambda: connection._unstored_bytes == len(batch) + 5_000 * MESSAGE_COST_BYTES)
    await wire.until(Disposition)
    assert connection._unstored_bytes == 0
    assert bus.counts["readings"].active == 5_000


async def test_requests_under_way_are_limited_and_the_rest_waits(bus: LocalBus, wire: Wire) -> None:
    await put(wire, b"a")
    await management(wire)
    (connection,) = bus._connections
    count = 3 * UNSTORED_BYTES_MAX // REQUEST_COST_BYTES
    body: dict[str, object] = {"from-sequence-number": 0, "message-count": Int(1)}
    async with slow_disk(bus):
        for number in range(count):
            wire.say(Transfer(5, number, b"r", 0, True, False), payload=request(number, "peek-message", body))
            await wire.writer.drain()
            await asyncio.sleep(0)
        await eventually(lambda: connection._unstored_bytes > UNSTORED_BYTES_MAX)
        assert len(bus._targets._replying) < count
    for _ in range(count):
        await wire.until(Transfer)
    assert connection._unstored_bytes == 0
