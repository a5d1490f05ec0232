"""What a file holds before anybody has judged it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import polars as pl


class Table(NamedTuple):
    """`remarks`: what is to be told of it. Of a text file also

    words   by column the words that stood in place of numbers, null where there was a number or nothing
    lines   where in the file each row stands
    """

    frame: pl.DataFrame
    remarks: list[str]
    words: Mapping[str, pl.Series] = MappingProxyType({})
    lines: pl.Series | None = None
