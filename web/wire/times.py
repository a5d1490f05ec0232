"""Times of the wire contract: UTC without a suffix outwards; inwards as the core reads them, and whole days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema

import native

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_ZERO = "+00:00"
_BLANK = r"[ \t\n\f\r]*"
_DAY = re.compile(rf"{_BLANK}([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_BLANK}")
_BLANK_FOR_PLUS = re.compile(r"(:[0-9]{2}(?:[.,][0-9]+)?) {1,2}([0-9]{2}(?::?[0-9]{2})?)$")

TIME_IN_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"( ?(Z|z|[+-][0-9]{2}(:?[0-9]{2})?))?)?$"
)
"""For the description of the interface; `native.parse_time` decides."""
TIME_OUT_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$"


def to_us(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - EPOCH) // MICROSECOND


def from_us(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)


def contract_text(time: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS[.ffffff]`, UTC, no suffix."""
    text = time.isoformat()
    if not text.endswith(_ZERO):  # never so for what the database gives, of which there may be much
        text = time.astimezone(UTC).isoformat()
    return text.removesuffix(_ZERO)


ContractTime = Annotated[
    datetime,
    PlainSerializer(contract_text, return_type=str),
    WithJsonSchema({"type": "string", "description": "UTC without suffix", "pattern": TIME_OUT_PATTERN}),
]


def first_moment(text: str) -> datetime:
    """What a query's beginning means: a moment, or the first one of a bare day. ValueError says why it is none."""
    return _moment(text, "T00:00:00")


def last_moment(text: str) -> datetime:
    """What a query's end means: a moment, or the last one of a bare day. ValueError says why it is none."""
    return _moment(text, "T23:59:59.999999")


def end_moment(text: str) -> datetime:
    """The moment before which a range ends; a bare day is meant whole. ValueError says why it is none."""
    return last_moment(text) + (MICROSECOND if _DAY.fullmatch(text) else timedelta())


def _moment(text: str, time_of_day: str) -> datetime:
    """A `+` that came unescaped in a URL arrives as a blank; it is read as the plus it was."""
    if day := _DAY.fullmatch(text):
        text = day[1] + time_of_day
    return from_us(native.parse_time(_BLANK_FOR_PLUS.sub(r"\1+\2", text)))
