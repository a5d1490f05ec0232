"""Readings and computed values as the strings of the wire contract."""

from __future__ import annotations


def reading_text(value: float | None, text_value: str | None) -> str:
    """The string as received: it is stored only where it differs from Python's spelling of the value."""
    if text_value is not None:
        return text_value
    return "" if value is None else repr(value)


def shortest(value: float) -> str:
    """The shortest decimal that reads back as the same number: `24`, not `24.0`."""
    return repr(value).removesuffix(".0")
