"""A COPY out of a connection of asyncpg, whose rows do not pass through it.

asyncpg looks at each row's message by itself, which costs more than decoding the row. While a COPY runs, a sieve stands
between the connection and asyncpg: rows go to the native core, and whatever else PostgreSQL says, errors included, to
asyncpg, which asked for the COPY and ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from native import CopiedRows, CopyDecoder, CopyFault

Query: TypeAlias = tuple[object, ...]
"""A statement and its arguments."""


async def copy(connection: Any, query: Query, decoder: CopyDecoder) -> None:
    """Everything into the decoder. The connection is of no more use after an error."""
    await _copy(connection, query, _Sieve(connection, decoder))


async def copy_in_slices(
    connection: Any,
    query: Query,
    decoder: CopyDecoder,
    slice_rows: int,
    give: Callable[[CopiedRows], Awaitable[None]],
) -> None:
    """As `copy`; rows are given as soon as they make a slice, and PostgreSQL waits while they are taken."""
    sieve = _Slicing(connection, decoder, slice_rows, give)
    try:
        await _copy(connection, query, sieve)
        await sieve.at_rest()
    except BaseException:
        sieve.stop()
        raise
    await give(decoder.take())


async def _copy(connection: Any, query: Query, sieve: _Sieve) -> None:
    transport = connection._transport
    transport.set_protocol(sieve)
    try:
        await connection.copy_from_query(*query, output=_nothing, format="binary")
    except BaseException:
        connection.terminate()  # else asyncpg is told of rows that nobody waits for, and says so on standard error
        if sieve.fault is not None:
            raise sieve.fault from None
        raise
    transport.set_protocol(connection._protocol)
    if not sieve.decoder.is_ended:
        raise EOFError("PostgreSQL ended a COPY before its end")


async def _nothing(data: bytes) -> None:
    raise CopyFault(f"{len(data)} bytes of rows came to asyncpg")


class _Sieve(asyncio.Protocol):
    """What the connection gives, in the place of asyncpg's protocol, which it goes on to."""

    def __init__(self, connection: Any, decoder: CopyDecoder) -> None:
        self.decoder = decoder
        self.fault: CopyFault | None = None
        self._behind = connection._protocol
        self._transport = connection._transport

    def data_received(self, data: bytes) -> None:
        try:
            others = self.decoder.sift(data)
        except CopyFault as fault:
            self.fault = fault
            self._transport.abort()
            return
        if others:
            self._behind.data_received(others)

    def eof_received(self) -> bool | None:
        ended: bool | None = self._behind.eof_received()
        return ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._behind.resume_writing()


class _Slicing(_Sieve):
    def __init__(
        self,
        connection: Any,
        decoder: CopyDecoder,
        slice_rows: int,
        give: Callable[[CopiedRows], Awaitable[None]],
    ) -> None:
        super().__init__(connection, decoder)
        self._slice_rows = slice_rows
        self._give = give
        self._giving: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.decoder.rows >= self._slice_rows and self.fault is None:
            self._transport.pause_reading()
            self._giving = asyncio.create_task(self._hand_over(self.decoder.take()))

    async def at_rest(self) -> None:
        """What was being given has been taken."""
        if self._giving is not None:
            await self._giving

    def stop(self) -> None:
        if self._giving is not None:
            self._giving.cancel()

    async def _hand_over(self, rows: CopiedRows) -> None:
        await self._give(rows)
        self._transport.resume_reading()
