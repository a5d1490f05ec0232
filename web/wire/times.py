"""Times of the wire contract: UTC without a suffix outwards; with, without or with a blank inwards."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_TIME_IN = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"\s?(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_BLANK_FOR_PLUS = re.compile(r"(:\d{2}(?:\.\d+)?) (\d{2}:\d{2})$", re.ASCII)

TIME_IN_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?)?"
    r"( ?(Z|z|[+-][0-9]{2}(:?[0-9]{2})?))?$"
)
"""For the description of the interface; `parse_time` decides."""
TIME_OUT_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$"


def to_us(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - EPOCH) // MICROSECOND


def from_us(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)


def contract_text(time: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS[.ffffff]`, UTC, no suffix."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat()


ContractTime = Annotated[
    datetime,
    PlainSerializer(contract_text, return_type=str),
    WithJsonSchema({"type": "string", "description": "UTC without suffix", "pattern": TIME_OUT_PATTERN}),
]


def parse_time(text: str) -> datetime:
    """A time of a query: naive means UTC; ValueError says what would be right.

    A `+` that came unescaped in a URL arrives as a blank; it is read as the plus it was.
    """
    match = _TIME_IN.fullmatch(_BLANK_FOR_PLUS.sub(r"\1+\2", text.strip()))
    if match is None:
        raise ValueError("should be a time such as 2026-11-22T10:15:00, 2026-11-22 10:15:00 or 2026-11-22T10:15:00Z")
    fraction = (match["fraction"] or "").ljust(6, "0")[:6]
    year, month, day = (int(part) for part in match["date"].split("-"))
    time = datetime(
        year,
        month,
        day,
        int(match["hour"] or 0),
        int(match["minute"] or 0),
        int(match["second"] or 0),
        int(fraction),
        tzinfo=_zone(match["zone"]),
    )
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the years 1 to 9999") from error


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
