"""Reading what clients send: query, JSON, form. Whatever cannot be read is refused with 422, never with 500."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json
from quart import request

from web.errors import NotUsable

SECRET_PARAMETERS = ("token", "refresh_token")
SECRETS_KEY = "gasinsight.secrets"
"""Scope entry where the edge puts query parameters that must not reach a log."""


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
    if _holds_nul(fields):
        raise NotUsable.of("body", "", "holds a NUL character", "form_invalid")
    return fields


async def _sent_fields() -> dict[str, Any]:
    if request.mimetype == "multipart/form-data":
        return dict((await request.form).items())
    body = await _body()
    if request.mimetype == "application/json" or body.lstrip()[:1] == b"{":
        fields = parse_json(body) if body.strip() else {}
        return fields if isinstance(fields, dict) else {}
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=100))
    except (UnicodeDecodeError, ValueError) as error:
        raise NotUsable.of("body", "", "is not a readable form", "form_invalid") from error


async def _body() -> bytes:
    body: bytes = await request.get_data(cache=False)  # type: ignore[assignment]
    return body


def parse_json(body: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no NaN, bounded depth, and no NUL, which PostgreSQL cannot store."""
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise NotUsable.of("body", "", f"is not usable JSON: {error}", "json_invalid") from error
    if (b"\\u0000" in body and _holds_nul(value)) or _holds_infinity(value):
        raise NotUsable.of("body", "", "holds a NUL character or a number out of range", "json_invalid")
    return value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(name) or _holds_nul(inner) for name, inner in value.items())
    return isinstance(value, list) and any(_holds_nul(inner) for inner in value)


def _holds_infinity(value: Any) -> bool:
    """1e999 is grammatical JSON and reads as infinity."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(_holds_infinity(inner) for inner in value.values())
    return isinstance(value, list) and any(_holds_infinity(inner) for inner in value)
