"""A client of the local bus that says exactly what a test wants said, frame by frame."""

from __future__ import annotations

import asyncio
import datetime
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.local_bus import LocalBus
from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.codec import encode
from engine.local_bus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    TYPE_SASL,
    Attach,
    Begin,
    Disposition,
    Flow,
    Open,
    Performative,
    SaslInit,
    Transfer,
    encode_frame,
    parse_frame,
)

ACCEPTED = Described(ULong(0x24), [])
PART_BYTES = 60_000


class Wire:
    """A client that says exactly what a test wants said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *parts: bytes | Performative, payload: bytes = b"", channel: int = 0) -> None:
        for part in parts:
            self.writer.write(part if isinstance(part, bytes) else encode_frame(channel, part, payload))

    async def frame(self, timeout_s: float = 5.0) -> Any:
        """The bytes of a header, or a Frame."""
        async with asyncio.timeout(timeout_s):
            head = await self.reader.readexactly(8)
            if head[:4] == b"AMQP":
                return head
            (size,) = struct.unpack_from(">I", head)
            return parse_frame(head + await self.reader.readexactly(size - 8))

    async def until(self, kind: type) -> Any:
        """The next Frame with such a performative."""
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


@asynccontextmanager
async def connected(bus: LocalBus, **options: Any) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", bus.port))
    if options.pop("opened", True):
        await wire.open(**options)
    try:
        yield wire
    finally:
        wire.vanish()


async def put(wire: Wire, *bodies: bytes) -> None:
    await wire.send_link(0)
    for number, body in enumerate(bodies):
        payload = data(body)
        for at in range(0, len(payload), PART_BYTES):
            more = at + PART_BYTES < len(payload)
            wire.say(
                Transfer(0, number, struct.pack(">I", number), 0, False, more), payload=payload[at : at + PART_BYTES]
            )
    last = -1
    while last + 1 < len(bodies):
        settled = (await wire.until(Disposition)).performative
        assert settled.state == ACCEPTED
        last = settled.last


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
