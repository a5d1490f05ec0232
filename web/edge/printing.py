"""What strangers wrote, as it may stand in a log: one line, bounded, with nothing that a terminal obeys."""

from __future__ import annotations

PRINTED_CHARACTERS_MAX = 512
_MEANT = frozenset('"\\')  # what ends or escapes a quoted text


def printable(text: str) -> str:
    """`text` with quotes, backslashes and whatever is not seen as escapes; cut off where it is long."""
    shown = text[:PRINTED_CHARACTERS_MAX]
    if not shown.isprintable() or not _MEANT.isdisjoint(shown):
        shown = "".join(
            each if each.isprintable() and each not in _MEANT else f"\\u{{{ord(each):x}}}" for each in shown
        )
    return shown if len(text) <= PRINTED_CHARACTERS_MAX else f"{shown}…"
