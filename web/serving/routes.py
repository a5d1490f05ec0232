"""Serves declared routes: asks who calls, guards, checks what comes in, and spells what the handler gives back.

The order is that of the wire contract: 401, 403 for Admin routes, 422 for a path that is not a number, 404 and 403 of
the facility, then 422 for query and body. Nothing of a body is taken before all that is settled which needs none of it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from quart import Blueprint, Response, request
from werkzeug.routing import BaseConverter

from web.auth.guard import Caller, Need, Person
from web.contract.declare import Endpoint, Noun
from web.edge.proxies import client_address
from web.edge.rates import client_key
from web.edge.requests import admit_body, query_fields, read_json
from web.errors import NotAuthenticated, NotFound, NotPermitted, NotUsable
from web.serving.call import Call
from web.serving.rows import Rows, rows_response
from web.serving.services import Services
from web.serving.underway import under_way
from web.wire.csv import MIME_TYPE as CSV

INT4_MAX = 2**31 - 1


class OpaqueText(BaseConverter):
    """An id in a path: any text, with slashes wherever they are, and line ends; `path` refuses some of both."""

    regex = "(?s:.+)"
    weight = 200
    part_isolating = False


def blueprint(noun: Noun, services: Services) -> Blueprint:
    """The routes of a noun, for Quart."""
    served = Blueprint(noun.name, __name__)
    for endpoint in noun.endpoints:
        served.add_url_rule(
            endpoint.rule,
            endpoint=endpoint.handler.__name__,
            view_func=_view(endpoint, services),
            methods=[endpoint.method],
        )
    return served


def json_response(body: bytes, status: int = 200) -> Response:
    return Response(body, status=status, mimetype="application/json")


def _csv_is_wanted() -> bool:
    """Whether the request prefers CSV to JSON; whoever takes anything gets JSON."""
    return request.accept_mimetypes.best_match(["application/json", CSV]) == CSV


def _view(endpoint: Endpoint, services: Services) -> Callable[..., Awaitable[Response]]:
    adapter: TypeAdapter[Any] = TypeAdapter(endpoint.answer)

    async def view(**raw_path: str) -> Response:
        caller = await _admitted(endpoint, services)
        path = {name: _path_value(name, raw_path[name], kind) for name, kind in endpoint.path_types.items()}
        facility_id = await _guarded_facility(endpoint, services, caller, path)
        inputs: dict[str, object] = {}
        if endpoint.query is not None:
            inputs["query"] = _checked(endpoint.query, query_fields(endpoint.repeated), "query")
        admit_body(min(endpoint.body_bytes_max, services.settings.body_bytes_max))
        if endpoint.body is not None:
            inputs["body"] = _checked(endpoint.body, await read_json(), "body")
        principal = None if caller is None else caller.principal
        database = services.database.bound_to(principal, read_only=endpoint.method == "GET")
        table = endpoint.table if endpoint.table is not None and _csv_is_wanted() else None
        call = Call(services, caller, database, facility_id, wants_csv=table is not None)
        result = await endpoint.handler(call, **path, **inputs)
        if isinstance(result, Response):
            return result
        if isinstance(result, Rows):
            return await rows_response(result, table, services.turns, call.caller.principal)
        return json_response(adapter.dump_json(result))

    return view


async def _admitted(endpoint: Endpoint, services: Services) -> Caller | None:
    if endpoint.need is Need.NOTHING:
        return None
    stranger = client_key(client_address(request.scope))
    try:
        caller = await services.guard.caller(_bearer_token(), stranger)
    except NotAuthenticated:
        services.rates.take(stranger)
        raise
    services.rates.take(caller.principal)
    under_way(request.scope).belongs_to(caller.principal)
    if endpoint.need is Need.ADMIN and not caller.is_admin:
        raise NotPermitted
    if endpoint.need in {Need.PERSON, Need.ONESELF} and not isinstance(caller, Person):
        raise NotPermitted("Not enough permissions: an API key has no account of its own")
    if endpoint.need is Need.ONESELF and isinstance(caller, Person) and caller.impersonated_by is not None:
        raise NotPermitted("Not enough permissions: only the user may do this, not an Admin as the user")
    return caller


async def _guarded_facility(
    endpoint: Endpoint, services: Services, caller: Caller | None, path: dict[str, Any]
) -> str | None:
    if endpoint.need not in {Need.VIEW, Need.EDIT}:
        return None
    if caller is None:
        raise NotAuthenticated("Not authenticated")
    if endpoint.repeated & {"facility_id", "sensor_id"}:
        named = {name: {one for one in request.args.getlist(name) if one} for name in ("facility_id", "sensor_id")}
        if named["facility_id"]:
            await services.guard.require_facilities(caller, endpoint.need, named["facility_id"])
        if named["sensor_id"]:
            await services.guard.require_sensors(caller, endpoint.need, named["sensor_id"])
        return None
    if "sensor_id" in path:
        return await services.guard.require_sensor(caller, endpoint.need, path["sensor_id"])
    facility_id = path.get("facility_id") or request.args.get("facility_id")
    if not facility_id:  # a list over all facilities; its query admits only permitted ones
        return None
    return await services.guard.require_facility(caller, endpoint.need, facility_id)


def _bearer_token() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _path_value(name: str, text: str, kind: type) -> int | str:
    if kind is str:
        return text
    if re.fullmatch(r"[+-]?\d{1,4000}", text, re.ASCII) is None:
        raise NotUsable.of("path", name, "Input should be a valid integer", "int_parsing")
    number = int(text)
    if abs(number) > INT4_MAX:
        raise NotFound(name.removesuffix("_id").capitalize())
    return number


def _checked(model: type[BaseModel], fields: object, where: str) -> BaseModel:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise NotUsable(
            [
                {"loc": [where, *item["loc"]], "msg": item["msg"], "type": item["type"]}
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from error
