"""Routes as declarations: path, who may call, what goes in and out. They are served, and OpenAPI is written from them.

A handler takes a `Call`, the path's parameters by name, and `query` or `body` if it declares such a parameter; their
annotations say how they are checked. The order is that of the wire contract: 401, 403 for Admin routes, 422 for a path
that is not a number, 404 and 403 of the facility, then 422 for query and body.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from quart import Blueprint, Response, request

from web.auth.guard import Caller, Need
from web.errors import NotAuthenticated, NotFound, NotPermitted, NotUsable
from web.requests import query_fields, read_json
from web.services import Services

Handler = Callable[..., Awaitable[Any]]
Declare = Callable[[Handler], Handler]

INT4_MAX = 2**31 - 1
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its caller known and admitted. `facility_id` is the facility that the guard checked, if it did."""

    services: Services
    known_caller: Caller | None
    facility_id: str | None = None

    @property
    def caller(self) -> Caller:
        if self.known_caller is None:
            raise NotAuthenticated("Not authenticated")
        return self.known_caller


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One declared route. `path_types` maps path parameters to int or str."""

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

    @property
    def rule(self) -> str:
        """The path as Quart writes it. Ids of facilities and sensors are opaque, so they may hold a slash."""
        return _PARAMETER.sub(lambda match: f"<{self._converter(match[1])}{match[1]}>", self.path)

    def _converter(self, name: str) -> str:
        return "path:" if self.path_types[name] is str else ""


@dataclass
class Noun:
    """The routes of one noun; a module declares its own and `create_app` mounts it."""

    name: str
    about: str
    endpoints: list[Endpoint] = field(default_factory=list)

    def get(self, path: str, need: Need, answer: Any, *, statuses: tuple[int, ...] = ()) -> Declare:
        return self._route("GET", path, need, answer, statuses)

    def post(self, path: str, need: Need, answer: Any, *, statuses: tuple[int, ...] = ()) -> Declare:
        return self._route("POST", path, need, answer, statuses)

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

    def _route(self, method: str, path: str, need: Need, answer: Any, statuses: tuple[int, ...]) -> Declare:
        def declare(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            names = set(inspect.signature(handler).parameters)
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
                )
            )
            return handler

        return declare


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
        result = await endpoint.handler(Call(services, caller, facility_id), **path, **inputs)
        if isinstance(result, Response):
            return result
        return json_response(result if isinstance(result, bytes) else adapter.dump_json(result))

    return view


async def _admitted(endpoint: Endpoint, services: Services) -> Caller | None:
    if endpoint.need is Need.NOTHING:
        return None
    caller = await services.guard.caller(bearer_token())
    if endpoint.need is Need.ADMIN and not caller.is_admin:
        raise NotPermitted
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
