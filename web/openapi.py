"""`/openapi.json`: OpenAPI 3.1, written from the declared routes and their models."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from web.auth.guard import Need
from web.declare import Endpoint, Noun
from web.shapes import Detail, Problems

REF = "#/components/schemas/{model}"
ABOUT = """Realtime monitoring of gas facilities.

Sign in with `POST /auth/token` and send the access token as `Authorization: Bearer …`. Times are UTC; those in answers
carry no suffix. Errors are `{"detail": …}`.

Websockets, each with `?token=<access token>` and JSON text frames:

- `/ws/sensor-data/{sensor_id}`: `{"sensor_id", "facility_id", "tracked_at", "data"}` for each reading as it is stored
- `/ws/facility-data/{facility_id}`: the same for all sensors of a facility
- `/ws/notifications`: `{"type", "alert_id", "sensor_id", "facility_id", "message", "created_at", "alert_type"}` for
  each new alert; `after_id` resumes after that alert
"""
STATUS_TEXTS = {
    400: "Not possible as asked",
    401: "Not authenticated, or the token is no good",
    403: "Not enough permissions",
    404: "Not found",
    422: "Not usable: what is wrong, and where",
    503: "Not available now",
}


def product_version() -> str:
    """The installed version; a checkout that was never installed has none."""
    try:
        return version("gasinsight-server")
    except PackageNotFoundError:
        return "0+checkout"


def openapi_document(nouns: list[Noun]) -> dict[str, Any]:
    """The whole document, as JSON-ready values."""
    endpoints = [endpoint for noun in nouns for endpoint in noun.endpoints]
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Detail, "serialization"), (Problems, "serialization")]
    modes += [(endpoint.body, "validation") for endpoint in endpoints if endpoint.body is not None]
    _, schemas = models_json_schema(modes, ref_template=REF)
    components: dict[str, Any] = dict(schemas.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "GasInSight", "version": product_version(), "description": ABOUT},
        "tags": [{"name": noun.name, "description": noun.about} for noun in nouns],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "oauth2", "flows": {"password": {"tokenUrl": "/auth/token", "scopes": {}}}}
            },
        },
    }


def _operation(endpoint: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    description = (endpoint.handler.__doc__ or "").strip()
    operation: dict[str, Any] = {
        "tags": [endpoint.noun],
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.handler.__name__.replace("_", " ").capitalize(),
        "description": f"{description}\n\nWho may: {endpoint.need}.",
        "x-needs": endpoint.need,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": _schema(endpoint, components)}}},
            **{str(status): _refusal(status) for status in endpoint.statuses},
        },
    }
    if endpoint.need is not Need.NOTHING:
        operation["security"] = [{"token": []}]
    body = _body(endpoint)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _schema(endpoint: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    schema = TypeAdapter(endpoint.answer).json_schema(mode="serialization", ref_template=REF)
    return _lifted(schema, components)


def _lifted(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions moved to the document's components, itself too when it is a named model."""
    components.update(schema.pop("$defs", {}))
    if schema.get("type") == "object" and "title" in schema:
        components[schema["title"]] = schema
        return {"$ref": REF.format(model=schema["title"])}
    return schema


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind is int else "string"}}
        for name, kind in endpoint.path_types.items()
    ]


def _query_parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.path == "/auth/refresh-token":
        return [{"name": "refresh_token", "in": "query", "required": False, "schema": {"type": "string"}}]
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema(ref_template=REF)
    components.update(schema.get("$defs", {}))
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _body(endpoint: Endpoint) -> dict[str, Any] | None:
    if endpoint.body is not None:
        schema: dict[str, Any] = {"$ref": REF.format(model=endpoint.body.__name__)}
        return {"required": True, "content": {"application/json": {"schema": schema}}}
    names = {"/auth/token": ("username", "password"), "/auth/refresh-token": ("refresh_token",)}.get(endpoint.path)
    if names is None:
        return None
    is_required = endpoint.path == "/auth/token"
    form = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        **({"required": list(names)} if is_required else {}),
    }
    return {"required": is_required, "content": {"application/x-www-form-urlencoded": {"schema": form}}}


def _refusal(status: int) -> dict[str, Any]:
    model = "Problems" if status == 422 else "Detail"
    return {
        "description": STATUS_TEXTS[status],
        "content": {"application/json": {"schema": {"$ref": REF.format(model=model)}}},
    }
