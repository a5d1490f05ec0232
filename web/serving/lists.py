"""Lists out of the database: a part of one, or all of it for a spreadsheet, with headers that say what is left.

`X-Total-Count` is how many there are; `Link` (RFC 8288) has the address of the next part, if there is one. However long
a list is, it is read `SLICE_ROWS` at a time, each by a statement of its own that goes on after the last row: a client
that reads slowly keeps nothing of the database waiting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from pydantic import BaseModel
from pydantic_core import to_json
from quart import request

from web.contract.shapes import Paging
from web.serving.call import Call
from web.serving.rows import PIECE_ROWS, SLICE_ROWS, Rows

TOTAL = "X-Total-Count"
ROWS_MAX = 2**62
AFTER_ALL_IDS = 2**63 - 1
SKIPPED_A_ROW = 10
"""Rows that are passed over in the time in which one is given."""
_PAGING = frozenset(Paging.model_fields)

Shown: TypeAlias = BaseModel | dict[str, object]
"""Of a list's model; many rows are written faster as what the model would write."""
Shape = Callable[[Sequence[Any]], Awaitable[Sequence[Shown]]]


@dataclass(frozen=True, slots=True)
class Source:
    """A list in its order.

    read   takes the scope, then the key of the row to go on after, then how many to skip and how many to give
    count  takes the scope
    key    columns of the order, the last one unique; `before_all` stands before each row's
    """

    read: str
    count: str
    key: tuple[str, ...]
    before_all: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows are asked for; `rows_max` None: all. `next_query`: parameters of the part after this."""

    offset: int = 0
    rows_max: int | None = None
    next_query: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, call: Call, paging: Paging) -> Part:
        """A spreadsheet gets the whole list unless it asks for a part."""
        if call.wants_csv and not paging.names_a_part:
            return cls(paging.offset)
        rows_max = paging.rows_max
        if paging.is_by_page:
            following = (("page", (paging.page or 1) + 1), ("page_size", rows_max))
        else:
            following = (("skip", paging.offset + rows_max), ("limit", rows_max))
        return cls(paging.offset, rows_max, following)


def each(shape: Callable[[Any], Shown]) -> Shape:
    """The shape of rows that need nothing but themselves."""

    async def shaped(rows: Sequence[Any]) -> Sequence[Shown]:
        return [shape(row) for row in rows]

    return shaped


async def listed(
    call: Call, source: Source, scope: tuple[object, ...], part: Part, shape: Shape, *, rows_in: str = ""
) -> Rows:
    """`rows_in`: the name of the list in an answer that is {<name>: [...], "total": n}; without it the list itself."""
    asked = ROWS_MAX if part.rows_max is None else part.rows_max
    skipped = part.offset // SKIPPED_A_ROW
    first = None
    if asked + skipped <= SLICE_ROWS:
        async with call.database.transaction() as connection:
            first = await connection.fetch(source.read, *scope, *source.before_all, part.offset, asked)
            is_end = len(first) < asked and (first or not part.offset)
            total = part.offset + len(first) if is_end else await connection.fetchval(source.count, *scope)
    else:  # nothing is read that would be kept while the answer waits for its turn
        total = await call.database.value(source.count, *scope)

    async def read(key: Iterable[object], offset: int, rows_max: int) -> Sequence[Any]:
        return await call.database.rows(source.read, *scope, *key, offset, rows_max)

    async def slices() -> AsyncIterator[Sequence[Any]]:
        left = min(asked, max(0, total - part.offset)) if part.rows_max is not None else asked
        rows = await read(source.before_all, part.offset, min(left, SLICE_ROWS)) if first is None else first
        while rows:
            yield rows
            is_last = len(rows) < min(left, SLICE_ROWS)
            left -= len(rows)
            if is_last or left <= 0:
                return
            rows = await read([rows[-1][column] for column in source.key], 0, min(left, SLICE_ROWS))

    return Rows(
        weight=max(0, min(asked, total - part.offset)) + skipped,
        pieces=_pieces(slices(), shape),
        head=b'{"%s":[' % rows_in.encode() if rows_in else b"[",
        tail=lambda: b'],"total":%d}' % total if rows_in else b"]",
        headers=_headers(part, asked, total),
    )


async def _pieces(slices: AsyncIterator[Sequence[Any]], shape: Shape) -> AsyncIterator[bytes]:
    async for rows in slices:
        for start in range(0, len(rows), PIECE_ROWS):
            yield to_json(await shape(rows[start : start + PIECE_ROWS]))[1:-1]


def _headers(part: Part, asked: int, total: int) -> dict[str, str]:
    headers = {TOTAL: str(total)}
    if part.next_query and asked and part.offset + asked < total:
        headers["Link"] = next_link(_PAGING, part.next_query)
    return headers


def next_link(replaced: frozenset[str], following: Iterable[tuple[str, object]]) -> str:
    """This request, but for the parameters that say which part is asked for."""
    kept = [(name, text) for name, text in request.args.items(multi=True) if name not in replaced]
    return f'<{quote(request.path)}?{urlencode([*kept, *following])}>; rel="next"'
