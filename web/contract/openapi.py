"""`/openapi.json`: OpenAPI 3.1, written from the declared routes and websockets, their models and recorded examples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from web.auth.guard import Need
from web.contract.declare import Endpoint, File, Noun, Page, Redirect, Socket
from web.contract.shapes import Detail, Problems
from web.wire import csv

REF = "#/components/schemas/{model}"
EXAMPLES = Path(__file__).with_name("examples.json")
ABOUT = """Realtime monitoring of gas facilities.

Sign in with `POST /auth/token` and send the access token as `Authorization: Bearer …`; a program sends an API key there
(`POST /api-keys`). Times are UTC; those in answers carry no suffix. Errors are `{"detail": …}`. Unknown keys of a body
are ignored.

Each route says who may: `all`; `user`, API keys too; `person`, no API keys; `oneself`, nor anybody who impersonates;
`View` or `Edit` in the facility it is about; `Admin`.

The websockets are under `x-websockets`; each takes `?token=` with an access token or API key, or `?ticket=`, and sends
JSON text frames:

"""
STATUS_TEXTS = {
    400: "Not possible as asked",
    401: "Not authenticated, or the token is no good",
    403: "Not enough permissions",
    404: "Not found",
    408: "The body took too long to arrive",
    409: "Not possible in the present state",
    413: "The body is too large",
    414: "The path or the query is too long, or has too many parameters",
    416: "The file has no such bytes",
    422: "Not usable: what is wrong, and where",
    429: "Too many requests: try again after `Retry-After` seconds",
    502: "Whoever was asked on your behalf gave no usable answer",
    503: "Not available now: try again after `Retry-After` seconds",
}
HEADERS = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"schema": {"type": "string"}}},
}
NEXT_HEADERS = {
    "Link": {
        "description": 'the next part, if there is one: `<…>; rel="next"`',
        "schema": {"type": "string"},
    },
}
LIST_HEADERS = {
    "X-Total-Count": {
        "required": True,
        "description": "how many there are, in this part of the list and outside of it",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    **NEXT_HEADERS,
}


def product_version() -> str:
    """The installed version; a checkout that was never installed has none."""
    try:
        return version("gasinsight-server")
    except PackageNotFoundError:
        return "0+checkout"


def openapi_document(nouns: Iterable[Noun], sockets: Iterable[Socket]) -> dict[str, Any]:
    """The whole document, as JSON-ready values."""
    nouns, sockets = list(nouns), list(sockets)
    endpoints = [endpoint for noun in nouns for endpoint in noun.endpoints]
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Detail, "serialization"), (Problems, "serialization")]
    modes += [(endpoint.body, "validation") for endpoint in endpoints if endpoint.body is not None]
    modes += [(endpoint.form, "validation") for endpoint in endpoints if endpoint.form is not None]
    modes += [(socket.frame, "serialization") for socket in sockets]
    _, schemas = models_json_schema(modes, ref_template=REF)
    components: dict[str, Any] = dict(schemas.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, components)
    about = ABOUT + "\n".join(
        f"- `{socket.path}`: {socket.about}; `{', '.join(socket.frame.model_fields)}`" for socket in sockets
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "GasInSight", "version": product_version(), "description": about},
        "tags": [{"name": noun.name, "description": noun.about} for noun in nouns],
        "paths": paths,
        "x-websockets": {socket.path: _websocket(socket) for socket in sockets},
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "oauth2", "flows": {"password": {"tokenUrl": "/auth/token", "scopes": {}}}},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


@cache
def _examples() -> dict[str, dict[str, Any]]:
    """Recorded from a running server: `METHOD path` -> {path, query, body, answer}, status of a refusal -> {answer}."""
    recorded: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return recorded


def _operation(endpoint: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    description = (endpoint.handler.__doc__ or "").strip()
    example = _examples().get(f"{endpoint.method} {endpoint.path}", {})
    operation: dict[str, Any] = {
        "tags": [endpoint.noun],
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.handler.__name__.replace("_", " ").capitalize(),
        "description": f"{description}\n\nWho may: {endpoint.need}.",
        "x-needs": endpoint.need,
        "parameters": _parameters(endpoint, components, example),
        "responses": {
            **_success(endpoint, components, example),
            **{str(status): _refusal(status) for status in sorted(statuses(endpoint))},
        },
    }
    if endpoint.need is not Need.NOTHING:
        operation["security"] = [{"token": []}, {"bearer": []}]
    body = _body(endpoint, example)
    if body is not None:
        operation["requestBody"] = body
    return operation


def statuses(endpoint: Endpoint) -> set[int]:
    """What it may answer besides 200: what follows from its declaration, and what its handler adds."""
    found = {429, 503, *endpoint.statuses}
    if endpoint.need is not Need.NOTHING:
        found.add(401)
    if endpoint.need not in {Need.NOTHING, Need.USER}:
        found.add(403)
    if endpoint.need in {Need.VIEW, Need.EDIT}:
        found.add(404)
    if endpoint.body is not None or endpoint.form is not None:
        found |= {408, 413, 422}
    if endpoint.query is not None or int in endpoint.path_types.values():
        found.add(422)
    if endpoint.query is not None or str in endpoint.path_types.values():
        found.add(414)
    return found


def _success(endpoint: Endpoint, components: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    if endpoint.answer is Redirect:
        location = {"Location": {"required": True, "schema": {"type": "string"}}}
        return {"302": {"description": "The browser goes on", "headers": location}}
    headers = LIST_HEADERS if endpoint.is_list else NEXT_HEADERS if endpoint.has_next else None
    told = {} if headers is None else {"headers": headers}
    answer = {"content": _content(endpoint, components, example), **told}
    later = {"202": {"description": "Accepted: it will be done", **answer}} if endpoint.may_be_accepted else {}
    return {"200": {"description": "OK", **answer}, **later}


def _content(endpoint: Endpoint, components: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    if endpoint.answer is File:
        return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in File.TYPES}
    if endpoint.answer is Page:
        return {"text/html": {"schema": {"type": "string"}}}
    if endpoint.answer is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    schema = TypeAdapter(endpoint.answer).json_schema(mode="serialization", ref_template=REF)
    shown = {"example": example["answer"]} if "answer" in example else {}
    as_csv = {} if endpoint.table is None else {csv.MIME_TYPE: {"schema": {"type": "string"}}}
    as_page = {"text/html": {"schema": {"type": "string"}}} if endpoint.has_page else {}
    return {"application/json": {"schema": _lifted(schema, components), **shown}} | as_csv | as_page


def _lifted(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions moved to the document's components, itself too when it is a named model."""
    components.update(schema.pop("$defs", {}))
    if schema.get("type") == "object" and "title" in schema:
        components[schema["title"]] = schema
        return {"$ref": REF.format(model=schema["title"])}
    return schema


def _parameters(endpoint: Endpoint, components: dict[str, Any], example: dict[str, Any]) -> list[dict[str, Any]]:
    shown: dict[str, Any] = {**example.get("path", {}), **example.get("query", {})}
    found = _path_parameters(endpoint.path_types)
    if endpoint.query is not None:
        found += _query_parameters(endpoint.query, components)
    if endpoint.secret_query is not None:
        found += _query_parameters(endpoint.secret_query, components)
    for parameter in found:
        if parameter["name"] in shown:
            parameter["example"] = shown[parameter["name"]]
    return found


def _path_parameters(types: dict[str, type]) -> list[dict[str, Any]]:
    schemas: dict[type, dict[str, Any]] = {int: {"type": "integer"}, str: {"type": "string", "minLength": 1}}
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(schemas[kind])} for name, kind in types.items()
    ]


def _query_parameters(query: type[BaseModel], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template=REF)
    components.update(schema.get("$defs", {}))
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(one)}
        | ({} if name in required else {"allowEmptyValue": True})  # and counts as absent
        for name, one in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be absent is simply not required."""
    kept = {name: value for name, value in schema.items() if (name, value) != ("default", None) and name != "anyOf"}
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return {**kept, **choices[0]}
    return {**kept, "anyOf": choices} if choices else kept


def _body(endpoint: Endpoint, example: dict[str, Any]) -> dict[str, Any] | None:
    model = endpoint.body or endpoint.form
    if model is None:
        return None
    content: dict[str, Any] = {"schema": {"$ref": REF.format(model=model.__name__)}}
    if "body" in example:
        content["example"] = example["body"]
    types = ["application/json"] if endpoint.form is None else ["application/x-www-form-urlencoded", "application/json"]
    return {
        "required": endpoint.secret_query is None,
        "description": f"At most {endpoint.body_bytes_max} bytes.",
        "content": {name: dict(content) for name in types},
    }


def _refusal(status: int) -> dict[str, Any]:
    model = "Problems" if status == 422 else "Detail"
    example = _examples().get(str(status), {})
    shown = {"example": example["answer"]} if "answer" in example else {}
    return {
        "description": STATUS_TEXTS[status],
        "content": {"application/json": {"schema": {"$ref": REF.format(model=model)}, **shown}},
        **({"headers": HEADERS[status]} if status in HEADERS else {}),
    }


def _websocket(socket: Socket) -> dict[str, Any]:
    example = _examples().get(f"WS {socket.path}", {})
    return {
        "description": f"{socket.about}\n\nWho may: {socket.need}; anybody else is refused with 403 before the 101.",
        "x-needs": socket.need,
        "parameters": [
            *_path_parameters(dict.fromkeys(socket.path_names, str)),
            *({"name": name, "in": "query", "schema": schema} for name, schema in socket.query.items()),
        ],
        "message": {
            "schema": {"$ref": REF.format(model=socket.frame.__name__)},
            **({"example": example["frame"]} if "frame" in example else {}),
        },
    }
