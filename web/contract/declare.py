"""Routes as declarations: path, who may call, what goes in and out. They are served, and OpenAPI is written from them.

A handler takes a `Call`, the path's parameters by name, and `query` or `body` if it declares such a parameter; their
annotations say how they are checked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_origin, get_type_hints

from pydantic import BaseModel

from web.auth.guard import Need
from web.wire.csv import Table

Handler = Callable[..., Awaitable[Any]]
Declare = Callable[[Handler], Handler]

FEW_FIELDS_BYTES_MAX = 16_384
"""A body of a few fields, the longest of them a password of 1,024 characters, however they are escaped."""

_PARAMETER = re.compile(r"\{(\w+)\}")


class Redirect(BaseModel):
    """The answer of a route that sends the browser on: 302, without a body."""


class Page(BaseModel):
    """The answer of a route that shows a person a page, in HTML."""


class File(BaseModel):
    """The answer of a route that gives a file, of one of these types."""

    TYPES: ClassVar[tuple[str, ...]] = (
        "application/vnd.apache.parquet",
        "application/vnd.apache.arrow.file",
        "text/csv",
        "application/x-ndjson",
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One declared route.

    path_types    path parameters: int or str
    statuses      of refusals that do not follow from the rest (see web.contract.openapi.statuses)
    form          what the handler reads by `read_fields`: a form or a JSON object
    table         how the answer is CSV for those who ask for it
    is_list       the answer is a part of a list: its headers tell the total, and where the next part is
    has_next      a header tells where the next part is; nobody counts how many there are
    secret_query  what the edge takes out of the query and the handler reads by `secret_parameter`, instead of the form
    body_bytes_max  of what is sent, whether it is read or not
    has_page      the answer is also a page for people, for those who ask for one
    may_be_accepted  202 with the same answer: what was asked for will be done
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
    is_list: bool
    has_next: bool
    body_bytes_max: int
    may_be_accepted: bool
    has_page: bool

    @property
    def repeated(self) -> frozenset[str]:
        """Parameters of the query that may be given several times."""
        fields = {} if self.query is None else self.query.model_fields
        return frozenset(name for name, one in fields.items() if get_origin(one.annotation) is list)

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
        is_list: bool = False,
        has_next: bool = False,
        has_page: bool = False,
    ) -> Declare:
        return self._route(
            "GET",
            path,
            need,
            answer,
            statuses,
            secret_query=secret_query,
            table=table,
            is_list=is_list,
            has_next=has_next,
            has_page=has_page,
        )

    def post(
        self,
        path: str,
        need: Need,
        answer: Any,
        *,
        statuses: tuple[int, ...] = (),
        form: type[BaseModel] | None = None,
        secret_query: type[BaseModel] | None = None,
        body_bytes_max: int = FEW_FIELDS_BYTES_MAX,
        may_be_accepted: bool = False,
    ) -> Declare:
        return self._route(
            "POST",
            path,
            need,
            answer,
            statuses,
            form=form,
            secret_query=secret_query,
            body_bytes_max=body_bytes_max,
            may_be_accepted=may_be_accepted,
        )

    def put(
        self,
        path: str,
        need: Need,
        answer: Any,
        *,
        statuses: tuple[int, ...] = (),
        body_bytes_max: int = FEW_FIELDS_BYTES_MAX,
    ) -> Declare:
        return self._route("PUT", path, need, answer, statuses, body_bytes_max=body_bytes_max)

    def delete(self, path: str, need: Need, answer: Any, *, statuses: tuple[int, ...] = ()) -> Declare:
        return self._route("DELETE", path, need, answer, statuses)

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
        is_list: bool = False,
        has_next: bool = False,
        has_page: bool = False,
        body_bytes_max: int = FEW_FIELDS_BYTES_MAX,
        may_be_accepted: bool = False,
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
                    is_list=is_list,
                    has_next=has_next,
                    body_bytes_max=body_bytes_max,
                    may_be_accepted=may_be_accepted,
                    has_page=has_page,
                )
            )
            return handler

        return declare


def _check_facility_is_named(path: str, need: Need, query: type[BaseModel] | None) -> None:
    """View and Edit are rights in a facility; the guard would admit everybody to a route that names none."""
    named = {*_PARAMETER.findall(path), *(query.model_fields if query is not None else ())}
    if need in {Need.VIEW, Need.EDIT} and not named & {"facility_id", "sensor_id"}:
        raise TypeError(f"{path} needs {need} and has neither facility_id nor sensor_id")
