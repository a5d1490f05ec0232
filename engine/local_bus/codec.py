"""AMQP 1.0 types to bytes and back (OASIS AMQP 1.0, part 1).

What is decoded encodes to the same type again (amqp_types.py). Bad input raises AmqpError with `amqp:decode-error` and
nothing else.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Any

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
from engine.local_bus.errors import DECODE_ERROR, AmqpError

NESTING_MAX = 64
ITEMS_MAX = 65_536


Decoder = Callable[[bytes, int, int], tuple[Any, int]]


def decode(buffer: bytes, position: int = 0) -> tuple[Any, int]:
    """The value at `position` and the position after it."""
    try:
        return _decode(buffer, position, 0)
    except AmqpError:
        raise
    except (IndexError, struct.error, ValueError, TypeError, OverflowError) as error:
        raise AmqpError(DECODE_ERROR, f"at byte {position} of {len(buffer)}: {error}") from error


def _decode(buffer: bytes, position: int, depth: int) -> tuple[Any, int]:
    decoder = _DECODERS[buffer[position]]
    if decoder is None:
        raise AmqpError(DECODE_ERROR, f"unknown type 0x{buffer[position]:02x} at byte {position}")
    return decoder(buffer, position + 1, depth)


def _octets(buffer: bytes, start: int, length: int) -> bytes:
    end = start + length
    if end > len(buffer):
        raise AmqpError(DECODE_ERROR, f"{length} bytes announced at byte {start}, {len(buffer) - start} are there")
    return buffer[start:end]


def _fixed(layout: str, convert: Callable[[Any], Any]) -> Decoder:
    unpack_from, size = struct.Struct(layout).unpack_from, struct.calcsize(layout)
    return lambda buffer, at, depth: (convert(unpack_from(buffer, at)[0]), at + size)


def _constant(value: Any) -> Decoder:
    return lambda buffer, at, depth: (value, at)


def _variable(width: int, convert: Callable[[bytes], Any]) -> Decoder:
    def decode_variable(buffer: bytes, at: int, depth: int) -> tuple[Any, int]:
        start = at + width
        if width == 1:
            length = buffer[at]
        else:
            (length,) = _UINT.unpack_from(buffer, at)
        return convert(_octets(buffer, start, length)), start + length

    return decode_variable


def _opaque(constructor: int, size: int) -> Decoder:
    return lambda buffer, at, depth: (Opaque(constructor, _octets(buffer, at, size)), at + size)


def _uuid(buffer: bytes, at: int, depth: int) -> tuple[uuid.UUID, int]:
    return uuid.UUID(bytes=_octets(buffer, at, 16)), at + 16


def _boolean(buffer: bytes, at: int, depth: int) -> tuple[bool, int]:
    return buffer[at] == 1, at + 1


def _compound_head(buffer: bytes, at: int, wide: bool, depth: int) -> tuple[int, int, int]:
    """Count of items, where they start and where they must end."""
    if depth >= NESTING_MAX:
        raise AmqpError(DECODE_ERROR, f"nested deeper than {NESTING_MAX}")
    if wide:
        size, count = _UINT_PAIR.unpack_from(buffer, at)
        start, end = at + 8, at + 4 + size
    else:
        size, count = buffer[at], buffer[at + 1]
        start, end = at + 2, at + 1 + size
    if end > len(buffer) or end < start:
        raise AmqpError(DECODE_ERROR, f"{size} bytes announced at byte {at}, {len(buffer) - at} are there")
    if count > min(ITEMS_MAX, end - start):  # none has no octet, but in an array: those could be made of nothing
        raise AmqpError(DECODE_ERROR, f"{count} items in {end - start} bytes, at most {ITEMS_MAX} are taken")
    return count, start, end


def _list(wide: bool) -> Decoder:
    def decode_list(buffer: bytes, at: int, depth: int) -> tuple[list[Any], int]:
        count, at, end = _compound_head(buffer, at, wide, depth)
        items: list[Any] = []
        for _ in range(count):
            item, at = _decode(buffer, at, depth + 1)
            items.append(item)
        _check_end(at, end)
        return items, end

    return decode_list


def _map(wide: bool) -> Decoder:
    def decode_map(buffer: bytes, at: int, depth: int) -> tuple[dict[Any, Any], int]:
        count, at, end = _compound_head(buffer, at, wide, depth)
        if count % 2:
            raise AmqpError(DECODE_ERROR, f"a map of {count} items has a key without a value")
        entries: dict[Any, Any] = {}
        for _ in range(count // 2):
            key, at = _decode(buffer, at, depth + 1)
            entries[key], at = _decode(buffer, at, depth + 1)
        _check_end(at, end)
        return entries, end

    return decode_map


def _array(wide: bool) -> Decoder:
    def decode_array(buffer: bytes, at: int, depth: int) -> tuple[Array, int]:
        count, start, end = _compound_head(buffer, at, wide, depth)
        at, constructor = start, buffer[start]
        descriptor: Any = None
        if constructor == 0:
            descriptor, at = _decode(buffer, at + 1, depth + 1)
            constructor = buffer[at]
        decoder = _DECODERS[constructor]
        if decoder is None or constructor == 0:
            raise AmqpError(DECODE_ERROR, f"array of unknown type 0x{constructor:02x}")
        at += 1
        items: list[Any] = []
        for _ in range(count):
            item, at = decoder(buffer, at, depth + 1)
            items.append(item if descriptor is None else Described(descriptor, item))
        _check_end(at, end)
        return Array(constructor, items, buffer[start:end]), end

    return decode_array


def _check_end(at: int, end: int) -> None:
    if at != end:
        raise AmqpError(DECODE_ERROR, f"items end at byte {at}, the size says {end}")


def _described(buffer: bytes, at: int, depth: int) -> tuple[Described, int]:
    if depth >= NESTING_MAX:
        raise AmqpError(DECODE_ERROR, f"nested deeper than {NESTING_MAX}")
    descriptor, at = _decode(buffer, at, depth + 1)
    value, at = _decode(buffer, at, depth + 1)
    return Described(descriptor, value), at


def _text(octets: bytes) -> str:
    return octets.decode("utf-8")


def _symbol(octets: bytes) -> Symbol:
    return Symbol(octets.decode("ascii"))


def _char(codepoint: int) -> Char:
    return Char(chr(codepoint))


_UINT = struct.Struct(">I")
_UINT_PAIR = struct.Struct(">II")

_DECODERS: list[Decoder | None] = [None] * 256
for _constructor, _decoder in {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x56: _boolean,
    0x50: _fixed(">B", UByte),
    0x60: _fixed(">H", UShort),
    0x43: _constant(UInt(0)),
    0x52: _fixed(">B", UInt),
    0x70: _fixed(">I", UInt),
    0x44: _constant(ULong(0)),
    0x53: _fixed(">B", ULong),
    0x80: _fixed(">Q", ULong),
    0x51: _fixed(">b", Byte),
    0x61: _fixed(">h", Short),
    0x54: _fixed(">b", Int),
    0x71: _fixed(">i", Int),
    0x55: _fixed(">b", int),
    0x81: _fixed(">q", int),
    0x72: _fixed(">f", Float),
    0x82: _fixed(">d", float),
    0x74: _opaque(0x74, 4),
    0x84: _opaque(0x84, 8),
    0x94: _opaque(0x94, 16),
    0x73: _fixed(">I", _char),
    0x83: _fixed(">q", Timestamp),
    0x98: _uuid,
    0xA0: _variable(1, bytes),
    0xB0: _variable(4, bytes),
    0xA1: _variable(1, _text),
    0xB1: _variable(4, _text),
    0xA3: _variable(1, _symbol),
    0xB3: _variable(4, _symbol),
    0x45: lambda buffer, at, depth: ([], at),
    0xC0: _list(False),
    0xD0: _list(True),
    0xC1: _map(False),
    0xD1: _map(True),
    0xE0: _array(False),
    0xF0: _array(True),
}.items():
    _DECODERS[_constructor] = _decoder


def encode(value: Any) -> bytes:
    """One value with its type byte; TypeError for what AMQP cannot say."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"no AMQP type for {type(value).__name__}")
    return encoder(value)


def encode_compound(short: int, wide: int, count: int, body: bytes) -> bytes:
    """A list or map whose items are encoded already."""
    if len(body) < 255 and count < 256:
        return bytes((short, len(body) + 1, count)) + body
    return bytes((wide,)) + _UINT_PAIR.pack(len(body) + 4, count) + body


def encode_list(items: list[Any]) -> bytes:
    return encode_compound(0xC0, 0xD0, len(items), b"".join(map(encode, items))) if items else b"\x45"


def encode_map(entries: dict[Any, Any]) -> bytes:
    body = b"".join(encode(key) + encode(value) for key, value in entries.items())
    return encode_compound(0xC1, 0xD1, 2 * len(entries), body)


def encode_binary(octets: bytes) -> bytes:
    return _with_length(0xA0, 0xB0, octets)


def _with_length(short: int, wide: int, octets: bytes) -> bytes:
    if len(octets) < 256:
        return bytes((short, len(octets))) + octets
    return bytes((wide,)) + _UINT.pack(len(octets)) + octets


def _encode_described(described: Described) -> bytes:
    return b"\x00" + encode(described.descriptor) + encode(described.value)


def _encode_array(array: Array) -> bytes:
    body = array.body
    if body is None:
        pack = _ARRAY_ITEM.get(array.constructor)
        if pack is None:
            raise TypeError(f"arrays of type 0x{array.constructor:02x} are read only")
        body = bytes((array.constructor,)) + b"".join(map(pack, array))
    return b"\xf0" + _UINT_PAIR.pack(len(body) + 4, len(array)) + body


def _unsigned(zero: int, small: int, wide: int, layout: str) -> Callable[[int], bytes]:
    pack = struct.Struct(layout).pack
    prefix = bytes((wide,))

    def encode_unsigned(value: int) -> bytes:
        if value == 0:
            return bytes((zero,))
        return bytes((small, value)) if 0 < value < 256 else prefix + pack(value)

    return encode_unsigned


def _signed(small: int, wide: int, layout: str) -> Callable[[int], bytes]:
    pack = struct.Struct(layout).pack
    prefix = bytes((wide,))
    return lambda value: bytes((small, value & 0xFF)) if -128 <= value < 128 else prefix + pack(value)


def _packed(constructor: int, layout: str) -> Callable[[Any], bytes]:
    pack = struct.Struct(layout).pack
    prefix = bytes((constructor,))
    return lambda value: prefix + pack(value)


def _sized_text(value: str) -> bytes:
    octets = value.encode("utf-8")
    return _UINT.pack(len(octets)) + octets


# What an item looks like inside an array, after the array's one type byte.
_ARRAY_ITEM: dict[int, Callable[[Any], bytes]] = {
    0x70: struct.Struct(">I").pack,
    0x80: struct.Struct(">Q").pack,
    0x71: struct.Struct(">i").pack,
    0x81: struct.Struct(">q").pack,
    0x82: struct.Struct(">d").pack,
    0x83: struct.Struct(">q").pack,
    0x98: lambda value: value.bytes,
    0xA3: lambda value: bytes((len(value),)) + value.encode("ascii"),
    0xB0: lambda value: _UINT.pack(len(value)) + value,
    0xB1: _sized_text,
    0xB3: _sized_text,
}

_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _packed(0x50, ">B"),
    UShort: _packed(0x60, ">H"),
    UInt: _unsigned(0x43, 0x52, 0x70, ">I"),
    ULong: _unsigned(0x44, 0x53, 0x80, ">Q"),
    Byte: _packed(0x51, ">b"),
    Short: _packed(0x61, ">h"),
    Int: _signed(0x54, 0x71, ">i"),
    int: _signed(0x55, 0x81, ">q"),
    Float: _packed(0x72, ">f"),
    float: _packed(0x82, ">d"),
    Char: lambda value: b"\x73" + _UINT.pack(ord(value)),
    Timestamp: _packed(0x83, ">q"),
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    bytes: encode_binary,
    str: lambda value: _with_length(0xA1, 0xB1, value.encode("utf-8")),
    Symbol: lambda value: _with_length(0xA3, 0xB3, value.encode("ascii")),
    Opaque: lambda value: bytes((value.constructor,)) + value.octets,
    list: encode_list,
    dict: encode_map,
    Described: _encode_described,
    Array: _encode_array,
}
