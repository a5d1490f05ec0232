"""CSV that may be opened: no text starts a formula or steers a terminal, every other cell reads back as it was."""

from __future__ import annotations

import csv
import io

import pytest
from pydantic_core import to_json

from web.wire.csv import Table

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1",
    "-1+cmd",
    "@SUM(A1)",
    "\uff1d1",
    "-",
    "- 5",
    "-5 ",
    "-0x10",
    "-Infinity",
    "-٣",
)
HARMLESS = ("a=1", "24.61 °C", " =1", "", '"quoted"', 'a";=1', "a,b", "a;b", "12:30", "O'Neill", "NaN")
NUMBERS = ("0", "-0", "24.60", "-5", "-5.50", "1e-7", "-1.5E+300", "007", "9" * 40)


def cells(values: tuple[object, ...]) -> list[str]:
    table = Table(("one.value",))
    body = table.head() + table.lines(to_json([{"one": {"value": value}} for value in values]))
    assert body.startswith(b'"one.value"\r\n') and body.endswith(b"\r\n")
    rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
    assert rows[0] == ["one.value"]
    return [row[0] if row else "" for row in rows[1:]]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_a_spreadsheet_would_run_is_marked_as_text(text: str) -> None:
    assert cells((text,)) == [f"'{text}"]


def test_other_text_and_numbers_stay_as_they_are() -> None:
    assert cells(HARMLESS) == list(HARMLESS)
    assert cells(NUMBERS) == list(NUMBERS)
    assert cells((1, -2.5, None, True)) == ["1", "-2.5", "", "true"]
    assert cells(({"name": '=1"'}, ["-1"])) == ['{"name":"=1\\""}', '["-1"]']


def test_control_characters_are_shown_as_escapes() -> None:
    assert cells(("\t=1", "\r=1", "\n=1", "two\r\nlines")) == ["\\x09=1", "\\x0d=1", "\\x0a=1", "two\\x0d\\x0alines"]
    assert cells(("\x1b[2J", "\u202e=1", "\x85", {"a": "\x9b"})) == ["\\x1b[2J", "\\u202e=1", "\\x85", '{"a":"\\x9b"}']


def test_text_is_quoted_and_numbers_are_not() -> None:
    table = Table(("a", "b", "c"))
    assert table.head() == b'"a","b","c"\r\n'
    assert table.lines(to_json([{"a": 'x";=1', "b": "-24.60", "c": None, "d": 1}])) == b'"x"";=1",-24.60,\r\n'
    assert table.lines(b"[]") == b""
