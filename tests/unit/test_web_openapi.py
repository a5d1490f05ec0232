"""The OpenAPI document against the wire contract's tables, both ways round, and against OpenAPI's own schema."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import jsonschema_rs
import pytest
from pydantic_core import from_json, to_json
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from engine.model import FacilityType, SensorType
from tests.unit.contract_table import (
    ADDITIVE,
    ADDITIVE_WEBSOCKETS,
    DEFAULTS,
    FACILITY_TYPE_COLORS,
    MAY_HAVE_MORE,
    ROWS,
    SENSOR_TYPE_COLORS,
    SHAPES,
    WEBSOCKETS,
)
from web.api import dashboard
from web.api.sockets import SOCKETS
from web.app import NOUNS
from web.contract.openapi import openapi_document

DOCUMENT: dict[str, Any] = from_json(to_json(openapi_document(NOUNS, SOCKETS)))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS: dict[str, Any] = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_the_document_is_openapi_3_1() -> None:
    whole = copy.deepcopy(DOCUMENT)
    flow = whole["components"]["securitySchemes"]["token"]["flows"]["password"]
    assert flow["tokenUrl"] == "/auth/token"  # a URL of this server, wherever that is; the schema wants it in full
    flow["tokenUrl"] = "https://gas.example/auth/token"
    OPENAPI_31_VALIDATOR.validate(whole)
    for name, schema in SCHEMAS.items():
        jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}})
        assert "$defs" not in schema, name
    taken = Counter(operation["operationId"] for operation in OPERATIONS.values())
    assert not [name for name, times in taken.items() if times > 1]
    named = set(Counter(references(DOCUMENT)))
    assert {name.removeprefix("#/components/schemas/") for name in named} == set(SCHEMAS), "none missing, none unused"


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [name for inner in node.values() for name in references(inner)]
    return [name for inner in node for name in references(inner)] if isinstance(node, list) else []


def test_no_route_is_missing_and_each_further_one_is_known() -> None:
    assert set(ROWS) <= set(OPERATIONS)
    assert set(OPERATIONS) - set(ROWS) == ADDITIVE, "a route beyond the contract is listed in contract_table.ADDITIVE"
    sockets = DOCUMENT["x-websockets"]
    assert set(sockets) - set(WEBSOCKETS) == ADDITIVE_WEBSOCKETS
    for path, (who, frame) in WEBSOCKETS.items():
        assert sockets[path]["x-needs"] == who
        assert sockets[path]["message"]["schema"] == {"$ref": f"#/components/schemas/{frame}"}
        assert "token" in {parameter["name"] for parameter in sockets[path]["parameters"]}


def test_the_types_and_their_colours_are_those_of_the_contract() -> None:
    assert list(FacilityType) == list(FACILITY_TYPE_COLORS)
    assert list(SensorType) == list(SENSOR_TYPE_COLORS)
    assert dashboard.FACILITY_TYPE_COLORS == FACILITY_TYPE_COLORS
    assert dashboard.SENSOR_TYPE_COLORS == SENSOR_TYPE_COLORS


def test_every_list_says_that_it_tells_its_total_and_its_next_part() -> None:
    lists = set()
    for route, operation in OPERATIONS.items():
        answer = operation["responses"].get("200", {})
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        is_list = schema.get("type") == "array" or "total" in resolved(schema).get("properties", {})
        assert (set(answer.get("headers", {})) == {"X-Total-Count", "Link"}) == is_list, route
        lists |= {route} if is_list else set()
    assert {"GET /alerts", "GET /users", "GET /permissions", "GET /audit", "GET /dead-letters"} <= lists


@pytest.mark.parametrize("route", ROWS)
def test_each_row_of_the_contract(route: str) -> None:
    row, operation = ROWS[route], OPERATIONS[route]
    assert operation["x-needs"].replace("person", "user") == row.who  # a user, but no API key
    assert ("security" in operation) == (row.who != "all")
    assert row.statuses | {200} <= {int(status) for status in operation["responses"]}
    query = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
    assert row.query <= set(query)
    assert all(not one["required"] or name in row.required for name, one in query.items())
    for name, default in DEFAULTS.get(route, {}).items():
        assert query[name]["schema"]["default"] == default, name
    assert shape_name(operation["responses"]["200"]["content"]["application/json"]["schema"]) == row.answer
    body = operation.get("requestBody")
    assert (body is not None) == bool(row.body)
    if body is not None:
        for content in body["content"].values():
            schema = resolved(content["schema"])
            assert set(schema["properties"]) == row.body
            assert set(schema.get("required", [])) == row.required
            assert schema.get("additionalProperties", True) is True, "unknown keys are ignored"


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_the_contract(name: str) -> None:
    properties = SCHEMAS[name]["properties"]
    assert set(properties) - MAY_HAVE_MORE.get(name, set()) == set(SHAPES[name])
    for key, kind in SHAPES[name].items():
        found, wanted = properties[key], kind
        if isinstance(wanted, str) and wanted.endswith("?"):
            choices = [one for one in found["anyOf"] if one != {"type": "null"}]
            assert len(choices) == 1 and len(found["anyOf"]) == 2, (name, key)
            found, wanted = choices[0], wanted[:-1]
        check_kind(found, wanted, f"{name}.{key}")


def check_kind(schema: dict[str, Any], kind: str | frozenset[str], where: str) -> None:
    whole = resolved(schema)
    if isinstance(kind, frozenset):
        assert set(whole.get("enum", [whole.get("const")])) == kind, where
    elif kind == "time":
        assert whole["type"] == "string" and "UTC without suffix" in whole["description"], where
    elif kind in {"string", "integer", "number", "object"}:
        assert whole["type"] == kind, where
    else:
        assert shape_name(schema) == kind, where


def shape_name(schema: dict[str, Any]) -> str:
    """`User`, or `[User]` for a list of them."""
    if schema.get("type") == "array":
        return f"[{shape_name(schema['items'])}]"
    name: str = schema["$ref"].removeprefix("#/components/schemas/")
    return name


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMAS[schema["$ref"].removeprefix("#/components/schemas/")] if "$ref" in schema else schema


def test_what_can_refuse_is_declared() -> None:
    for route, operation in OPERATIONS.items():
        declared = set(operation["responses"])
        assert {"429", "503"} <= declared, route
        assert ("requestBody" in operation) <= ({"408", "413", "422"} <= declared), route
        assert (operation["x-needs"] != "all") <= ("401" in declared), route
        for status in declared - {"200", "202", "302"}:
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert shape_name(schema) == ("Problems" if status == "422" else "Detail"), (route, status)
