"""Readings and computed values as the strings of the wire contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MEAN_DIGITS: Final = 12
"""Of a double's 16 or so; the last ones of a sum depend on the order in which it was added up."""


def reading_text(value: float | None, text_value: str | None) -> str:
    """The string as received: it is stored only where it differs from Python's spelling of the value."""
    if text_value is not None:
        return text_value
    return "" if value is None else repr(value)


def shortest(value: float) -> str:
    """The shortest decimal that reads back as the same number: `24`, not `24.0`."""
    return repr(value).removesuffix(".0")


def mean_texts(means: Sequence[float]) -> list[str]:
    """The shortest decimal of each `rounded_mean`, of many at once.

    So few digits are the shortest that read back as themselves; only what is written with an exponent is spelled
    otherwise by `shortest`.
    """
    texts = (f"%.{MEAN_DIGITS}g " * len(means) % tuple(means)).split()
    return [shortest(float(text)) if "e" in text else text for text in texts]


def rounded_mean(value: float) -> float:
    """A computed mean without the noise of floating sums: `67.966`, not `67.96599999999998`."""
    return float(f"{value:.{MEAN_DIGITS}g}")
