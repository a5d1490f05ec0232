"""What PostgreSQL takes as content, as far as texts go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any


class Unstorable(Exception):
    """Content that PostgreSQL would refuse, with the reason."""


def check_texts(*content: Any) -> None:
    """Raises Unstorable when any text within has a NUL or is no UTF-8."""
    for text in _texts(content):
        try:
            storable = b"\0" not in text.encode()
        except UnicodeEncodeError:
            storable = False
        if not storable:
            raise Unstorable(f"invalid text {text[:40]!a}")


def check_json(text: str) -> None:
    """Raises Unstorable when it is no JSON, or holds a text that cannot be stored."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unstorable(f"no JSON: {error}") from error
    check_texts(value)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif is_dataclass(content):
        for each in fields(content):
            yield from _texts(getattr(content, each.name))
    elif isinstance(content, Mapping):
        for pair in content.items():
            yield from _texts(pair)
    elif isinstance(content, Sequence) and not isinstance(content, bytes):
        for each in content:
            yield from _texts(each)
