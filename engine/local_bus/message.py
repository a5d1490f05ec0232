"""A message as it is kept: what the sender wrote, without the parts the broker owns (OASIS AMQP 1.0, part 3).

The broker owns the header and its own annotations; properties, application properties and body go through as the bytes
they came as.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, replace
from typing import Any

from engine.local_bus.amqp_types import Described, Symbol, UInt, ULong
from engine.local_bus.codec import decode, encode, encode_compound
from engine.local_bus.errors import DECODE_ERROR, AmqpError

BATCH_FORMAT = 0x80013700
SCHEDULED_MS_MAX = 253_402_300_799_999  # the last millisecond of 9999, the last that clients can say

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78

# Annotations the broker writes itself; a sender's own are dropped.
_OURS = frozenset(
    {
        "x-opt-enqueued-time",
        "x-opt-sequence-number",
        "x-opt-enqueue-sequence-number",
        "x-opt-locked-until",
        "x-opt-lock-token",
        "x-opt-message-state",
        "x-opt-deadletter-source",
    }
)


@dataclass(frozen=True, slots=True)
class Content:
    """A message without its header; `annotations` are encoded map entries, `annotation_items` their keys and values."""

    ttl_ms: int | None
    annotation_items: int
    annotations: bytes
    sections: bytes
    scheduled_ms: int | None = None

    @property
    def size(self) -> int:
        return len(self.annotations) + len(self.sections)


def parse_message(payload: bytes) -> Content:
    """A single message off the wire; AmqpError when its sections cannot be read. One without an id is given one."""
    ttl_ms: int | None = None
    scheduled_ms: int | None = None
    items, annotations = 0, b""
    properties: bytes | None = None
    rest: list[bytes] = []
    at = 0
    while at < len(payload):
        start = at
        code, body, at = _section(payload, at)
        if code == HEADER:
            ttl_ms = _ttl(decode(payload, body)[0])
        elif code == ANNOTATIONS:
            items, annotations, scheduled_ms = _foreign_annotations(payload, body)
        elif code == PROPERTIES:
            properties = _identified(payload[start:at], decode(payload, body)[0])
        elif code != DELIVERY_ANNOTATIONS:
            if code == APPLICATION_PROPERTIES:
                _check_readable(code, decode(payload, body)[0])
            rest.append(payload[start:at])
    sections = b"".join((properties or _identified(b"", []), *rest))
    return Content(ttl_ms, items, annotations, sections, scheduled_ms)


def _ttl(header: Any) -> int | None:
    """None for what is no uint of milliseconds: it is written into the header of every delivery."""
    return int(header[2]) if isinstance(header, list) and len(header) > 2 and isinstance(header[2], UInt) else None


def _identified(section: bytes, properties: Any) -> bytes:
    """The properties section, with a message id of ours when the sender set none: clients count on it."""
    _check_readable(PROPERTIES, properties)
    if properties and properties[0] is not None:
        return section
    return encode(Described(ULong(PROPERTIES), [uuid.uuid4().hex, *properties[1:]]))


def parse_batch(payload: bytes) -> list[Content]:
    """The messages of a batch: each data section is one whole message."""
    contents = []
    at = 0
    while at < len(payload):
        code, body, at = _section(payload, at)
        if code == DATA:
            contents.append(parse_message(_bytes(decode(payload, body)[0])))
    if not contents:
        raise AmqpError(DECODE_ERROR, "a batch without messages")
    return contents


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise AmqpError(DECODE_ERROR, f"a data section is a {type(value).__name__}")
    return value


def _section(payload: bytes, at: int) -> tuple[int, int, int]:
    """Code of the section at `at`, where its value begins and where it ends."""
    if payload[at : at + 2] == b"\x00\x53" and len(payload) > at + 3:
        code, body = payload[at + 2], at + 3
    elif payload[at : at + 2] == b"\x00\x80" and len(payload) > at + 10:
        code, body = int.from_bytes(payload[at + 2 : at + 10], "big"), at + 10
    else:
        raise AmqpError(DECODE_ERROR, f"no message section at byte {at} of {len(payload)}")
    if not HEADER <= code <= FOOTER:
        raise AmqpError(DECODE_ERROR, f"unknown message section 0x{code:x} at byte {at}")
    end = _value_end(payload, body)
    if end > len(payload):
        raise AmqpError(DECODE_ERROR, f"section 0x{code:x} is {end - len(payload)} bytes short")
    return code, body, end


def _value_end(payload: bytes, at: int) -> int:
    """Where the value at `at` ends, without reading it where its head tells the size."""
    width = payload[at] >> 4
    if width in (0xA, 0xC, 0xE):
        return at + 2 + payload[at + 1] if at + 1 < len(payload) else len(payload) + 1
    if width in (0xB, 0xD, 0xF):
        return at + 5 + int.from_bytes(payload[at + 1 : at + 5], "big") if at + 4 < len(payload) else len(payload) + 1
    return decode(payload, at)[1]


def _check_readable(code: int, value: Any) -> None:
    if not isinstance(value, list if code == PROPERTIES else dict):
        raise AmqpError(DECODE_ERROR, f"section 0x{code:x} is a {type(value).__name__}")


def _foreign_annotations(payload: bytes, at: int) -> tuple[int, bytes, int | None]:
    """The sender's own annotations as encoded entries, and the time the message asks to be enqueued at."""
    entries, _ = decode(payload, at)
    if not isinstance(entries, dict):
        raise AmqpError(DECODE_ERROR, f"message annotations are a {type(entries).__name__}")
    scheduled = entries.get("x-opt-scheduled-enqueue-time")
    if not any(key in _OURS for key in entries):
        count, start, end = _map_span(payload, at)
        return count, payload[start:end], _due_ms(scheduled)
    kept = {key: value for key, value in entries.items() if key not in _OURS}
    encoded = b"".join(encode(key) + encode(value) for key, value in kept.items())
    return 2 * len(kept), encoded, _due_ms(scheduled)


def _due_ms(scheduled: Any) -> int | None:
    if not isinstance(scheduled, int):
        return None
    if scheduled > SCHEDULED_MS_MAX:
        raise AmqpError(DECODE_ERROR, "x-opt-scheduled-enqueue-time lies after the year 9999")
    return int(scheduled)


def _map_span(payload: bytes, at: int) -> tuple[int, int, int]:
    """Item count of the encoded map at `at`, where its entries begin and where they end."""
    if payload[at] == 0xC1:
        return payload[at + 2], at + 3, at + 2 + payload[at + 1]
    size, count = _PAIR.unpack_from(payload, at + 1)
    return count, at + 9, at + 5 + size


def with_application_properties(content: Content, added: dict[str, str]) -> Content:
    """The same message with `added` among its application properties; an older value of a name gives way."""
    before: list[bytes] = []
    after: list[bytes] = []
    entries = b""
    count = 2 * len(added)
    at = 0
    while at < len(content.sections):
        start = at
        code, body, at = _section(content.sections, at)
        if code == APPLICATION_PROPERTIES:
            items, first, end = _map_span(content.sections, body)
            old = _without(content.sections[first:end], items, added)
            entries, count = b"".join(old), count + 2 * len(old)
        else:
            (before if code == PROPERTIES else after).append(content.sections[start:at])
    entries += b"".join(encode(name) + encode(value) for name, value in added.items())
    section = b"\x00\x53\x74" + encode_compound(0xC1, 0xD1, count, entries)
    sections = b"".join((*before, section, *after))
    return Content(content.ttl_ms, content.annotation_items, content.annotations, sections)


def _without(entries: bytes, items: int, names: dict[str, str]) -> list[bytes]:
    """Encoded map entries less those with a key in `names`."""
    kept, at = [], 0
    for _ in range(items // 2):
        start = at
        key, at = decode(entries, at)
        _, at = decode(entries, at)
        if key not in names:
            kept.append(entries[start:at])
    return kept


def with_annotation(content: Content, name: str, value: Any) -> Content:
    """The same message with one annotation more."""
    entry = encode(Symbol(name)) + encode(value)
    return replace(content, annotation_items=content.annotation_items + 2, annotations=content.annotations + entry)


def outgoing(
    content: Content,
    *,
    sequence_number: int,
    enqueued_ms: int,
    delivery_count: int,
    locked_until_ms: int | None = None,
    state: int = 0,
    lock_token: uuid.UUID | None = None,
) -> bytes:
    """The message as a receiver gets it: header, the broker's annotations, then what the sender wrote.

    `lock_token` is for messages that travel inside an answer and so have no delivery tag to carry it.
    """
    entries = _STAMPS.pack(_ENQUEUED, 0x83, enqueued_ms, _SEQUENCE, 0x81, sequence_number)
    count = content.annotation_items + 4
    if locked_until_ms is not None:
        entries += _STAMP.pack(_LOCKED, 0x83, locked_until_ms)
        count += 2
    if state:
        entries += encode(Symbol("x-opt-message-state")) + b"\x54" + bytes((state,))
        count += 2
    ttl = b"\x40" if content.ttl_ms is None else encode(UInt(content.ttl_ms))
    header = b"\x41\x40" + ttl + b"\x42\x70" + delivery_count.to_bytes(4, "big")
    token = b"" if lock_token is None else _LOCK_TOKEN + lock_token.bytes
    return b"".join(
        (
            b"\x00\x53\x70\xc0",
            bytes((len(header) + 1, 5)),
            header,
            token,
            b"\x00\x53\x72",
            encode_compound(0xC1, 0xD1, count, entries + content.annotations),
            content.sections,
        )
    )


def reply(correlation_id: Any, to: str | None, properties: dict[str, Any], value: Any) -> bytes:
    """A whole message of ours with a value as its body, an answer to `correlation_id`."""
    fields = [None, None, to, None, None, correlation_id]
    return (
        encode(Described(ULong(PROPERTIES), fields))
        + encode(Described(ULong(APPLICATION_PROPERTIES), properties))
        + encode(Described(ULong(VALUE), value))
    )


@dataclass(frozen=True, slots=True)
class Request:
    """A request message to `$cbs` or `$management`."""

    message_id: Any
    reply_to: str | None
    properties: dict[str, Any]
    body: Any


def parse_request(payload: bytes) -> Request:
    """A whole message that is read, not kept."""
    message_id, reply_to, body = None, None, None
    properties: dict[str, Any] = {}
    at = 0
    while at < len(payload):
        code, start, at = _section(payload, at)
        if code == PROPERTIES:
            fields = decode(payload, start)[0]
            _check_readable(code, fields)
            fields = [*fields, None, None, None, None, None]
            message_id, reply_to = fields[0], fields[4]
        elif code == APPLICATION_PROPERTIES:
            properties = decode(payload, start)[0]
            _check_readable(code, properties)
        elif code in (VALUE, DATA):
            body = decode(payload, start)[0]
    return Request(message_id, reply_to if isinstance(reply_to, str) else None, properties, body)


_PAIR = struct.Struct(">II")
_ENQUEUED = encode(Symbol("x-opt-enqueued-time"))
_SEQUENCE = encode(Symbol("x-opt-sequence-number"))
_LOCKED = encode(Symbol("x-opt-locked-until"))
# A section of delivery annotations up to the sixteen bytes of the one value in it.
_LOCK_TOKEN = encode(Described(ULong(DELIVERY_ANNOTATIONS), {Symbol("x-opt-lock-token"): uuid.UUID(int=0)}))[:-16]
_STAMPS = struct.Struct(f">{len(_ENQUEUED)}sBq{len(_SEQUENCE)}sBq")
_STAMP = struct.Struct(f">{len(_LOCKED)}sBq")
