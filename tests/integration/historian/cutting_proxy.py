"""Stands between a historian and PostgreSQL, and cuts the wire when it is told to."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Leads to the server of `url`. `cuts`: how often `cut_once` came to pass."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._word = b""
        self._message_no = 0
        self._pass_on = False
        self._armed = False
        self._away = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._hang_up()

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        user_and_password = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{user_and_password}@127.0.0.1:{port}").geturl()

    def cut_once(self, *, word: bytes = b"", message_no: int = 0, pass_on: bool) -> None:
        """At the message with this word, or at the n-th from now. `pass_on`: PostgreSQL does it; nobody hears of it."""
        self._word, self._message_no, self._pass_on, self._armed = word, message_no, pass_on, True

    async def go_away(self) -> None:
        """Hang up on everybody; whoever comes is turned away until `come_back`."""
        self._away = True
        await self._hang_up()

    def come_back(self) -> None:
        self._away = False

    async def _hang_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self._away:
            to_client.transport.abort()
            return
        self._tasks.add(asyncio.create_task(self._pass(client, to_client)))

    async def _pass(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)

        async def backward() -> None:
            while piece := await server.read(65536):
                to_client.write(piece)

        answering = asyncio.create_task(backward())
        try:
            while piece := await client.read(65536):
                if self._is_due(piece):
                    self.cuts += 1
                    answering.cancel()
                    if self._pass_on:
                        to_server.write(piece)
                        await asyncio.sleep(0.3)
                    break
                to_server.write(piece)
        finally:
            answering.cancel()
            to_client.transport.abort()
            to_server.transport.abort()

    def _is_due(self, piece: bytes) -> bool:
        if not self._armed:
            return False
        self._message_no -= 1
        self._armed = not (self._message_no == 0 or (self._word and self._word in piece))
        return not self._armed
