"""Reading what clients send: query, JSON, form. Whatever cannot be read is refused with 422, never with 500."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json
from quart import request

from native import JSON_DEPTH_MAX
from web.errors import NotUsable

SECRET_PARAMETERS = ("token", "refresh_token", "ticket", "code", "state")
FIELDS_MAX = 100
SECRETS_KEY = "gasinsight.secrets"
"""Scope entry where the edge puts query parameters that must not reach a log."""
SEND_KEY = "gasinsight.send"
"""Scope entry with the way of a websocket's frames past Quart, which spends as much on a frame as everybody else."""


def query_fields() -> dict[str, str]:
    """The query's parameters, first of each name; empty ones count as absent."""
    fields = {name: text for name, text in request.args.items() if text != ""}
    for name, text in fields.items():
        if "\x00" in text:
            raise NotUsable.of("query", name, "must not hold a NUL character")
    return fields


def secret_parameter(scope: dict[str, Any], name: str) -> str | None:
    """A query parameter that the edge took out of the URL."""
    value: str | None = scope.get(SECRETS_KEY, {}).get(name)
    return value or None


async def read_json() -> Any:
    """The body as JSON; no body counts as missing."""
    body = await _body()
    if not body.strip():
        raise NotUsable.of("body", "", "Field required", "missing")
    return parse_json(body)


async def read_fields() -> dict[str, Any]:
    """The body of a form (urlencoded or multipart) or a JSON object, whichever was sent."""
    fields = await _sent_fields()
    if any("\x00" in text for field in fields.items() for text in field if isinstance(text, str)):
        raise NotUsable.of("body", "", "holds a NUL character", "form_invalid")
    return fields


async def _sent_fields() -> dict[str, Any]:
    if request.mimetype == "multipart/form-data":
        return _once((await request.form).items(multi=True))
    body = await _body()
    if request.mimetype == "application/json" or body.lstrip()[:1] == b"{":
        fields = parse_json(body) if body.strip() else {}
        return fields if isinstance(fields, dict) else {}
    try:
        return _once(
            parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise NotUsable.of("body", "", "is not a readable form", "form_invalid") from error


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, text in pairs:
        if name in fields:
            raise NotUsable.of("body", name, "was sent twice", "form_invalid")
        fields[name] = text
    return fields


async def _body() -> bytes:
    body: bytes = await request.get_data(cache=False)  # type: ignore[assignment]
    return body


def parse_json(body: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no NaN, no lone surrogates; bounded depth; each name once in an object; and
    no NUL, which PostgreSQL cannot store.
    """
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise NotUsable.of("body", "", f"is not usable JSON: {error}", "json_invalid") from error
    _check_value(value, JSON_DEPTH_MAX)
    json.loads(body, object_pairs_hook=_unique)  # of two values the parser above keeps the last and says nothing
    return value


def _check_value(value: Any, depth_left: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise _unusable_json("holds a NUL character")
    elif isinstance(value, float):
        if not math.isfinite(value):  # 1e999 is grammatical JSON and reads as infinity
            raise _unusable_json("holds a number out of range")
    elif isinstance(value, dict | list):
        if depth_left == 0:
            raise _unusable_json(f"is nested more than {JSON_DEPTH_MAX} deep")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_value(inner, depth_left - 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _unusable_json("holds an object with the same name twice")
    return fields


def _unusable_json(problem: str) -> NotUsable:
    return NotUsable.of("body", "", problem, "json_invalid")
