"""Cells of a text file as numbers: decimal commas, grouped thousands, and the words that historians write instead.

A cell that is a word (no digit in it: Bad, I/O Timeout, No Data, …) stands for a value that is missing. A cell that is
neither a number nor a word is a mistake, and nobody can know whose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

DECIMAL_COMMA: Final = r"^[-+]?(\d{1,3}(\.\d{3})+|\d+)?,\d*([eE][-+]?\d+)?$"
GROUPING_COMMA: Final = r"^[-+]?\d{1,3}(,\d{3})+(\.\d*)?$"
GROUPING_POINT: Final = r"^[-+]?\d{1,3}(\.\d{3})+$"
GROUPING_SPACE: Final = r"^[-+]?\d{1,3}([ \x{a0}\x{202f}'\x{2019}]\d{3})+([.,]\d*)?$"
NOT_A_NUMBER: Final = r"^[-+]?1\.#[A-Z]+0*$"
"""What Microsoft's C library wrote for NaN and infinities."""


class NoNumber(Exception):
    """A column is not of numbers: in which row, and what there is instead."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(row, what)
        self.row = row
        self.what = what


@dataclass
class Cells:
    """A column as numbers."""

    numbers: pl.Series
    texts: pl.Series
    """The words in place of some, where they stood."""
    words: dict[str, int] = field(default_factory=dict)
    """The same, and how often."""
    has_decimal_commas: bool = False
    may_group_by_points: bool = False
    """It has points, and each could group thousands."""

    @property
    def are_words_alone(self) -> bool:
        return bool(self.words) and self.numbers.null_count() == len(self.numbers)


def cells_of(texts: pl.Series, separator: str) -> Cells:
    """Raises NoNumber. The column has a name of ours: polars takes some names for patterns, also that of a Series."""
    is_word = texts.str.contains(r"^\D+$") & texts.cast(pl.Float64, strict=False).is_null()
    is_word = (is_word | texts.str.contains(NOT_A_NUMBER)).fill_null(value=False)
    words = texts.filter(is_word).value_counts(sort=True)
    written = texts.zip_with(~is_word, pl.Series([None], dtype=pl.String))
    written = _without_spaces(written.str.replace_all("\N{MINUS SIGN}", "-", literal=True))
    has_decimal_commas = _has_decimal_commas(written, separator)
    plain = _with_plain_points(written, has_decimal_commas)
    numbers = plain.cast(pl.Float64, strict=False)
    is_wrong = numbers.is_null() & plain.is_not_null()
    if is_wrong.any():
        raise NoNumber(is_wrong.arg_max() or 0, "no number")
    with_point = written.filter(written.str.contains(".", literal=True).fill_null(value=False))
    return Cells(
        numbers,
        texts.zip_with(is_word, pl.Series([None], dtype=pl.String)),
        dict(zip(words[texts.name], words["count"], strict=True)),
        has_decimal_commas,
        bool(len(with_point)) and bool(with_point.str.contains(GROUPING_POINT).all()),
    )


def _without_spaces(texts: pl.Series) -> pl.Series:
    return _where(texts.str.contains(GROUPING_SPACE), texts.str.replace_all(r"[^-+\d.,]", ""), texts)


def _has_decimal_commas(texts: pl.Series, separator: str) -> bool:
    """Whether commas are decimal, or group thousands, after the company they keep in their column."""
    may_be_decimal, may_group = texts.str.contains(DECIMAL_COMMA), texts.str.contains(GROUPING_COMMA)
    if (may_be_decimal & ~may_group).any():
        return True
    may_be_both = (may_be_decimal & may_group).fill_null(value=False)
    is_doubtful = bool(may_be_both.any()) and not (may_group & ~may_be_decimal).any()
    if is_doubtful and separator != ";":
        raise NoNumber(
            may_be_both.arg_max() or 0,
            "a decimal comma or a group of thousands: write a point, or let ; separate the cells, which says that"
            " commas are decimal",
        )
    return is_doubtful


def _with_plain_points(texts: pl.Series, has_decimal_commas: bool) -> pl.Series:
    """What fits neither way stays as it is, and will be found to be no number."""
    if has_decimal_commas:
        is_written_so = texts.str.contains(DECIMAL_COMMA) | texts.str.contains(GROUPING_POINT)
        plain = texts.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        has_other_point = texts.str.contains(".", literal=True) & ~is_written_so
        return _where(has_other_point, texts.str.replace(".", ",", literal=True), _where(is_written_so, plain, texts))
    return _where(texts.str.contains(GROUPING_COMMA), texts.str.replace_all(",", "", literal=True), texts)


def _where(condition: pl.Series, then: pl.Series, otherwise: pl.Series) -> pl.Series:
    return then.zip_with(condition.fill_null(value=False), otherwise)
