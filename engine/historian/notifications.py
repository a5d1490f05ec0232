"""Hears what is told with a commit of the web server (`NOTIFY` with the id of the facility that it is about)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from engine.errors import StoreUnavailable
from engine.historian.connecting import connect
from engine.historian.connection import connection_options, translated_errors
from engine.settings import Settings

CONFIGURATION: Final = "facility_config"
"""A facility was changed, or what it holds."""
COMMANDS: Final = "alarm_commands"
"""Something is asked of one of its alarms."""
CHECK_S: Final = 5.0
ANSWER_S_MAX: Final = 5.0


class News:
    """One connection that listens. When it is lost, what was said meanwhile is lost too: connect again and ask all."""

    def __init__(self, connection: Any, doing: str) -> None:
        self._connection = connection
        self._doing = doing
        self._told: set[str] = set()
        self._news = asyncio.Event()

    @classmethod
    async def open(cls, database_url: str, settings: Settings, channel: str) -> News:
        """Listen from now on; raises StoreUnavailable."""
        doing = f"listening to {channel}"
        async with translated_errors(doing):
            connection = await connect(database_url, **connection_options(settings))
            news = cls(connection, doing)
            connection.add_termination_listener(lambda _: news._news.set())
            await connection.add_listener(channel, lambda *message: news._hear(str(message[3])))
        return news

    async def next(self) -> set[str]:
        """Facilities that were told of; waits for the first. Raises StoreUnavailable when the connection is lost."""
        while not self._told:
            if self._connection.is_closed():
                raise StoreUnavailable(f"{self._doing}: the connection was closed")
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), CHECK_S)
            except TimeoutError:
                async with translated_errors(self._doing):
                    await self._connection.execute("SELECT 1", timeout=ANSWER_S_MAX)
        told, self._told = self._told, set()
        self._news.clear()
        return told

    async def next_within(self, seconds: float) -> set[str]:
        """Those told of until then at the latest, or none."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return set()
        return await self.next()

    def close(self) -> None:
        """Stop listening."""
        self._connection.terminate()

    def _hear(self, facility_id: str) -> None:
        self._told.add(facility_id)
        self._news.set()
