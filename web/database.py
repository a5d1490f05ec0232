"""The web server's PostgreSQL: a small pool with statement timeouts that outlives the database going away.

Everything that means "not now" becomes StoreUnavailable; the next call tries again with a fresh connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from engine.errors import StoreUnavailable

CONNECT_S_MAX = 5.0
ACQUIRE_S_MAX = 10.0

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class Database:
    """Queries with parameters only. Opened once a process; connects at first use, so it starts without PostgreSQL."""

    def __init__(self, url: str, connections_max: int, statement_timeout_s: float) -> None:
        self._url = url
        self._connections_max = connections_max
        self._statement_timeout_s = statement_timeout_s
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections_max,
            timeout=CONNECT_S_MAX,
            command_timeout=self._statement_timeout_s + 5,  # when the server itself hangs
            server_settings=self._session_settings(),
        )

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        with _away_is_unavailable():
            async with self._acquired() as connection:
                return list(await connection.fetch(sql, *arguments))

    async def row(self, sql: str, *arguments: object) -> Any | None:
        with _away_is_unavailable():
            async with self._acquired() as connection:
                return await connection.fetchrow(sql, *arguments)

    async def value(self, sql: str, *arguments: object) -> Any:
        """The first column of the first row; None when there is no row."""
        with _away_is_unavailable():
            async with self._acquired() as connection:
                return await connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        with _away_is_unavailable():
            async with self._acquired() as connection:
                await connection.execute(sql, *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """One connection for several statements; committed at the end, rolled back by an exception."""
        with _away_is_unavailable():
            async with self._acquired() as connection, connection.transaction():
                yield connection

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator[Any]:
        """A connection outside the pool, for LISTEN."""
        with _away_is_unavailable():
            connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_S_MAX,
                command_timeout=self._statement_timeout_s,
                server_settings=self._session_settings(),
            )
            try:
                yield connection
            finally:
                connection.terminate()

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        if self._pool is None:
            raise StoreUnavailable("the database pool is not open")
        async with self._pool.acquire(timeout=ACQUIRE_S_MAX) as connection:
            yield connection

    def _session_settings(self) -> dict[str, str]:
        return {
            "application_name": "gasinsight-web",
            "timezone": "UTC",
            "jit": "off",  # our statements are short; compiling them costs more than it saves
            "statement_timeout": str(round(self._statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        }


@contextmanager
def _away_is_unavailable() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise StoreUnavailable(f"PostgreSQL is not available: {error or type(error).__name__}") from error
    except asyncpg.UndefinedTableError as error:
        raise StoreUnavailable(f"the database is not set up, run `alembic upgrade head`: {error}") from error
    except asyncpg.InterfaceError as error:
        if "clos" not in str(error):  # a closed connection or pool; anything else is our mistake
            raise
        raise StoreUnavailable(f"the connection to PostgreSQL was closed: {error}") from error
