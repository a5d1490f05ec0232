"""Frequencies of the wire contract: a positive integer with S, s, T, min, H, h, D or d. Parsed only here."""

from __future__ import annotations

import re

import native

SECONDS_OF_UNIT = {"s": 1, "t": 60, "min": 60, "h": 3600, "d": 86_400}
FREQUENCY_S_MAX = (native.TIME_US_END - native.TIME_US_FIRST) // 1_000_000
"""A cell as long as all the time there is."""

FREQUENCY_PATTERN = r"^0*[1-9][0-9]{0,11}(S|s|T|min|H|h|D|d)$"
"""For the description of the interface; `parse_frequency` decides."""

_FREQUENCY = re.compile(r"(\d{1,12})(S|s|T|min|H|h|D|d)", re.ASCII)


def parse_frequency(text: str) -> int:
    """Seconds; ValueError says what would be right."""
    match = _FREQUENCY.fullmatch(text)
    seconds = int(match[1]) * SECONDS_OF_UNIT[match[2].lower()] if match else 0
    if not 0 < seconds <= FREQUENCY_S_MAX:
        raise ValueError("should be a positive integer with S, T, min, H or D, such as 15S, 15T or 1H")
    return seconds


def spell_frequency(seconds: int) -> str:
    """`<n>T` for whole minutes, else `<n>S`: the two spellings that the front end knows."""
    return f"{seconds // 60}T" if seconds % 60 == 0 else f"{seconds}S"


def spelled_frequency(text: str) -> str:
    """Any accepted spelling as `<n>S` or `<n>T`."""
    return spell_frequency(parse_frequency(text))
