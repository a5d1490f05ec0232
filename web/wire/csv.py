"""Answers as CSV, for spreadsheets: `Accept: text/csv` on the routes that offer it.

A spreadsheet takes a cell that starts with `=` for a formula, also when a sensor was given that name to run something
on the machine of whoever opens the file; such cells get an apostrophe in front. Control characters are shown as
escapes, since a terminal would obey them. Numbers stay as they were received.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from engine.printable import escaped

MIME_TYPE = "text/csv"
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# With the full-width twins of the four signs, which some spreadsheets take for them. Tabs and ends of lines, for which
# the same holds, are escaped before.
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_LINE_END = "\r\n"


@dataclass(frozen=True, slots=True)
class Table:
    """How rows of JSON are lines. A column `a.b` is the field b of a row's object a."""

    columns: tuple[str, ...]

    def head(self) -> bytes:
        """The names of the columns."""
        return _line(self.columns).encode()

    def lines(self, rows: bytes) -> bytes:
        """Of a JSON array of rows, a line each."""
        return "".join(_line([_field(row, column) for column in self.columns]) for row in from_json(rows)).encode()


def _field(row: Any, column: str) -> Any:
    for name in column.split("."):
        row = row[name]
    return row


def _line(cells: Sequence[Any]) -> str:
    return ",".join(_cell(cell) for cell in cells) + _LINE_END


def _cell(value: Any) -> str:
    """As RFC 4180 has it. Text is always in quotes, so that no separator of any country splits it."""
    if value is None:
        return ""
    text = escaped(value if isinstance(value, str) else to_json(value).decode())
    if _NUMBER.fullmatch(text):
        return text
    if text.startswith(_STARTS_A_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"'
