"""Tables in text files (CSV): what separates the cells is found out, the first line names the columns.

Read: cells apart by , ; tab or |, perhaps quoted; UTF-8, UTF-16, or Windows-1252 where it is no UTF-8; with or without
a byte order mark; any ends of lines; Excel's `sep=;`. Numbers and the words in place of some: see cells.py.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from typing import Final

import polars as pl

from engine.offline.cells import Cells, NoNumber, cells_of
from engine.offline.refusals import FrameRefused
from engine.offline.shapes import may_be_sensor
from engine.offline.tables import Table
from engine.offline.times import times_of

SEPARATORS: Final = ";\t|,"
MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as that of UTF-16 does
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
BYTES_LOOKED_AT: Final = 512
NEVER_NUMBERS: Final = ("facility_id", "sensor_id", "text")
"""Columns whose cells are text, whatever they look like: 007 is another id than 7."""
WORDS_TOLD_MAX: Final = 8


def read_text(raw: bytes, *, as_written: bool = False) -> Table:
    """The table, and what is to be told of it. Raises FrameRefused.

    `as_written` is for who looks at times and words row by row: times are text, and words no remark.
    """
    text, remarks = _decoded(raw)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    separator, table = _separator(text.lstrip("\n"))
    header, _, body = table.partition("\n")
    names = _names(header, separator)
    texts = _cells(body, names, separator, first_line=text.count("\n") - body.count("\n") + 1)
    columns: dict[str, pl.Series] = {}
    found: dict[str, Cells] = {}
    for name, place in zip(names, texts.columns[1:], strict=True):
        column = texts[place]
        if name == "tracked_at":
            columns[name] = column if as_written else times_of(column, texts["line"])
        elif name or column.null_count() < len(column):  # else it comes of a separator at the end of each line
            is_fed = name == "value" or ("value" not in names and may_be_sensor(name) and name not in NEVER_NUMBERS)
            cells = None if name in NEVER_NUMBERS else _numbers(column, name, texts["line"], separator, is_fed)
            columns[name] = column if cells is None else cells.numbers
            if cells is not None:
                found[name] = cells
    _refuse_doubtful_points(found)
    words = {name: cells.texts for name, cells in found.items() if cells.words}
    return Table(pl.DataFrame(columns), remarks if as_written else remarks + _told(found), words, texts["line"])


def _decoded(raw: bytes) -> tuple[str, list[str]]:
    head = raw[:BYTES_LOOKED_AT]
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    if encoding is None and b"\0" in head:  # Latin letters in UTF-16 are every other byte
        encoding = "utf-16-le" if not any(head[1::2]) else "utf-16-be" if not any(head[::2]) else None
        if encoding is None:
            raise FrameRefused("it is neither Parquet nor text: give a Parquet or a CSV file")
    try:
        return raw.decode(encoding or "utf-8"), []
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise FrameRefused(f"it begins as {encoding} and is not: {error.reason} at byte {error.start}") from error
    try:
        return raw.decode("cp1252"), ["read as Windows-1252, for it is no UTF-8"]
    except UnicodeDecodeError as error:
        raise FrameRefused("it is neither Parquet nor text in UTF-8, UTF-16 or Windows-1252") from error


def _separator(text: str) -> tuple[str, str]:
    """What makes the most cells of the header; and the text without the line in which Excel says it."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first) == len("sep=;"):
        return first[-1], rest
    return max(SEPARATORS, key=lambda separator: len(_split(first, separator))), text


def _split(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error as error:
        raise FrameRefused(f"its first line cannot be read as names of columns: {error}") from error


def _names(header: str, separator: str) -> list[str]:
    names = _split(header, separator)
    if "tracked_at" not in names:
        raise FrameRefused(
            f"its first line, {header[:80]!r}, does not name a column tracked_at: the first line must name the columns,"
            " tracked_at and value, or tracked_at and the sensors"
        )
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise FrameRefused(f"there are two columns {twice[0]}: give each a name of its own")
    return names


def _cells(body: str, names: list[str], separator: str, first_line: int) -> pl.DataFrame:
    """As text without spaces around it, the columns named by their places; `line`: where in the file each row stands.

    Empty cells are null, empty lines are left out.
    """
    places = [str(place) for place in range(len(names))]
    if not body.strip("\n"):
        return pl.DataFrame(schema={"line": pl.Int64, **dict.fromkeys(places, pl.String)})
    try:
        table = pl.read_csv(
            io.BytesIO(body.encode()),
            has_header=False,
            separator=separator,
            schema=dict.fromkeys(places, pl.String),
            missing_columns="insert",
        )
    except pl.exceptions.PolarsError as error:
        _refuse_longer_line(body, len(names), separator, first_line)
        raise FrameRefused(f"it cannot be read as a table: {str(error).partition(chr(10))[0]}") from error
    texts = pl.col(places)
    cells = table.select(pl.when(texts.str.strip_chars() != "").then(texts.str.strip_chars()))
    return cells.with_row_index("line", offset=first_line).filter(pl.any_horizontal(texts.is_not_null()))


def _refuse_longer_line(body: str, cells_max: int, separator: str, first_line: int) -> None:
    reader = csv.reader(io.StringIO(body), delimiter=separator)
    for line in reader:
        if len(line) > cells_max:
            raise FrameRefused(
                f"line {reader.line_num + first_line - 1} has {len(line)} cells, the first line names {cells_max}"
                + (": commas in numbers need another separator, such as ;" if separator == "," else "")
            )


def _numbers(column: pl.Series, name: str, lines: pl.Series, separator: str, is_fed: bool) -> Cells | None:
    """None: it stays text, as what is not fed to the core may."""
    try:
        cells = cells_of(column, separator)
    except NoNumber as error:
        if is_fed:
            text = column[error.row]
            raise FrameRefused(f"{name} has {text!r} in line {lines[error.row]}, which is {error.what}") from error
        return None
    return cells if is_fed or not cells.are_words_alone else None


def _refuse_doubtful_points(found: dict[str, Cells]) -> None:
    """Where commas are decimal, 1.234 is a thousand and more to whoever wrote it, and to others a little over one."""
    doubtful = [name for name, cells in found.items() if cells.may_group_by_points and not cells.has_decimal_commas]
    if doubtful and any(cells.has_decimal_commas for cells in found.values()):
        raise FrameRefused(
            f"{doubtful[0]} has points that may group thousands, and other columns have decimal commas:"
            " write all numbers alike"
        )


def _told(found: dict[str, Cells]) -> list[str]:
    words: Counter[str] = Counter()
    for cells in found.values():
        words.update(cells.words)
    if not words:
        return []
    most = ", ".join(f"{count:,} of {word[:40]}" for word, count in words.most_common(WORDS_TOLD_MAX))
    return [f"words where numbers should be count as missing: {words.total():,} ({most})"]
