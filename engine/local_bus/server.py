"""The local bus as one object: listener, connections and broker, started and stopped together."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from engine.clock import Clock, SystemClock
from engine.local_bus.authorization import Authorization
from engine.local_bus.broker import Broker
from engine.local_bus.connection import Connection
from engine.local_bus.link_targets import LinkTargets
from engine.local_bus.queue import Counts, Rules

CONNECTIONS_MAX = 256
# azure-servicebus before 7.14 asks for segments of this size on loopback and fails with EINVAL when it is larger.
TLS_SEGMENT_BYTES_MAX = 16_384
FILE_NAME = "local-bus.sqlite3"

_logger = logging.getLogger(__name__)


class LocalBus:
    """`await start()` listens on `host:port` (0: a free port, then in `port`); `await stop()` leaves all on disk."""

    def __init__(
        self,
        data_dir: Path,
        queues: Sequence[str],
        port: int,
        *,
        host: str = "127.0.0.1",
        key: str | None = None,
        lock_s: float = 60.0,
        rules: Rules | None = None,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        tls_port: int = 5671,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.port = port
        self.tls_port = tls_port
        self._host = host
        self._key = key
        self._tls = tls
        self._clock = clock or SystemClock()
        self._connections_max = connections_max
        self._broker = Broker(data_dir / FILE_NAME, queues, self._clock, rules or Rules(lock_s=lock_s))
        self._targets = LinkTargets(self._broker)
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def connection_string(self) -> str:
        return connection_string(self.port, self._key)

    @property
    def counts(self) -> dict[str, Counts]:
        return self._broker.counts

    async def start(self) -> None:
        await self._broker.start()
        try:
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        plain = await loop.create_server(self._connect, self._host, self.port)
        self._servers.append(plain)
        self.port = plain.sockets[0].getsockname()[1]
        if self._tls is not None:
            listener = socket.create_server((self._host, self.tls_port))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, TLS_SEGMENT_BYTES_MAX)
            encrypted = await loop.create_server(self._connect, sock=listener, ssl=self._tls)
            self._servers.append(encrypted)
            self.tls_port = encrypted.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Write and answer what was sent, then hang up. Locks end with the process: their messages are free."""
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.stop_reading()
        await self._broker.flush()
        for connection in list(self._connections):
            connection.close(None)
        await self._broker.stop()

    def _connect(self) -> asyncio.Protocol:
        if len(self._connections) >= self._connections_max:
            _logger.warning("local bus: a client is turned away, %d are connected", len(self._connections))
            return _TurnedAway()
        connection = Connection(self._targets, Authorization(self._key, self._clock), self._connections.discard)
        self._connections.add(connection)
        return connection


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def connection_string(port: int, key: str | None) -> str:
    """What azure-servicebus 7.14 and later needs to find a local bus on this machine; without a key any will do."""
    return (
        f"Endpoint=sb://localhost:{port};SharedAccessKeyName=local;"
        f"SharedAccessKey={key or 'none'};UseDevelopmentEmulator=true;"
    )
