"""Connections that never show the key, beside hubs that do: they cost little, and no hub its place."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusError

from engine.local_bus import LocalBus
from engine.local_bus.connection import LINKS_MAX, STRANGER_BYTES_MAX
from engine.local_bus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    TYPE_SASL,
    Attach,
    Begin,
    Close,
    Detach,
    Flow,
    Open,
    SaslInit,
    SaslOutcome,
    encode_frame,
)
from engine.local_bus.places import STRANGERS_PER_ADDRESS_MAX, Places
from tests.integration.local_bus.harness import KEY, client_of, eventually
from tests.integration.local_bus.wire import Wire, attach, connected, self_made_certificate

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]

ANONYMOUS = SASL_HEADER + encode_frame(0, SaslInit("ANONYMOUS"), kind=TYPE_SASL)
PLAIN = SASL_HEADER + encode_frame(0, SaslInit("PLAIN", b"\0hub\0" + KEY.encode()), kind=TYPE_SASL)


@contextlib.asynccontextmanager
async def keyed_bus(folder: Path, places: Places | None = None) -> AsyncIterator[LocalBus]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(self_made_certificate(folder / "bus.pem"))
    bus = LocalBus(folder, ["readings"], 0, key=KEY, tls=tls, tls_port=0, places=places)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    async with keyed_bus(tmp_path) as bus:
        yield bus


@contextlib.asynccontextmanager
async def strangers(port: int, count: int, said: bytes = b"") -> AsyncIterator[None]:
    """Sockets that were connected, said something, and do nothing more."""
    sockets: list[socket.socket] = []

    def connect() -> None:
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=20))
            with contextlib.suppress(OSError):
                sockets[-1].sendall(said)

    try:
        await asyncio.to_thread(connect)
        yield
    finally:
        for stranger in sockets:
            stranger.close()


async def introduced(bus: LocalBus) -> Wire:
    """A client that has shown the key and opened."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", bus.port))
    wire.say(PLAIN, AMQP_HEADER, Open("hub"), Begin(None, 0, 10_000, 10_000))
    return wire


SAYINGS: dict[str, bytes] = {
    "nothing": b"",
    "half a header": b"AMQP\x03",
    "half a frame": SASL_HEADER + struct.pack(">IBBH", 60_000, 2, 1, 0),
    "open": ANONYMOUS + AMQP_HEADER + encode_frame(0, Open("stranger")),
    "half a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.slow
@pytest.mark.parametrize("said", SAYINGS)
async def test_hubs_work_while_strangers_fill_the_house(bus: LocalBus, said: str) -> None:
    async with client_of(bus) as client, client.get_queue_sender("readings") as sender:
        await sender.send_messages(ServiceBusMessage("before"))
        port = bus.tls_port if "TLS" in said else bus.port
        async with strangers(port, 300, SAYINGS[said]):
            await sender.send_messages(ServiceBusMessage("meanwhile"))
            async with client_of(bus) as second, second.get_queue_receiver("readings") as receiver:
                got = await receiver.receive_messages(2, max_wait_time=20)
                for message in got:
                    await receiver.complete_message(message)
            assert bus._places.strangers_count <= STRANGERS_PER_ADDRESS_MAX
    await eventually(lambda: not bus._connections)
    assert (bus._places.strangers_count, bus._places.known_count) == (0, 0)


@pytest.mark.slow
async def test_a_hub_gets_in_while_strangers_come_and_come(bus: LocalBus) -> None:
    stopping = False

    def knock() -> int:
        knocks = 0
        kept: list[socket.socket] = []
        while not stopping:
            with contextlib.suppress(OSError):
                kept.append(socket.create_connection(("127.0.0.1", bus.port), timeout=1))
                knocks += 1
            for stranger in kept[:-200]:
                stranger.close()
            del kept[:-200]
        for stranger in kept:
            stranger.close()
        return knocks

    knocking = asyncio.create_task(asyncio.to_thread(knock))
    try:
        await eventually(lambda: bus._places.strangers_count >= STRANGERS_PER_ADDRESS_MAX)
        async with client_of(bus, retry_total=10) as client, client.get_queue_sender("readings") as sender:
            await sender.send_messages(ServiceBusMessage("through the crowd"))
    finally:
        stopping = True
        assert await knocking > STRANGERS_PER_ADDRESS_MAX
    assert bus.counts["readings"].active == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_who_shows_no_key_is_ended_after_seconds(tmp_path: Path, tls: bool) -> None:
    async with keyed_bus(tmp_path, Places(stranger_s_max=0.3)) as bus:
        client = await introduced(bus)
        await client.until(Begin)
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.tls_port if tls else bus.port)
        slow = Wire(reader, writer)
        for octet in (b"\x16\x03\x01\x02\x00" if tls else SASL_HEADER)[:5]:  # slow heads are no life
            slow.say(bytes((octet,)))
            await asyncio.sleep(0.02)
        assert await slow.is_closed()
        await eventually(lambda: bus._places.strangers_count == 0)
        await eventually(lambda: len(bus._connections) == 1)
        client.say(Flow(0, 10, 0, 10, None, None, None, None, None, True))
        await client.until(Flow)
        client.vanish()


@pytest.mark.parametrize("over", [False, True])
async def test_places_for_clients_are_limited(tmp_path: Path, over: bool) -> None:
    async with keyed_bus(tmp_path, Places(known_max=2)) as bus:
        wires = [await introduced(bus) for _ in range(2)]
        for wire in wires:
            await wire.until(Begin)
        if not over:
            wires.pop().vanish()
            await eventually(lambda: bus._places.known_count == 1)
        late = await introduced(bus)
        assert await late.is_closed() if over else await late.until(Begin)
        for wire in (late, *wires):
            wire.vanish()


@pytest.mark.slow
async def test_a_hub_that_finds_no_place_is_told_why_and_tries_again(tmp_path: Path) -> None:
    async with keyed_bus(tmp_path, Places(known_max=1)) as bus:
        client = await introduced(bus)
        await client.until(Begin)
        async with client_of(bus, retry_total=0) as hub:
            with pytest.raises(ServiceBusError) as refused:
                await hub.get_queue_sender("readings").send_messages(ServiceBusMessage("a"))
            assert not isinstance(refused.value, ServiceBusAuthenticationError), "that would not be tried again"
        asyncio.get_running_loop().call_later(1.0, client.vanish)
        async with client_of(bus, retry_total=10) as hub, hub.get_queue_sender("readings") as sender:
            await sender.send_messages(ServiceBusMessage("a"))
        assert bus.counts["readings"].active == 1


@pytest.mark.parametrize("over", [False, True])
async def test_what_a_stranger_sends_is_bounded(bus: LocalBus, over: bool) -> None:
    async with connected(bus) as wire:
        connection = next(iter(bus._connections))
        room = STRANGER_BYTES_MAX - connection._stranger_bytes
        head = encode_frame(0, Flow(0, 10, 0, 10), bytes(1_000))
        filler = [head] * (room // len(head) - 1)
        rest = room - sum(map(len, filler)) - len(encode_frame(0, Flow(0, 10, 0, 10)))
        wire.say(*filler, encode_frame(0, Flow(0, 10, 0, 10), bytes(rest + over)))
        if over:
            error = (await wire.until(Close)).performative.error
            assert error.value[0] == "amqp:unauthorized-access"
            assert await wire.is_closed()
        else:
            wire.say(Flow(0, 10, 0, 10, None, None, None, None, None, True))
            await eventually(lambda: connection._stranger_bytes > STRANGER_BYTES_MAX or connection._closing)
    async with contextlib.AsyncExitStack() as stack:
        client = await introduced(bus)
        stack.callback(client.vanish)
        await client.until(Begin)
        client.say(*[head] * (2 * STRANGER_BYTES_MAX // len(head)))
        client.say(Flow(0, 10, 0, 10, None, None, None, None, None, True))
        await client.until(Flow)


@pytest.mark.parametrize("over", [False, True])
async def test_links_of_a_connection_are_limited(bus: LocalBus, over: bool) -> None:
    wire = await introduced(bus)
    await wire.until(Begin)
    wire.say(encode_frame(1, Begin(None, 0, 10_000, 10_000)))
    for number in range(LINKS_MAX - 1 + over):
        wire.say(attach(number % 200, receives=True), channel=number // 200)
    wire.say(attach(250, receives=True))
    while True:
        frame = await wire.until(Attach)
        if frame.performative.handle == 250:
            break
    if over:
        error = (await wire.until(Detach)).performative.error
        assert error.value[0] == "amqp:resource-limit-exceeded"
    else:
        assert frame.performative.source is not None
    wire.vanish()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", SASL_HEADER + bytes(64), PLAIN[:-8] + b"wrong!!!"])
async def test_strangers_write_a_line_into_the_log_and_not_one_each(
    bus: LocalBus, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    for port in (bus.port, bus.tls_port):
        async with strangers(port, 40, said):
            await eventually(lambda: bool(caplog.records) and not bus._connections)
    assert 1 <= len(caplog.records) <= 2, caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 500


async def test_a_refused_key_is_no_client(bus: LocalBus) -> None:
    async with connected(bus, opened=False) as wire:
        wire.say(SASL_HEADER, encode_frame(0, SaslInit("PLAIN", b"\0me\0wrong"), kind=TYPE_SASL))
        assert (await wire.until(SaslOutcome)).performative.code == 1
        assert bus._places.known_count == 0
        assert await wire.is_closed()


async def test_tls_that_fails_leaves_nothing_behind(bus: LocalBus) -> None:
    for _ in range(5):
        with contextlib.suppress(OSError):
            await asyncio.open_connection("127.0.0.1", bus.tls_port, ssl=ssl.create_default_context())
    await eventually(lambda: not bus._connections)
    assert bus._places.strangers_count == 0


async def test_a_door_without_descriptors_opens_again(
    bus: LocalBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    accept: Callable[[socket.socket], object] = loop.sock_accept
    failures = iter([OSError(24, "Too many open files")] * 2)

    async def accept_later(listener: socket.socket) -> object:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await accept(listener)  # type: ignore[misc]

    monkeypatch.setattr(loop, "sock_accept", accept_later)
    with socket.create_connection(("127.0.0.1", bus.port)):  # who is waited for now comes in; then it fails
        await eventually(lambda: next(iter([*caplog.messages, ""])) != "")
    assert "nobody can be let in" in caplog.text
    client = await introduced(bus)
    await client.until(Begin)
    client.vanish()
