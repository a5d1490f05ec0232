"""Connections that are there before somebody wants a snapshot: to make them took longer than to begin reading."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.exports.snapshot import CONNECTIONS, open_connection


class ReadyConnections:
    """As many as one snapshot takes, each used once. There are none until `refill`, nor after `let_go`."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._opening: list[asyncio.Task[Any]] = []

    async def take(self) -> Any:
        """One that is open, or will be sooner than another. Raises what `connect` raises."""
        while self._opening:
            task = self._opening.pop()
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError:
                self._opening.append(task)  # for the next one
                raise
            if task.exception() is None and not task.result().is_closed():
                return task.result()
        return await open_connection(self._url)  # which says what the matter is, if there is one

    def refill(self) -> None:
        """While nobody waits for them."""
        while len(self._opening) < 1 + CONNECTIONS:
            self._opening.append(asyncio.create_task(open_connection(self._url)))

    async def let_go(self) -> None:
        """Nobody has wanted one for long."""
        opening, self._opening = self._opening, []
        for task in opening:
            task.cancel()
        for found in await asyncio.gather(*opening, return_exceptions=True):
            if not isinstance(found, BaseException):
                found.terminate()
