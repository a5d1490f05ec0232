"""Clients that are broken, rude or gone: the local bus loses nothing but their connection."""

import asyncio
import datetime
import random
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from local_bus_harness import eventually

from engine.bus.local import Counts, LocalBus, bus_status
from engine.bus.local.amqp_types import Described, Symbol, ULong
from engine.bus.local.codec import decode, encode
from engine.bus.local.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    TYPE_SASL,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    SaslInit,
    SaslOutcome,
    Transfer,
    encode_frame,
    parse_frame,
)
from engine.bus.local.message import BATCH_FORMAT

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]

ACCEPTED = Described(ULong(0x24), [])


class Wire:
    """A client that says exactly what a test wants said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *parts: object, payload: bytes = b"", channel: int = 0) -> None:
        for part in parts:
            self.writer.write(part if isinstance(part, bytes) else encode_frame(channel, part, payload))

    async def frame(self, timeout_s: float = 5.0):
        async with asyncio.timeout(timeout_s):
            head = await self.reader.readexactly(8)
            if head[:4] == b"AMQP":
                return head
            (size,) = struct.unpack_from(">I", head)
            return parse_frame(head + await self.reader.readexactly(size - 8))

    async def until(self, kind: type):
        while True:
            frame = await self.frame()
            if not isinstance(frame, bytes) and isinstance(frame.performative, kind):
                return frame

    async def open(self, *, window: int = 10_000, max_frame_size: int = 65_536, idle_ms: int | None = None) -> None:
        sasl = encode_frame(0, SaslInit("ANONYMOUS"), kind=TYPE_SASL)
        self.say(SASL_HEADER, sasl, AMQP_HEADER)
        self.say(Open("test", None, max_frame_size, None, idle_ms), Begin(None, 0, window, window))
        await self.until(Begin)

    async def send_link(self, handle: int = 0) -> None:
        self.say(attach(handle, receives=False))
        await self.until(Flow)

    async def receive_link(self, handle: int = 1, *, credit: int, window: int = 10_000) -> None:
        self.say(attach(handle, receives=True), Flow(1, window, 0, 1_000, handle, 0, credit))
        await self.until(Attach)

    async def is_closed(self) -> bool:
        """Whether the bus hangs up within a few seconds."""
        async with asyncio.timeout(5):
            while await self.reader.read(65_536):
                pass
        return True

    def vanish(self) -> None:
        self.writer.transport.abort()


def attach(handle: int, *, receives: bool, address: str = "readings") -> Attach:
    source = Described(ULong(0x28), [address if receives else "me"])
    target = Described(ULong(0x29), ["me" if receives else address])
    count = None if receives else 0
    return Attach(f"link-{handle}", handle, receives, 0, 1, source, target, initial_delivery_count=count)


def data(body: bytes) -> bytes:
    return encode(Described(ULong(0x75), body))


@pytest.fixture
async def bus(tmp_path, caplog):
    bus = LocalBus(tmp_path, ["readings"], 0, connections_max=12)
    await bus.start()
    yield bus
    assert "error of its own" not in caplog.text, "what a client says is never the bus' own error"
    assert await bus_status(bus.port, None) == bus.counts, "the bus no longer answers"
    await bus.stop()


@asynccontextmanager
async def connected(bus, **options):
    wire = Wire(*await asyncio.open_connection("127.0.0.1", bus.port))
    if options.pop("opened", True):
        await wire.open(**options)
    try:
        yield wire
    finally:
        wire.vanish()


@pytest.fixture
async def wire(bus):
    async with connected(bus) as wire:
        yield wire


async def _put(wire: Wire, *bodies: bytes) -> None:
    await wire.send_link(0)
    for number, body in enumerate(bodies):
        wire.say(Transfer(0, number, struct.pack(">I", number), 0, False, False), payload=data(body))
    last = -1
    while last + 1 < len(bodies):
        settled = (await wire.until(Disposition)).performative
        assert settled.state == ACCEPTED
        last = settled.last


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
async def test_what_is_not_amqp_is_hung_up_on(bus, octets):
    async with connected(bus, opened=False) as wire:
        wire.say(octets)
        assert await wire.is_closed()


async def test_random_bytes_at_every_stage(bus):
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


async def test_a_mutated_conversation_is_survived(bus, wire):
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


async def test_a_client_that_vanishes_within_a_message_sent_nothing(bus, wire):
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, True), payload=data(b"x" * 1_000)[:500])
    await wire.writer.drain()
    wire.vanish()
    await asyncio.sleep(0.05)
    assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_an_aborted_message_is_forgotten_and_the_next_is_taken(bus, wire):
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, True), payload=b"half")
    wire.say(Transfer(0, aborted=True))
    wire.say(Transfer(0, 1, b"b", 0, False, False), payload=data(b"whole"))
    settled = (await wire.until(Disposition)).performative
    assert (settled.first, settled.state) == (1, ACCEPTED)
    assert bus.counts["readings"].active == 1


async def test_half_a_batch_is_refused_whole(bus, wire):
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
async def test_a_message_that_cannot_be_read_is_refused(bus, wire, payload):
    await wire.send_link()
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=payload)
    assert (await wire.until(Disposition)).performative.state.descriptor == 0x25
    assert bus.counts["readings"].active == 0


async def test_an_endless_message_is_refused_and_not_kept(bus, wire):
    await wire.send_link()
    for _ in range(300):
        wire.say(Transfer(0, 0, b"a", 0, False, True), payload=bytes(60_000))
        await wire.writer.drain()
    (link,) = [link for connection in bus._connections for link in connection._sessions[0].links.values()]
    assert sum(map(len, link._parts)) <= 256 * 1024
    wire.say(Transfer(0, 0, b"a", 0, False, False))
    state = (await wire.until(Disposition)).performative.state
    assert state.value[0].value[0] == "amqp:link:message-size-exceeded"


async def test_a_message_without_credit_ends_the_link(bus, wire):
    wire.say(attach(0, receives=False))
    credit = (await wire.until(Flow)).performative.link_credit
    bus._broker._store._writing = True  # a disk that takes its time: nothing is finished, no credit comes back
    for number in range(credit + 1):
        wire.say(Transfer(0, number, struct.pack(">I", number), 0, True, False), payload=data(b"a"))
    detach = (await wire.until(Detach)).performative
    assert detach.error.value[0] == "amqp:link:transfer-limit-exceeded"
    bus._broker._store._writing = False
    bus._broker._store._wake()
    await bus._broker.flush()
    assert bus.counts["readings"].active == credit


async def test_a_receiver_with_huge_credit_that_does_not_read_takes_a_bounded_part(bus):
    async with connected(bus) as sender:
        await _put(sender, *[bytes(20_000)] * 900)
    async with connected(bus, window=2**31) as greedy:
        greedy.writer.transport.pause_reading()
        greedy.say(attach(1, receives=True), Flow(1, 2**31, 0, 100, 1, 0, 2**32 - 1))
        await greedy.writer.drain()
        await eventually(lambda: bus.counts["readings"].locked > 0)
        await asyncio.sleep(0.2)
        assert bus.counts["readings"].locked < 600, "the rest is for others"
        async with connected(bus) as other:
            await other.receive_link(1, credit=1)
            assert (await other.until(Transfer)).performative.delivery_id is not None


async def test_the_clients_window_is_kept_to(bus):
    async with connected(bus) as sender:
        await _put(sender, *[b"a"] * 20)
    async with connected(bus, window=5) as wire:
        await wire.receive_link(1, credit=20, window=5)
        for _ in range(5):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.2)
        wire.say(Flow(6, 7, 0, 100))
        for _ in range(7):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.2)


@pytest.mark.parametrize(("seen", "expected"), [(2, 3), (1, 2), (5, 3)], ids=["in step", "behind", "ahead"])
async def test_credit_counts_what_is_under_way(bus, seen, expected):
    """Two deliveries were made; the client gives three credits and says how many deliveries it has seen."""
    async with connected(bus) as wire:
        await _put(wire, *[b"a"] * 10)
        await wire.receive_link(1, credit=2)
        for _ in range(2):
            await wire.until(Transfer)
        wire.say(Flow(3, 1_000, 0, 1_000, 1, seen, 3))
        for _ in range(expected):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.1)


async def test_small_frames_carry_large_messages(bus):
    async with connected(bus) as sender:
        await sender.send_link()
        payload = data(bytes(range(256)) * 900)
        for at in range(0, len(payload), 60_000):
            more = at + 60_000 < len(payload)
            sender.say(Transfer(0, 0, b"a", 0, False, more), payload=payload[at : at + 60_000])
        await sender.until(Disposition)
    async with connected(bus, max_frame_size=512) as wire:
        await wire.receive_link(1, credit=1)
        parts = []
        while True:
            frame = await wire.until(Transfer)
            parts.append(frame.payload)
            if not frame.performative.more:
                break
        assert len(parts) > 400
        assert b"".join(parts).endswith(payload)


async def test_settling_what_one_does_not_have_says_so(bus, wire):
    wire.say(Disposition(True, 7, None, False, ACCEPTED))
    settled = (await wire.until(Disposition)).performative
    assert (settled.role, settled.first, settled.settled) == (False, 7, True)
    assert settled.state.value[0].value[0] == "com.microsoft:message-lock-lost"
    wire.say(Disposition(True, 0, 2**32 - 1, False, ACCEPTED))
    wire.say(Disposition(True, 8, None, False, Described(ULong(0x99), [])))
    assert (await wire.until(Disposition)).performative.first == 8


async def test_a_range_of_deliveries_is_settled_at_once(bus):
    async with connected(bus) as wire:
        await _put(wire, *[b"a"] * 30)
        await wire.receive_link(1, credit=30)
        numbers = [(await wire.until(Transfer)).performative.delivery_id for _ in range(30)]
        wire.say(Disposition(True, numbers[0], numbers[-1], False, ACCEPTED))
        settled = (await wire.until(Disposition)).performative
        assert (settled.first, settled.last, settled.state) == (numbers[0], numbers[-1], ACCEPTED)
        assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_modified_without_flags_is_an_abandon(bus):
    """As the JavaScript client says it."""
    async with connected(bus) as wire:
        await _put(wire, b"a")
        await wire.receive_link(1, credit=1)
        number = (await wire.until(Transfer)).performative.delivery_id
        wire.say(Disposition(True, number, None, False, Described(ULong(0x27), [])))
        assert (await wire.until(Disposition)).performative.state.descriptor == 0x27
        wire.say(Flow(2, 1_000, 0, 1_000, 1, 1, 1))
        header = decode((await wire.until(Transfer)).payload)[0]
        assert header.value[4] == 1


async def test_connections_are_limited(bus):
    wires = [Wire(*await asyncio.open_connection("127.0.0.1", bus.port)) for _ in range(12)]
    assert await Wire(*await asyncio.open_connection("127.0.0.1", bus.port)).is_closed()
    for wire in wires:
        wire.vanish()
    await eventually(lambda: not bus._connections)
    async with connected(bus):
        pass


async def test_links_are_limited(bus, wire):
    wire.say(attach(256, receives=False))
    closed = (await wire.until(Close)).performative
    assert closed.error.value[0] == "amqp:resource-limit-exceeded"
    assert await wire.is_closed()


async def test_a_refused_link_leaves_the_session_whole(bus, wire):
    wire.say(attach(0, receives=False, address="nowhere"))
    wire.say(Transfer(0, 0, b"a", 0, False, False), payload=data(b"into the void"))
    refused = (await wire.until(Attach)).performative
    assert (refused.source, refused.target) == (None, None)
    detach = (await wire.until(Detach)).performative
    assert (detach.closed, detach.error.value[0]) == (True, "amqp:not-found")
    wire.say(Detach(0, True))
    await _put(wire, b"a")
    assert bus.counts["readings"].active == 1


async def test_a_session_filter_is_refused(bus, wire):
    source = Described(ULong(0x28), ["readings", *[None] * 6, {Symbol("com.microsoft:session-filter"): "s"}])
    wire.say(Attach("s", 0, True, 0, 1, source, Described(ULong(0x29), ["me"])))
    assert (await wire.until(Detach)).performative.error.value[0] == "amqp:not-allowed"


async def test_links_detached_after_their_session_ended_do_no_harm(bus, wire):
    await wire.receive_link(1, credit=1)
    wire.say(End(), Detach(1, True))
    await wire.until(End)
    wire.say(Begin(None, 0, 10, 10))
    await wire.until(Begin)
    wire.say(Close())
    await wire.until(Close)
    assert await wire.is_closed()


async def test_heartbeats_come_as_often_as_the_client_needs_them(bus):
    async with connected(bus, idle_ms=1_000) as wire:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        for _ in range(3):
            assert (await wire.frame()).performative is None
        assert 1.2 < loop.time() - started_s < 8


async def test_an_idle_bus_does_nothing(bus, wire):
    await wire.receive_link(1, credit=10)
    loop = asyncio.get_running_loop()
    turns = 0
    select = loop._selector.select

    def count(timeout: float | None) -> list:
        nonlocal turns
        turns += 1
        return select(timeout)

    loop._selector.select = count
    await asyncio.sleep(1.0)
    loop._selector.select = select
    assert turns <= 5


async def test_a_key_is_asked_for_before_anything_is_told(tmp_path):
    bus = LocalBus(tmp_path, ["readings"], 0, key="right")
    await bus.start()
    try:
        async with connected(bus) as wire:
            for handle, address in enumerate(["readings", "readings/$management", "$management"]):
                wire.say(attach(handle, receives=True, address=address))
                error = (await wire.until(Detach)).performative.error
                assert error.value[0] == "amqp:unauthorized-access"
        async with connected(bus, opened=False) as wire:
            wire.say(SASL_HEADER, encode_frame(0, SaslInit("PLAIN", b"\0me\0wrong"), kind=TYPE_SASL))
            assert (await wire.until(SaslOutcome)).performative.code == 1
            assert await wire.is_closed()
    finally:
        await bus.stop()


async def test_what_was_sent_before_the_stop_is_answered(tmp_path):
    bus = LocalBus(tmp_path, ["readings"], 0)
    await bus.start()
    async with connected(bus) as wire:
        await wire.send_link()
        for number in range(50):
            wire.say(Transfer(0, number, struct.pack(">I", number), 0, False, False), payload=data(b"a"))
        while not bus._broker._store._writing:
            await asyncio.sleep(0)
        await bus.stop()
        accepted = 0
        while accepted < 50:
            settled = (await wire.until(Disposition)).performative
            accepted += (settled.last or settled.first) - settled.first + 1
        await wire.until(Close)
    bus = LocalBus(tmp_path, ["readings"], 0)
    await bus.start()
    assert bus.counts["readings"].active == 50
    await bus.stop()


async def test_the_tls_listener_speaks_the_same_and_keeps_segments_small(tmp_path):
    certificate = self_made_certificate(tmp_path / "bus.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    bus = LocalBus(tmp_path, ["readings"], 0, tls=context, tls_port=0)
    await bus.start()
    try:
        trust = ssl.create_default_context(cafile=str(certificate))
        opened = await asyncio.open_connection("127.0.0.1", bus.tls_port, ssl=trust, server_hostname="localhost")
        wire = Wire(*opened)
        client_socket = wire.writer.get_extra_info("socket")
        assert client_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 16_384
        await wire.open()
        await _put(wire, bytes(60_000))
        assert bus.counts["readings"].active == 1
        wire.vanish()
    finally:
        await bus.stop()


def self_made_certificate(path: Path) -> Path:
    """Key and certificate of `localhost` in one PEM file, valid for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
