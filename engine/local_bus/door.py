"""Where connections come in: each has a place from the moment it is accepted, before TLS and AMQP say a word."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from engine.local_bus.connection import Connection
from engine.local_bus.places import STRANGER_S_MAX, Places
from engine.local_bus.sparing_log import Logs

ACCEPT_AGAIN_S = 0.2
# While strangers turn each other out they are let in slowly, so that each has the time to show a key: more than half a
# second with 64 places.
CROWDED_S = 0.01
TLS_GOODBYE_S_MAX = 2.0


class Visit:
    """One socket from its accepting to its end."""

    def __init__(self, peer: socket.socket, address: str, logs: Logs) -> None:
        self.address = address
        self.connection: Connection | None = None
        self._peer = peer
        self._logs = logs

    def turn_out(self, reason: str) -> None:
        """Before there is a transport the end of the socket ends whatever is under way on it."""
        self._logs.strangers.tell(reason)
        if self.connection is None or not self.connection.abort():
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)


class Door:
    """`make` is asked for the connection of each visit; `know` and `leave` of the places are called for it."""

    def __init__(self, places: Places, logs: Logs, make: Callable[[Visit], Connection]) -> None:
        self._places = places
        self._logs = logs
        self._make = make
        self._listeners: list[tuple[socket.socket, asyncio.Task[None]]] = []
        self._greeting: set[asyncio.Task[None]] = set()

    def open(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Let in whoever comes to a socket that listens."""
        listener.setblocking(False)
        self._listeners.append((listener, asyncio.create_task(self._accept(listener, tls))))

    async def close(self) -> None:
        """Nobody comes in any more; those who are in stay."""
        tasks = [task for _, task in self._listeners]
        tasks += self._greeting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener, _ in self._listeners:
            listener.close()
        self._listeners.clear()

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(listener)
            except OSError as error:  # such as no descriptor left
                self._logs.failures.tell(f"nobody can be let in: {error}")
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            visit = Visit(peer, address[0], self._logs)
            is_crowded = self._places.enter(visit)
            greeting = asyncio.create_task(self._greet(visit, peer, tls))
            self._greeting.add(greeting)
            greeting.add_done_callback(self._greeting.discard)
            await asyncio.sleep(CROWDED_S if is_crowded else 0)

    async def _greet(self, visit: Visit, peer: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        visit.connection = connection = self._make(visit)
        try:
            if tls is None:
                await loop.connect_accepted_socket(lambda: connection, peer)
            else:
                await loop.connect_accepted_socket(
                    lambda: connection,
                    peer,
                    ssl=tls,
                    ssl_handshake_timeout=STRANGER_S_MAX,
                    ssl_shutdown_timeout=TLS_GOODBYE_S_MAX,
                )
        except OSError as error:
            self._logs.strangers.tell(f"a connection came no further than TLS: {str(error)[:200]}")
            connection.connection_lost(error)
        except asyncio.CancelledError:
            connection.connection_lost(None)
            raise
