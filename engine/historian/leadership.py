"""One leader a database: a session lock that lives exactly as long as its connection."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from engine.historian.connection import connection_options
from engine.historian.queries import SQL
from engine.settings import Settings

PING_S = 2.0
PING_ANSWER_S_MAX = 5.0


class Leadership:
    """Held from creation until the connection dies, does not answer a ping, or `release` is called."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lost = asyncio.Event()
        connection.add_termination_listener(lambda _: self._lost.set())
        self._pinging = asyncio.create_task(self._ping(), name="leadership-ping")

    @property
    def held(self) -> bool:
        return not self._lost.is_set() and not self._connection.is_closed()

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def release(self) -> None:
        self._pinging.cancel()
        self._lost.set()
        self._connection.terminate()

    async def _ping(self) -> None:
        """PostgreSQL may have ended the session without our hearing of it (a cut cable)."""
        while not self._lost.is_set():
            await asyncio.sleep(PING_S)
            try:
                await self._connection.execute("SELECT 1", timeout=PING_ANSWER_S_MAX)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                self._lost.set()
                self._connection.terminate()


async def try_lead(database_url: str, settings: Settings) -> Leadership | None:
    """Become the leader; None when somebody is."""
    connection = await asyncpg.connect(database_url, **connection_options(settings))
    try:
        if await connection.fetchval(SQL["leader_try"]):
            return Leadership(connection)
    except BaseException:
        connection.terminate()
        raise
    await connection.close()
    return None
