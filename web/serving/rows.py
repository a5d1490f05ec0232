"""Answers that are mostly rows: read and spelled a few at a time, so that none of them is ever whole in memory.

A small one is sent whole. Of a large one the first rows are there before its head is sent, so that what is refused
until then has its status; what fails later ends the connection, and the client sees that the body is not complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from quart import Response, request

from web.fairness import Turns
from web.serving.underway import UnderWay, under_way
from web.wire.csv import MIME_TYPE as CSV
from web.wire.csv import Table

SLICE_ROWS = 1000
"""What one statement reads; an answer of more rows is a large one."""
PIECE_ROWS = 250
"""What is spelled at once: some milliseconds on the loop that also serves everybody else."""
EXPOSED = "Access-Control-Expose-Headers"


def _end_of_list() -> bytes:
    return b"]"


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer that a handler gives.

    weight        how many rows it costs at most
    pieces        JSON objects with commas between them; an empty one is a pause, in which others have their turn
    head          what JSON has before the rows, and `tail` after them
    headers       further ones, which web pages may read
    more_columns  of this answer as CSV, beside those of its table
    """

    weight: int
    pieces: AsyncIterator[bytes]
    head: bytes = b"["
    tail: Callable[[], bytes] = _end_of_list
    headers: dict[str, str] = field(default_factory=dict)
    more_columns: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        return self.weight > SLICE_ROWS

    async def as_json(self) -> AsyncIterator[bytes]:
        before = self.head
        async for piece in self.pieces:
            if piece:
                yield before + piece
                before = b","
            else:
                yield b""
        yield self.tail() if before == b"," else before + self.tail()

    async def as_csv(self, table: Table) -> AsyncIterator[bytes]:
        table = Table(table.columns + self.more_columns)
        before = table.head()
        async for piece in self.pieces:
            yield before + table.lines(b"[" + piece + b"]")
            before = b""
        if before:
            yield before


async def rows_response(rows: Rows, table: Table | None, turns: Turns, who: str) -> Response:
    """`table`: for who wants CSV. A large answer takes turns with others for each of its pieces."""
    bodies = rows.as_json() if table is None else rows.as_csv(table)
    if not rows.is_large:
        response = Response(b"".join([body async for body in bodies]))
    else:
        mine = under_way(request.scope)
        await mine.begin_large()
        in_turns = _in_turns(bodies, mine, turns, who)
        first = await anext(in_turns)
        response = Response(_nothing() if request.method == "HEAD" else _with_first(first, in_turns))
    response.headers.update(rows.headers)
    if rows.headers:
        response.headers[EXPOSED] = ", ".join(rows.headers)
    if table is None:
        response.mimetype = "application/json"
        return response
    response.content_type = f"{CSV}; charset=utf-8"
    response.headers["Content-Disposition"] = "attachment"
    response.headers["Vary"] = "Accept"
    return response


async def _in_turns(bodies: AsyncIterator[bytes], mine: UnderWay, turns: Turns, who: str) -> AsyncIterator[bytes]:
    while True:
        async with turns.turn(who):
            await mine.let_small_ones_go_first()
            body = await anext(bodies, None)
        if body is None:
            return
        if body:
            yield body
        await asyncio.sleep(0)  # a client that reads fast would keep the loop to itself


async def _with_first(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for body in others:
        yield body


async def _nothing() -> AsyncIterator[bytes]:
    """The body of a HEAD."""
    yield b""
