"""AMQP 1.0 frames and performatives (OASIS AMQP 1.0, parts 2 and 5).

Performatives are written with every field, absent ones as null: azure-servicebus before 7.15 reads fields by position
without looking at how many there are.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from engine.local_bus.amqp_types import Described, Symbol, UByte, UInt, ULong, UShort
from engine.local_bus.codec import decode, encode, encode_compound
from engine.local_bus.errors import DECODE_ERROR, FRAMING_ERROR, AmqpError

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
FRAME_BYTES_MAX = 65_536
FRAME_BYTES_MIN = 512
TYPE_AMQP = 0
TYPE_SASL = 1
SERIAL = 1 << 32  # delivery numbers, transfer numbers and delivery counts wrap here

ROLE_SENDER = False
ROLE_RECEIVER = True


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_time_out: int | None = None
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Begin(NamedTuple):
    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Attach(NamedTuple):
    name: str
    handle: int
    role: bool
    snd_settle_mode: int | None = None
    rcv_settle_mode: int | None = None
    source: Any = None
    target: Any = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Flow(NamedTuple):
    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: Any = None


class Transfer(NamedTuple):
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    role: bool
    first: int
    last: int | None = None
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


class Detach(NamedTuple):
    handle: int
    closed: bool | None = None
    error: Any = None


class End(NamedTuple):
    error: Any = None


class Close(NamedTuple):
    error: Any = None


class SaslMechanisms(NamedTuple):
    mechanisms: Any


class SaslInit(NamedTuple):
    mechanism: str
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslChallenge(NamedTuple):
    challenge: bytes


class SaslResponse(NamedTuple):
    response: bytes


class SaslOutcome(NamedTuple):
    code: int
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslChallenge
    | SaslResponse
    | SaslOutcome
)

# Stands for a field that is handed through as it is decoded.
_ANY = object

# Descriptor, the fields that may not be null, and the type of each field, in wire order.
_LAYOUTS: dict[type[Any], tuple[int, tuple[int, ...], tuple[type, ...]]] = {
    Open: (0x10, (0,), (str, str, UInt, UShort, UInt, _ANY, _ANY, _ANY, _ANY, _ANY)),
    Begin: (0x11, (1, 2, 3), (UShort, UInt, UInt, UInt, UInt, _ANY, _ANY, _ANY)),
    Attach: (
        0x12,
        (0, 1, 2),
        (str, UInt, bool, UByte, UByte, _ANY, _ANY, _ANY, bool, UInt, ULong, _ANY, _ANY, _ANY),
    ),
    Flow: (0x13, (1, 2, 3), (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, bool, bool, _ANY)),
    Transfer: (0x14, (0,), (UInt, UInt, bytes, UInt, bool, bool, UByte, _ANY, bool, bool, bool)),
    Disposition: (0x15, (0, 1), (bool, UInt, UInt, bool, _ANY, bool)),
    Detach: (0x16, (0,), (UInt, bool, _ANY)),
    End: (0x17, (), (_ANY,)),
    Close: (0x18, (), (_ANY,)),
    SaslMechanisms: (0x40, (), (_ANY,)),
    SaslInit: (0x41, (0,), (Symbol, bytes, str)),
    SaslChallenge: (0x42, (0,), (bytes,)),
    SaslResponse: (0x43, (0,), (bytes,)),
    SaslOutcome: (0x44, (0,), (UByte, bytes)),
}
_BY_DESCRIPTOR = {layout[0]: (kind, *layout[1:]) for kind, layout in _LAYOUTS.items()}


class Frame(NamedTuple):
    """One frame off the wire; a heartbeat has no performative."""

    type: int
    channel: int
    performative: Any
    payload: bytes


def frame_size(buffer: bytearray | bytes, at: int) -> int | None:
    """Bytes of the frame that begins at `at`, None while its head is not there yet."""
    if len(buffer) - at < 8:
        return None
    size: int = _SIZE.unpack_from(buffer, at)[0]
    if not 8 <= size <= FRAME_BYTES_MAX:
        raise AmqpError(FRAMING_ERROR, f"a frame of {size} bytes; 8 to {FRAME_BYTES_MAX} are taken")
    return size


def parse_frame(octets: bytes) -> Frame:
    """A whole frame, its size checked by `frame_size`."""
    _, data_offset, kind, channel = _HEAD.unpack_from(octets)
    start = data_offset * 4
    if data_offset < 2 or start > len(octets) or kind not in (TYPE_AMQP, TYPE_SASL):
        raise AmqpError(FRAMING_ERROR, f"frame of type {kind} with its body at {start} of {len(octets)}")
    if start == len(octets):
        return Frame(kind, channel, None, b"")
    described, end = decode(octets, start)
    if not isinstance(described, Described) or not isinstance(described.value, list):
        raise AmqpError(FRAMING_ERROR, "a frame body that is not a described list")
    return Frame(kind, channel, _performative(described), octets[end:])


def _performative(described: Described) -> Any:
    layout = _BY_DESCRIPTOR.get(described.descriptor) if isinstance(described.descriptor, int) else None
    if layout is None:
        raise AmqpError(FRAMING_ERROR, f"unknown performative {described.descriptor!r:.60}")
    kind, required, types = layout
    values = described.value
    missing = len(types) - len(values)
    if missing < 0:
        raise AmqpError(DECODE_ERROR, f"{kind.__name__} has {len(values)} fields, at most {len(types)} are defined")
    for position, value in enumerate(values):
        if value is not None and not isinstance(value, types[position]):
            raise AmqpError(DECODE_ERROR, f"{kind.__name__}.{kind._fields[position]} is a {type(value).__name__}")
    performative = kind(*values, *([None] * missing))
    for position in required:
        if performative[position] is None:
            raise AmqpError(DECODE_ERROR, f"{kind.__name__}.{kind._fields[position]} is missing")
    return performative


def encode_frame(channel: int, performative: Performative, payload: bytes = b"", kind: int = TYPE_AMQP) -> bytes:
    descriptor, _, types = _LAYOUTS[type(performative)]
    body = b"".join(map(_encode_field, types, performative))
    described = bytes((0x00, 0x53, descriptor)) + encode_compound(0xC0, 0xD0, len(types), body)
    return _HEAD.pack(8 + len(described) + len(payload), 2, kind, channel) + described + payload


def _encode_field(kind: type, value: Any) -> bytes:
    if value is None:
        return b"\x40"
    return encode(value if kind is _ANY else kind(value))


def encode_transfer(
    channel: int, handle: int, delivery_id: int, tag: bytes, payload: bytes, *, settled: bool, more: bool
) -> bytes:
    """The frame that is written most, in one go: eleven fields, message format 0."""
    fields = (
        _TRANSFER.pack(0x70, handle, 0x70, delivery_id, 0xA0, len(tag))
        + tag
        + (b"\x43" + (b"\x41" if settled else b"\x42") + (b"\x41" if more else b"\x42") + b"\x40\x40\x40\x40\x40")
    )
    size = 8 + 6 + len(fields) + len(payload)
    head = _HEAD.pack(size, 2, TYPE_AMQP, channel) + b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 11))
    return head + fields + payload


def error_value(condition: str, description: str) -> Described:
    """The AMQP error type, all three fields."""
    return Described(ULong(0x1D), [Symbol(condition), description, {}])


TRANSFER_OVERHEAD_BYTES = 8 + 6 + 12 + 32 + 8
_SIZE = struct.Struct(">I")
_HEAD = struct.Struct(">IBBH")
_TRANSFER = struct.Struct(">BIBIBB")
