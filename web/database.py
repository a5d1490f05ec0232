"""The web server's PostgreSQL: a small pool with statement timeouts that outlives the database going away.

Everything that means "not now" becomes StoreUnavailable; the next call tries again with a fresh connection.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import structlog

from engine.errors import StoreUnavailable
from engine.historian.connecting import address_of, connect, connect_s_max, open_pool
from engine.historian.web_role import WEB_ROLE
from web.errors import NotPermitted
from web.fairness import Turns

ACQUIRE_S_MAX = 5.0
"""For a connection of the pool, beside the time to make one."""
WAITING_EACH_MAX = 500
"""Statements of one caller that wait for a connection."""
WAIT_S_MAX = 10.0
PRINCIPAL = re.compile(r"[a-z]+:[0-9]+")

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

_WHO = {"application_name": "gasinsight-web", "timezone": "UTC"}
"""Of what a session is told, the part that poolers know how to hand on."""

log = structlog.get_logger(__name__)


class StatementTooSlow(StoreUnavailable):
    """PostgreSQL ended a statement that took longer than STATEMENT_TIMEOUT_S."""


class Queries(ABC):
    """Statements with parameters only."""

    @abstractmethod
    def transaction(self, words: str = "") -> AbstractAsyncContextManager[Any]:
        """One connection for several statements; committed at the end, rolled back by an exception.

        words  statements without parameters that are said at its beginning, in one round trip with it
        """

    @abstractmethod
    def _connection(self) -> AbstractAsyncContextManager[Any]:
        """One connection for one statement."""

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def row(self, sql: str, *arguments: object) -> Any | None:
        async with self._connection() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def value(self, sql: str, *arguments: object) -> Any:
        """The first column of the first row; None when there is no row."""
        async with self._connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        async with self._connection() as connection:
            await connection.execute(sql, *arguments)


class Database(Queries):
    """Sees and changes everything. Opened once a process; connects at first use, so it starts without PostgreSQL.

    The address may lead to a pooler that gives each transaction any session: nothing is kept in one then, every
    statement is in a transaction, and each transaction begins with what a session would have been told. `direct_url` is
    PostgreSQL itself, for what listens.
    """

    def __init__(
        self, url: str, connections_max: int, statement_timeout_s: float, *, direct_url: str | None = None
    ) -> None:
        self._url = url
        self._direct_url = direct_url or url
        self._is_pooled = address_of(url).is_pooled
        self._acquire_s_max = connect_s_max(url) + ACQUIRE_S_MAX
        self._connections_max = connections_max
        self._statement_timeout_s = statement_timeout_s
        self._pool: asyncpg.Pool | None = None
        # whatever one caller asks, half of the connections are there for the others
        self.turns = Turns(max(1, connections_max // 2), connections_max, WAITING_EACH_MAX, WAIT_S_MAX)

    async def open(self) -> None:
        self._pool = await open_pool(
            self._url,
            max_size=self._connections_max,
            command_timeout=self._statement_timeout_s + 5,  # when the server itself hangs
            reset=_nothing,
            server_settings=_WHO if self._is_pooled else {**_WHO, **self._session_settings()},
        )

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    def bound_to(self, principal: str | None, *, read_only: bool) -> BoundDatabase:
        """The database as `principal` may see it; None: somebody who may see nothing."""
        return BoundDatabase(self, principal, read_only=read_only)

    def in_turns_of(self, who: str) -> Queries:
        """The whole database, at the pace that a caller may have: for what is asked about `who` before all else."""
        return _InTurns(self, who)

    @property
    def words_of_each_transaction(self) -> str:
        """What has to be said at its beginning, where no session keeps it."""
        if not self._is_pooled:
            return ""
        return "".join(f" SET LOCAL {name} = '{value}';" for name, value in self._session_settings().items())

    @asynccontextmanager
    async def transaction(self, words: str = "") -> AsyncIterator[Any]:
        async with self.bare_connection() as connection, connection.transaction():
            if said := self.words_of_each_transaction + words:
                await connection.execute(said)
            yield connection

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator[Any]:
        """A connection outside the pool, for LISTEN."""
        with _away_is_unavailable():
            connection = await connect(
                self._direct_url,
                command_timeout=self._statement_timeout_s,
                server_settings={**_WHO, **self._session_settings()},
            )
            try:
                yield connection
            finally:
                connection.terminate()

    @asynccontextmanager
    async def bare_connection(self) -> AsyncIterator[Any]:
        """For who begins a transaction at once and says those words."""
        with _away_is_unavailable():
            if self._pool is None:
                raise StoreUnavailable("the database pool is not open")
            async with self._pool.acquire(timeout=self._acquire_s_max) as connection:
                yield connection

    def _connection(self) -> AbstractAsyncContextManager[Any]:
        return self.transaction() if self._is_pooled else self.bare_connection()

    def _session_settings(self) -> dict[str, str]:
        return {
            "work_mem": "16MB",  # a grid of 100,000 cells is grouped without files
            "jit": "off",  # our statements are short; compiling them costs more than it saves
            "statement_timeout": str(round(self._statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        }


class _InTurns(Queries):
    """The same database; its statements take turns with those of other callers."""

    def __init__(self, database: Database, who: str) -> None:
        self._database = database
        self._who = who

    @asynccontextmanager
    async def transaction(self, words: str = "") -> AsyncIterator[Any]:
        async with self._database.turns.turn(self._who), self._database.transaction(words) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        async with self._database.turns.turn(self._who), self._database._connection() as connection:
            yield connection


class BoundDatabase(Queries):
    """The same database through one caller's eyes.

    Every statement runs in a transaction of the role that row-level security limits, and which names the principal,
    and takes turns with those of other callers.
    """

    def __init__(self, database: Database, principal: str | None, *, read_only: bool) -> None:
        if principal is not None and PRINCIPAL.fullmatch(principal) is None:
            raise ValueError(f"a principal is a kind and a number such as user:1, not {principal!r}")
        self._database = database
        self._principal = principal
        # One round trip. It takes no parameters, hence the check above; COMMIT and ROLLBACK undo both SETs.
        self.words = f"SET LOCAL ROLE {WEB_ROLE}; SET LOCAL gasinsight.principal = '{principal or ''}'"
        """What makes a transaction, on any connection, see with the caller's eyes."""
        self._begin = f"BEGIN{' READ ONLY' if read_only else ''};{database.words_of_each_transaction} {self.words}"

    @asynccontextmanager
    async def transaction(self, words: str = "") -> AsyncIterator[Any]:
        turn = self._database.turns.turn(self._principal or "")
        async with turn, self._database.bare_connection() as connection:
            try:
                await self._enter(connection, words)
                yield connection
                await connection.execute("COMMIT")
            except BaseException as error:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                if isinstance(error, asyncpg.InsufficientPrivilegeError):
                    log.error("row_security_refused", principal=self._principal, error=str(error))
                    raise NotPermitted from error
                raise

    _connection = transaction

    async def _enter(self, connection: Any, words: str) -> None:
        try:
            await connection.execute(f"{self._begin}; {words}")
        except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
            raise StoreUnavailable(
                f"{error}: an administrator of PostgreSQL must let the user of DATABASE_URL become the role {WEB_ROLE}"
                f" (CREATE ROLE {WEB_ROLE} NOLOGIN; GRANT {WEB_ROLE} TO …)"
            ) from error


async def _nothing(_: object) -> None:
    """What a connection must forget before its next use: no statement of ours outlasts its transaction, and asyncpg
    has ended one that was left open. Saves asking PostgreSQL each time."""


@contextmanager
def _away_is_unavailable() -> Iterator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise StatementTooSlow(f"a statement was ended after the longest time it may take: {error}") from error
    except _AWAY as error:
        raise StoreUnavailable(f"PostgreSQL is not available: {str(error) or 'it does not answer'}") from error
    except asyncpg.UndefinedTableError as error:
        raise StoreUnavailable(f"the database is not set up, run `alembic upgrade head`: {error}") from error
    except asyncpg.InterfaceError as error:
        if "clos" not in str(error):  # a closed connection or pool; anything else is our mistake
            raise
        raise StoreUnavailable(f"the connection to PostgreSQL was closed: {error}") from error
