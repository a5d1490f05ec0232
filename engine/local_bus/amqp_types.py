"""The AMQP types Python has no type for.

Python's own stand for those that are meant most often: `int` is long, `float` is double, `bytes` is binary, `dict` is
map; `str`, `bool`, `None`, `list` and `uuid.UUID` are what they say.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Symbol(str):
    """ASCII name out of a known set."""

    __slots__ = ()


class UByte(int):
    __slots__ = ()


class UShort(int):
    __slots__ = ()


class UInt(int):
    __slots__ = ()


class ULong(int):
    __slots__ = ()


class Byte(int):
    __slots__ = ()


class Short(int):
    __slots__ = ()


class Int(int):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00:00Z."""

    __slots__ = ()


class Float(float):
    """32 bits wide."""

    __slots__ = ()


class Char(str):
    """One character."""

    __slots__ = ()


class Opaque(NamedTuple):
    """A decimal, kept as it came: nothing here computes with it."""

    constructor: int
    octets: bytes


class Described(NamedTuple):
    descriptor: Any
    value: Any


class Array(list[Any]):
    """Items of one type; `constructor` is the type byte of that item type, `body` the octets of one that was read."""

    def __init__(self, constructor: int, items: list[Any] | None = None, body: bytes | None = None) -> None:
        super().__init__(items or [])
        self.constructor = constructor
        self.body = body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.constructor == other.constructor and list.__eq__(self, other)

    __hash__ = None
