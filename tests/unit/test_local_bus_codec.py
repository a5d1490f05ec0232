"""The AMQP codec of the local bus: what goes in comes out, and nothing that comes in can break more than itself."""

from __future__ import annotations

import contextlib
import struct
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.local_bus.amqp_types import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from engine.local_bus.codec import NESTING_MAX, decode, encode
from engine.local_bus.errors import AmqpError
from engine.local_bus.frames import (
    FRAME_BYTES_MAX,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Open,
    Performative,
    Transfer,
    encode_frame,
    encode_transfer,
    frame_size,
    parse_frame,
)
from engine.local_bus.message import outgoing, parse_batch, parse_message, with_application_properties


def _within(kind: type[int], bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high).map(kind)


ascii_text = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=300)
numbers = st.one_of(
    _within(UByte, 8, signed=False),
    _within(UShort, 16, signed=False),
    _within(UInt, 32, signed=False),
    _within(ULong, 64, signed=False),
    _within(Byte, 8, signed=True),
    _within(Short, 16, signed=True),
    _within(Int, 32, signed=True),
    _within(int, 64, signed=True),
    _within(Timestamp, 64, signed=True),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Float),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=300),
    st.binary(max_size=300),
    ascii_text.map(Symbol),
    st.characters(exclude_categories=["Cs"]).map(Char),
    st.uuids(),
    st.binary(min_size=16, max_size=16).map(lambda octets: Opaque(0x94, octets)),
    st.lists(st.uuids(), max_size=5).map(lambda items: Array(0x98, items)),
    st.lists(_within(int, 64, signed=True), max_size=5).map(lambda items: Array(0x81, items)),
    st.lists(ascii_text.filter(lambda text: len(text) < 256).map(Symbol), max_size=5).map(lambda i: Array(0xA3, i)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.text(max_size=20) | ascii_text.map(Symbol), inner, max_size=5),
        st.builds(Described, _within(ULong, 64, signed=False), inner),
    ),
    max_leaves=20,
)


def _same(left: Any, right: Any) -> bool:
    """Equal in type too: a UInt that came back as a ULong would be another value to the other side."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


@given(values)
def test_a_value_comes_back_with_its_type(value: object) -> None:
    octets = encode(value)
    decoded, end = decode(octets)
    assert end == len(octets)
    assert _same(decoded, value)


@given(values, st.data())
def test_a_cut_value_is_a_clean_error(value: object, data: st.DataObject) -> None:
    octets = encode(value)
    cut = data.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(AmqpError, match="amqp:decode-error"):
        decode(octets[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(octets: bytes) -> None:
    for read in (decode, parse_message, parse_batch, parse_frame):
        with contextlib.suppress(AmqpError):
            read(struct.pack(">IBBH", len(octets) + 8, 2, 0, 0) + octets if read is parse_frame else octets)


def test_nesting_has_an_end() -> None:
    for opener in (b"\xc0", b"\x00"):
        octets = opener * 10_000
        with pytest.raises(AmqpError):
            decode(octets)
    deep: object = None
    for _ in range(NESTING_MAX + 1):
        deep = [deep]
    with pytest.raises(AmqpError, match="nested deeper"):
        decode(encode(deep))


def test_a_count_larger_than_the_bytes_allocates_nothing() -> None:
    with pytest.raises(AmqpError):
        decode(b"\xd0" + struct.pack(">II", 4, 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("performative", "fields"),
    [
        (Open("me"), 10),
        (Begin(None, 0, 1, 1), 8),
        (Attach("link", 0, False), 14),
        (Flow(None, 1, 0, 1), 11),
        (Transfer(0), 11),
        (Disposition(True, 0), 6),
        (Detach(0), 3),
    ],
)
def test_performatives_are_written_at_full_length(performative: Performative, fields: int) -> None:
    frame = encode_frame(3, performative)
    assert frame_size(frame, 0) == len(frame)
    assert frame[8:10] == b"\x00\x53"
    assert frame[13] == fields, "short lists crash azure-servicebus before 7.15"
    parsed = parse_frame(frame)
    assert parsed.channel == 3
    assert parsed.performative == performative


@given(
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=1, max_size=32),
    st.booleans(),
    st.booleans(),
    st.binary(max_size=2_000),
)
def test_the_short_way_to_a_transfer_writes_the_same(
    handle: int, number: int, tag: bytes, settled: bool, more: bool, payload: bytes
) -> None:
    frame = parse_frame(encode_transfer(1, handle, number, tag, payload, settled=settled, more=more))
    assert frame.performative == Transfer(handle, number, tag, 0, settled, more)
    assert frame.payload == payload


@pytest.mark.parametrize("size", [0, 7, FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_frames_outside_the_limits_are_refused(size: int) -> None:
    with pytest.raises(AmqpError, match="framing-error"):
        frame_size(struct.pack(">I", size) + bytes(8), 0)


@pytest.mark.parametrize(
    "octets",
    [
        encode(Described(ULong(0x99), [])),
        encode(Described(ULong(0x12), ["link", UInt(1)])),
        encode(Described(ULong(0x12), ["link", -1, True])),
        encode(Described(ULong(0x16), [UInt(0), True, None, None])),
        encode(Described(ULong(0x14), {"handle": 1})),
        encode([1, 2, 3]),
    ],
    ids=["unknown", "role missing", "handle a long", "too long", "a map", "not described"],
)
def test_performatives_with_the_wrong_shape_are_refused(octets: bytes) -> None:
    with pytest.raises(AmqpError):
        parse_frame(struct.pack(">IBBH", 8 + len(octets), 2, 0, 0) + octets)


def _message(**annotations: object) -> bytes:
    sections = [
        Described(ULong(0x70), [True, None, UInt(60_000)]),
        Described(ULong(0x72), {Symbol(name): value for name, value in annotations.items()}),
        Described(ULong(0x73), [uuid.UUID(int=7), None, "to"]),
        Described(ULong(0x74), {"kind": "reading", "DeadLetterReason": "older"}),
        Described(ULong(0x75), b"21.5"),
    ]
    return b"".join(map(encode, sections))


def _sections(octets: bytes) -> dict[int, Any]:
    found: dict[int, Any] = {}
    at = 0
    while at < len(octets):
        section, at = decode(octets, at)
        found[int(section.descriptor)] = section.value
    return found


def test_a_message_goes_out_with_the_brokers_stamps_and_the_senders_words() -> None:
    content = parse_message(_message(**{"x-opt-partition-key": "p", "x-opt-sequence-number": 99}))
    octets = outgoing(content, sequence_number=5, enqueued_ms=1_000, delivery_count=2, locked_until_ms=61_000)
    sections = _sections(octets)
    assert sections[0x70] == [True, None, 60_000, False, 2]
    assert sections[0x72] == {
        "x-opt-enqueued-time": 1_000,
        "x-opt-sequence-number": 5,
        "x-opt-locked-until": 61_000,
        "x-opt-partition-key": "p",
    }
    assert sections[0x73][0] == uuid.UUID(int=7)
    assert sections[0x75] == b"21.5"


@pytest.mark.parametrize("properties", [b"", encode(Described(ULong(0x73), [None, None, "to"]))])
def test_a_message_without_an_id_is_given_one(properties: bytes) -> None:
    content = parse_message(properties + encode(Described(ULong(0x75), b"21.5")))
    fields = _sections(content.sections)[0x73]
    assert len(fields[0]) == 32
    assert fields[1:] == ([None, "to"] if properties else [])


def test_a_dead_letter_keeps_its_properties_and_gains_the_reason() -> None:
    content = with_application_properties(parse_message(_message()), {"DeadLetterReason": "not_json"})
    sections = _sections(outgoing(content, sequence_number=1, enqueued_ms=0, delivery_count=0))
    assert sections[0x74] == {"kind": "reading", "DeadLetterReason": "not_json"}
    assert sections[0x75] == b"21.5"


def test_a_batch_is_the_messages_in_it() -> None:
    batch = b"".join(encode(Described(ULong(0x75), _message())) for _ in range(3))
    assert parse_batch(batch) == [parse_message(_message())] * 3
    with pytest.raises(AmqpError, match="without messages"):
        parse_batch(b"")
    with pytest.raises(AmqpError):
        parse_batch(batch[:-5])


@pytest.mark.parametrize(
    "octets",
    [
        encode(Described(ULong(0x73), {"not": "a list"})),
        encode(Described(ULong(0x74), ["not a map"])),
        encode(Described(ULong(0x79), b"")),
        b"\x00\x53\x75\xb0\xff\xff\xff\xff",
        b"\x00\x53\x74\xc1\x05\x02\xa1\x05ab",
    ],
)
def test_a_message_no_receiver_could_read_is_refused(octets: bytes) -> None:
    with pytest.raises(AmqpError, match="decode-error"):
        parse_message(octets)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("over", [0, 1])
def test_items_are_not_made_of_nothing(wide: bool, over: int) -> None:
    """An array of nulls has none but its type byte; 65,536 of them in a dozen bytes, thousands of times in a frame."""
    count = 1 + over
    head = b"\xf0" + (5).to_bytes(4, "big") + count.to_bytes(4, "big") if wide else bytes((0xE0, 2, count))
    if over:
        with pytest.raises(AmqpError, match="2 items in 1 bytes"):
            decode(head + b"\x40")
    else:
        assert list(decode(head + b"\x40")[0]) == [None]


@pytest.mark.parametrize("body", ["5601", "5301", "8000000000000000ff", "00530f5001", "a10161"])
def test_an_array_that_was_read_is_written_as_it_was(body: str) -> None:
    octets = bytes.fromhex(body)
    head = bytes((0xE0, 1 + len(octets), 1))
    array, _ = decode(head + octets)
    assert decode(encode(array))[0] == array
    assert encode(array).endswith(octets)
