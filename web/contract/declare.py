"""Routes as declarations: path, who may call, what goes in and out. They are served, and OpenAPI is written from them.

A handler takes a `Call`, the path's parameters by name, and `query` or `body` if it declares such a parameter; their
annotations say how they are checked. The order is that of the wire contract: 401, 403 for Admin routes, 422 for a path
that is not a number, 404 and 403 of the facility, then 422 for query and body.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from quart import Blueprint, Response, request
from werkzeug.routing import BaseConverter

from web.audit import Actor
from web.auth.guard import Caller, Need, Person, user_principal
from web.database import BoundDatabase
from web.edge.proxies import client_address
from web.edge.rates import client_key
from web.edge.requests import query_fields, read_json
from web.errors import NotAuthenticated, NotFound, NotPermitted, NotUsable
from web.services import Services
from web.wire import csv
from web.wire.csv import Table

Handler = Callable[..., Awaitable[Any]]
Declare = Callable[[Handler], Handler]

INT4_MAX = 2**31 - 1
_PARAMETER = re.compile(r"\{(\w+)\}")


class OpaqueText(BaseConverter):
    """An id in a path: any text, with slashes wherever they are, and line ends; `path` refuses some of both."""

    regex = "(?s:.+)"
    weight = 200
    part_isolating = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its caller known and admitted. `facility_id` is the facility that the guard checked, if it did.

    `database` shows and changes no more than the caller may, whatever a statement forgets; it only reads in a GET.
    What must see beyond the caller (who signs in, which rights somebody has) goes to `services.database`.
    """

    services: Services
    known_caller: Caller | None
    database: BoundDatabase
    facility_id: str | None = None

    @property
    def caller(self) -> Caller:
        if self.known_caller is None:
            raise NotAuthenticated("Not authenticated")
        return self.known_caller

    @property
    def person(self) -> Person:
        """The caller of a route that needs a PERSON or an ADMIN."""
        if not isinstance(self.caller, Person):
            raise NotPermitted
        return self.caller

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names it."""
        admin_id = self.caller.impersonated_by if isinstance(self.caller, Person) else None
        return Actor(
            principal=self.caller.principal,
            name=self.caller.name,
            impersonated_by=None if admin_id is None else user_principal(admin_id),
            address=client_address(request.scope),
        )


class Redirect(BaseModel):
    """The answer of a route that sends the browser on: 302, without a body."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One declared route.

    path_types    path parameters: int or str
    statuses      of refusals that do not follow from the rest (see web.contract.openapi.statuses)
    form          what the handler reads by `read_fields`: a form or a JSON object
    table         how the answer is CSV for those who ask for it
    secret_query  what the edge takes out of the query and the handler reads by `secret_parameter`, instead of the form
    """

    noun: str
    method: str
    path: str
    need: Need
    handler: Handler
    answer: Any
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    path_types: dict[str, type]
    statuses: tuple[int, ...]
    form: type[BaseModel] | None
    secret_query: type[BaseModel] | None
    table: Table | None

    @property
    def rule(self) -> str:
        """The path as Quart writes it. Ids of facilities and sensors are opaque, so they may hold a slash."""
        return _PARAMETER.sub(lambda match: f"<{self._converter(match[1])}{match[1]}>", self.path)

    def _converter(self, name: str) -> str:
        return "opaque:" if self.path_types[name] is str else ""


@dataclass(frozen=True, slots=True)
class Socket:
    """One declared websocket: what it sends, and its query parameters as JSON schemas."""

    path: str
    need: Need
    frame: type[BaseModel]
    about: str
    query: dict[str, dict[str, Any]]

    @property
    def path_names(self) -> list[str]:
        return _PARAMETER.findall(self.path)

    @property
    def rule(self) -> str:
        """The path as Quart writes it; ids are opaque."""
        return _PARAMETER.sub(r"<opaque:\1>", self.path)


@dataclass
class Noun:
    """The routes of one noun; a module declares its own and `create_app` mounts it."""

    name: str
    about: str
    endpoints: list[Endpoint] = field(default_factory=list)

    def get(
        self,
        path: str,
        need: Need,
        answer: Any,
        *,
        statuses: tuple[int, ...] = (),
        secret_query: type[BaseModel] | None = None,
        table: Table | None = None,
    ) -> Declare:
        return self._route("GET", path, need, answer, statuses, secret_query=secret_query, table=table)

    def post(
        self,
        path: str,
        need: Need,
        answer: Any,
        *,
        statuses: tuple[int, ...] = (),
        form: type[BaseModel] | None = None,
        secret_query: type[BaseModel] | None = None,
    ) -> Declare:
        return self._route("POST", path, need, answer, statuses, form=form, secret_query=secret_query)

    def put(self, path: str, need: Need, answer: Any, *, statuses: tuple[int, ...] = ()) -> Declare:
        return self._route("PUT", path, need, answer, statuses)

    def delete(self, path: str, need: Need, answer: Any, *, statuses: tuple[int, ...] = ()) -> Declare:
        return self._route("DELETE", path, need, answer, statuses)

    def blueprint(self, services: Services) -> Blueprint:
        blueprint = Blueprint(self.name, __name__)
        for endpoint in self.endpoints:
            blueprint.add_url_rule(
                endpoint.rule,
                endpoint=endpoint.handler.__name__,
                view_func=_view(endpoint, services),
                methods=[endpoint.method],
            )
        return blueprint

    def _route(
        self,
        method: str,
        path: str,
        need: Need,
        answer: Any,
        statuses: tuple[int, ...],
        *,
        form: type[BaseModel] | None = None,
        secret_query: type[BaseModel] | None = None,
        table: Table | None = None,
    ) -> Declare:
        def declare(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            names = set(inspect.signature(handler).parameters)
            _check_facility_is_named(path, need, hints.get("query"))
            self.endpoints.append(
                Endpoint(
                    noun=self.name,
                    method=method,
                    path=path,
                    need=need,
                    handler=handler,
                    answer=answer,
                    query=hints["query"] if "query" in names else None,
                    body=hints["body"] if "body" in names else None,
                    path_types={name: hints[name] for name in _PARAMETER.findall(path)},
                    statuses=statuses,
                    form=form,
                    secret_query=secret_query,
                    table=table,
                )
            )
            return handler

        return declare


def _check_facility_is_named(path: str, need: Need, query: type[BaseModel] | None) -> None:
    """View and Edit are rights in a facility; the guard would admit everybody to a route that names none."""
    named = {*_PARAMETER.findall(path), *(query.model_fields if query is not None else ())}
    if need in {Need.VIEW, Need.EDIT} and not named & {"facility_id", "sensor_id"}:
        raise TypeError(f"{path} needs {need} and has neither facility_id nor sensor_id")


def json_response(body: bytes, status: int = 200) -> Response:
    return Response(body, status=status, mimetype="application/json")


def _view(endpoint: Endpoint, services: Services) -> Callable[..., Awaitable[Response]]:
    adapter: TypeAdapter[Any] = TypeAdapter(endpoint.answer)

    async def view(**raw_path: str) -> Response:
        caller = await _admitted(endpoint, services)
        path = {name: _path_value(name, raw_path[name], kind) for name, kind in endpoint.path_types.items()}
        facility_id = await _guarded_facility(endpoint, services, caller, path)
        inputs: dict[str, object] = {}
        if endpoint.query is not None:
            inputs["query"] = _checked(endpoint.query, query_fields(), "query")
        if endpoint.body is not None:
            inputs["body"] = _checked(endpoint.body, await read_json(), "body")
        principal = None if caller is None else caller.principal
        database = services.database.bound_to(principal, read_only=endpoint.method == "GET")
        result = await endpoint.handler(Call(services, caller, database, facility_id), **path, **inputs)
        if isinstance(result, Response):
            return result
        body = result if isinstance(result, bytes) else adapter.dump_json(result)
        if endpoint.table is not None and csv.is_wanted():
            return csv.csv_response(await asyncio.to_thread(endpoint.table.of_json, body))
        return json_response(body)

    return view


async def _admitted(endpoint: Endpoint, services: Services) -> Caller | None:
    if endpoint.need is Need.NOTHING:
        return None
    try:
        caller = await services.guard.caller(bearer_token())
    except NotAuthenticated:
        services.rates.take(client_key(client_address(request.scope)))
        raise
    services.rates.take(caller.principal)
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
    if "sensor_id" in path:
        return await services.guard.require_sensor(caller, endpoint.need, path["sensor_id"])
    facility_id = path.get("facility_id") or request.args.get("facility_id")
    if not facility_id:  # a list over all facilities; its query admits only permitted ones
        return None
    return await services.guard.require_facility(caller, endpoint.need, facility_id)


def bearer_token() -> str | None:
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
