"""One leader a database: a session lock that lives exactly as long as its connection."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from engine.errors import StoreUnavailable
from engine.historian.connecting import POOLER_ADVICE, connect
from engine.historian.connection import connection_options
from engine.historian.queries import SQL
from engine.settings import Settings

PING_S = 2.0
PING_ANSWER_S_MAX = 5.0


class Leadership:
    """Held from creation until the connection dies, a ping is not answered or finds no lock, or `release` is called."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._is_lost = False
        connection.add_termination_listener(lambda _: self._lose())
        self._pinging = asyncio.create_task(self._ping(), name="leadership-ping")

    @property
    def held(self) -> bool:
        return not self._is_lost and not self._connection.is_closed()

    async def release(self) -> None:
        self._pinging.cancel()
        self._lose()
        self._connection.terminate()

    def _lose(self) -> None:
        self._is_lost = True

    async def _ping(self) -> None:
        """PostgreSQL may have ended the session without our hearing of it (a cut cable, a pooler)."""
        while not self._is_lost:
            await asyncio.sleep(PING_S)
            try:
                holds = await self._connection.fetchval(SQL["leader_holds"], timeout=PING_ANSWER_S_MAX)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                holds = False
            if not holds:
                self._lose()
                self._connection.terminate()


async def try_lead(database_url: str, settings: Settings, name: str) -> Leadership | None:
    """Become the leader as `name`, which nobody else has; None when somebody else is.

    Raises StoreUnavailable where a session is not ours alone, and when one of ours has the lock of which we know
    nothing: we gave it up, or never heard that it got it, while PostgreSQL did not answer. That one is ended.
    """
    connection = await connect(database_url, **connection_options(settings))
    try:
        await _refuse_shared_session(connection, database_url, settings)
        await connection.fetchval("SELECT set_config('application_name', $1, false)", name)
        leader = None
        while leader is None:
            if await connection.fetchval(SQL["leader_try"]):
                return Leadership(connection)
            leader = await connection.fetchrow(SQL["leader_is"])
        if leader["name"] == name:
            await connection.fetchval("SELECT pg_terminate_backend($1)", leader["pid"])
            raise StoreUnavailable("an abandoned session of this engine still has the lead")
    except BaseException:
        connection.terminate()
        raise
    await connection.close()
    return None


async def _refuse_shared_session(connection: Any, database_url: str, settings: Settings) -> None:
    """A pooler that was told to let our settings pass may give a session to each transaction: then nobody leads.

    One that does answers under another number than the session has, and gives the same session to the next who asks.
    """
    ours = await connection.fetchval("SELECT pg_backend_pid()")
    if ours == connection.get_server_pid():
        return
    other = await connect(database_url, **connection_options(settings))
    try:
        if await other.fetchval("SELECT pg_backend_pid()") == ours:
            raise StoreUnavailable(POOLER_ADVICE)
    finally:
        other.terminate()
