"""Reading what clients send: query, JSON, form. Whatever cannot be read is refused with 422, never with 500."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json
from quart import request
from werkzeug.exceptions import RequestEntityTooLarge

from native import JSON_DEPTH_MAX
from web.edge.bodies import BoundedBody
from web.edge.request_limits import BodyTooLarge, announced_length
from web.errors import NotUsable

SECRET_PARAMETERS = ("token", "refresh_token", "ticket", "code", "state")
FIELDS_MAX = 100
BYTES_PER_JSON_VALUE = 32
"""Of what a route may be sent; names and brackets count as values. A list of a thousand grants has about fifty."""
LARGE_BODY_BYTES = 16_384
BODY_KEY = "gasinsight.body"
"""Scope entry with the BoundedBody of a request."""
SECRETS_KEY = "gasinsight.secrets"
"""Scope entry where the edge puts query parameters that must not reach a log."""
SEND_KEY = "gasinsight.send"
"""Scope entry with the way of a websocket's frames past Quart, which spends as much on a frame as everybody else."""

# One at a time: parsing holds the interpreter, so that more threads would only take turns with the event loop.
_large_bodies = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
_JSON_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[^\s\[\]{}:,"]++', re.DOTALL)


def admit_body(bytes_max: int) -> None:
    """Take the request's body from now on; BodyTooLarge when more is announced than its route reads."""
    length = announced_length(request.scope["headers"])  # type: ignore[arg-type]
    if length is not None and length > bytes_max:
        raise BodyTooLarge(bytes_max)
    _bounded_body().admit(bytes_max)


def query_fields(repeated: frozenset[str]) -> dict[str, str | list[str]]:
    """The query's parameters, of `repeated` names all, else the first of each; empty ones count as absent."""
    for name, text in request.args.items(multi=True):
        if "\x00" in text:
            raise NotUsable.of("query", name, "must not hold a NUL character")
    fields: dict[str, str | list[str]] = {name: text for name, text in request.args.items() if text != ""}
    for name in repeated:
        fields[name] = [text for text in request.args.getlist(name) if text != ""]
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
    return await _parsed(body)


async def read_fields() -> dict[str, Any]:
    """The body of a form (urlencoded or multipart) or a JSON object, whichever was sent."""
    fields = await _sent_fields()
    if any("\x00" in text for field in fields.items() for text in field if isinstance(text, str)):
        raise NotUsable.of("body", "", "holds a NUL character", "form_invalid")
    return fields


async def _sent_fields() -> dict[str, Any]:
    if request.mimetype == "multipart/form-data":
        try:
            return _once((await request.form).items(multi=True))
        except RequestEntityTooLarge as error:  # of parts
            raise NotUsable.of("body", "", f"has more than {FIELDS_MAX} fields", "form_invalid") from error
    body = await _body()
    if request.mimetype == "application/json" or body.lstrip()[:1] == b"{":
        fields = await _parsed(body) if body.strip() else {}
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


def _bounded_body() -> BoundedBody:
    scope: Any = request.scope
    body: BoundedBody = scope[BODY_KEY]
    return body


async def _parsed(body: bytes) -> Any:
    values_max = _bounded_body().bytes_max // BYTES_PER_JSON_VALUE
    if len(body) <= LARGE_BODY_BYTES:
        return parse_json(body, values_max)
    return await asyncio.get_running_loop().run_in_executor(_large_bodies, parse_json, body, values_max)


def parse_json(body: bytes, values_max: int) -> Any:
    """JSON as the standard has it: UTF-8, no NaN, no lone surrogates; bounded depth and number of values (names and
    brackets are such too); each name once in an object; and no NUL, which PostgreSQL cannot store.
    """
    if any(count > values_max for count, _ in enumerate(_JSON_VALUE.finditer(body), 1)):
        raise _unusable_json(f"holds more than {values_max} names, values and brackets")
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
