"""Several connections that see the database at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from engine.historian.connecting import connect

CONNECTIONS: Final = 2
IDLE_S_MAX: Final = 600
"""A reader that nobody asks for so long is ended by PostgreSQL: whoever took it is gone."""

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Before the snapshot is taken, and to the end: a day that is dropped, or written anew by whoever gives its room back,
# would have no rows for an older snapshot, and nobody would be told. They put it off while we read.
_KEEP_DAYS: Final = "LOCK TABLE sensor_records IN ACCESS SHARE MODE"
_SETTINGS: Final = (
    "SET LOCAL TIME ZONE 'UTC'; SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB';"
    f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S_MAX}s'"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`planner` may ask for everything, `readers` are limited to what the caller may see."""

    planner: Any
    readers: list[Any]


async def open_connection(database_url: str) -> Any:
    """For a snapshot. Raises what `connect` raises."""
    return await connect(database_url, server_settings={"jit": "off", "application_name": "gasinsight-export"})


@asynccontextmanager
async def open_snapshot(
    database_url: str, words: str = "", take: Callable[[], Awaitable[Any]] | None = None
) -> AsyncIterator[Snapshot]:
    """`database_url` is PostgreSQL itself, not a pooler. `words` are said to each reader at its beginning, so that it
    sees with its caller's eyes. `take`: where connections come from, if they are not made now. Raises what `connect`
    raises."""
    async with AsyncExitStack() as stack:
        opening = [
            asyncio.create_task(_open(stack, take or partial(open_connection, database_url)))
            for _ in range(1 + CONNECTIONS)
        ]
        try:
            planner, *readers = await asyncio.gather(*opening)
        except BaseException:
            await asyncio.gather(*opening, return_exceptions=True)  # what opens meanwhile is closed too
            raise
        await planner.execute(f"{_BEGIN}; {_SETTINGS}; {_KEEP_DAYS}")
        token = await planner.fetchval("SELECT pg_export_snapshot()")
        begin = f"{_BEGIN}; SET TRANSACTION SNAPSHOT '{token}'; {_SETTINGS}; {words}"
        await asyncio.gather(*(reader.execute(begin) for reader in readers))
        yield Snapshot(planner, readers)


async def _open(stack: AsyncExitStack, take: Callable[[], Awaitable[Any]]) -> Any:
    """Ended by breaking the connection: a transaction that only reads has nothing to say at its end."""
    connection = await take()
    stack.callback(connection.terminate)
    return connection
