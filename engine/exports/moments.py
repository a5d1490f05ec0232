"""What people write as the ends of a range."""

from __future__ import annotations

import re
from typing import Final

import native
from engine.exports.pieces import DAY_US
from engine.exports.selection import SelectionRefused

_DAY: Final = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2})\s*")


def start_us(text: str) -> int:
    """A moment, or the beginning of a day; UTC without a zone. Raises SelectionRefused."""
    return _us(text, 0)


def end_us(text: str) -> int:
    """The moment before which the range ends; a day is meant whole. Raises SelectionRefused."""
    return _us(text, DAY_US)


def _us(text: str, of_a_day_us: int) -> int:
    try:
        if day := _DAY.fullmatch(text):
            return native.parse_time(f"{day[1]}T00:00:00Z") + of_a_day_us
        return native.parse_time(text)
    except native.TimeRefused as error:
        raise SelectionRefused(f"{text!r} is no time such as 2026-11-23T10:15:00Z, and no day: {error}") from error
