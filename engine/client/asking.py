"""Any path of the server, asked as the caller, with an answer of the type that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from engine.client.connection import parsed
from engine.client.session import Caller

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Part(Generic[Answer]):
    """Some rows of a list, and how many it has in all; None: an older server does not say."""

    rows: list[Answer]
    total: int | None


class Asking:
    """What `GasInSight` and the parts of it (`admin`, `detection`) ask with."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, kind: type[Answer], path: str, **query: Any) -> Answer:
        """A GET whose answer is of `kind`."""
        return parsed(kind, await self._caller.ask("GET", path, params=query))

    async def text(self, path: str, accept: str, **query: Any) -> str:
        """A GET whose answer is of that media type."""
        return (await self._caller.ask("GET", path, accept=accept, params=query)).text

    async def rows(self, kind: type[Answer], path: str, **query: Any) -> list[Answer]:
        """A GET whose answer is a list of `kind`."""
        answer = await self._caller.ask("GET", path, params=query)
        return parsed(list[kind], answer)  # type: ignore[valid-type]

    async def part(self, kind: type[Answer], path: str, **query: Any) -> Part[Answer]:
        """A GET whose answer is a part of a list."""
        answer = await self._caller.ask("GET", path, params=query)
        total = answer.headers.get("X-Total-Count")
        rows = parsed(list[kind], answer)  # type: ignore[valid-type]
        return Part(rows, int(total) if total and total.isascii() and total.isdigit() else None)

    async def send(
        self, kind: type[Answer], method: str, path: str, body: Any = None, *, again: bool = False
    ) -> Answer:
        """A change, sent once. `again`: the server can tell it from another, so it is sent until it is answered."""
        content = {} if body is None else {"json": body}
        return parsed(kind, await self._caller.ask(method, path, again=again, **content))


def quoted(name: str) -> str:
    """An id as one segment of a path, whatever is in it."""
    return quote(name, safe="")
