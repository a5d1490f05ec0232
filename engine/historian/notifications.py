"""Hears of facilities whose configuration was changed over REST (`NOTIFY facility_config` with the facility's id)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from engine.errors import StoreUnavailable
from engine.historian.connecting import connect
from engine.historian.connection import connection_options, translated_errors
from engine.settings import Settings

CHANNEL: Final = "facility_config"
CHECK_S: Final = 5.0
ANSWER_S_MAX: Final = 5.0


class ConfigurationNews:
    """One connection that listens. When it is lost, what was said meanwhile is lost too: connect again and ask all."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    @classmethod
    async def open(cls, database_url: str, settings: Settings) -> ConfigurationNews:
        """Listen from now on; raises StoreUnavailable."""
        async with translated_errors("listening for configuration changes"):
            connection = await connect(database_url, **connection_options(settings))
            news = cls(connection)
            connection.add_termination_listener(lambda _: news._news.set())
            await connection.add_listener(CHANNEL, lambda *message: news._hear(str(message[3])))
        return news

    async def next(self) -> set[str]:
        """Facilities that were changed; waits for the first. Raises StoreUnavailable when the connection is lost."""
        while not self._changed:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), CHECK_S)
            except TimeoutError:
                async with translated_errors("listening for configuration changes"):
                    await self._connection.execute("SELECT 1", timeout=ANSWER_S_MAX)
            if self._connection.is_closed():
                raise StoreUnavailable("listening for configuration changes: the connection was closed")
        changed, self._changed = self._changed, set()
        return changed

    def close(self) -> None:
        """Stop listening."""
        self._connection.terminate()

    def _hear(self, facility_id: str) -> None:
        self._changed.add(facility_id)
        self._news.set()
