"""The local bus as one object: listener, connections and broker, started and stopped together."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from engine.clock import Clock, SystemClock
from engine.errors import BusError
from engine.local_bus.authorization import Authorization
from engine.local_bus.broker import Broker
from engine.local_bus.connection import Connection
from engine.local_bus.door import Door, Visit
from engine.local_bus.link_targets import LinkTargets
from engine.local_bus.places import Places
from engine.local_bus.queue import Counts, Rules
from engine.local_bus.sparing_log import Logs
from engine.local_bus.tls import TLS_PORT

# azure-servicebus before 7.14 asks for segments of this size on loopback and fails with EINVAL when it is larger.
TLS_SEGMENT_BYTES_MAX = 16_384
BACKLOG = 128
FILE_NAME = "local-bus.sqlite3"


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
        tls_port: int = TLS_PORT,
        places: Places | None = None,
    ) -> None:
        self.port = port
        self.tls_port = tls_port
        self._host = host
        self._key = key
        self._tls = tls
        self._clock = clock or SystemClock()
        self._broker = Broker(data_dir / FILE_NAME, queues, self._clock, rules or Rules(lock_s=lock_s))
        self._targets = LinkTargets(self._broker)
        self._connections: set[Connection] = set()
        self._places = places or Places()
        self._logs = Logs.made(self._clock)
        self._door = Door(self._places, self._logs, self._connection_of)

    @property
    def connection_string(self) -> str:
        return connection_string(self.port, self._key)

    @property
    def counts(self) -> dict[str, Counts]:
        return self._broker.counts

    async def start(self) -> None:
        await self._broker.start()
        try:
            self._listen()
        except BaseException:
            await self.stop()
            raise

    def _listen(self) -> None:
        plain = _listener(self._host, self.port)
        self.port = plain.getsockname()[1]
        self._door.open(plain, None)
        if self._tls is not None:
            encrypted = _listener(self._host, self.tls_port)
            encrypted.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, TLS_SEGMENT_BYTES_MAX)
            self.tls_port = encrypted.getsockname()[1]
            self._door.open(encrypted, self._tls)

    async def stop(self) -> None:
        """Write and answer what was sent, then hang up. Locks end with the process: their messages are free."""
        await self._door.close()
        for connection in self._connections:
            connection.stop_reading()
        await self._broker.flush()
        for connection in list(self._connections):
            connection.close(None)
        await self._broker.stop()

    def _connection_of(self, visit: Visit) -> Connection:
        def lost(connection: Connection) -> None:
            self._connections.discard(connection)
            self._places.leave(visit)

        authorization = Authorization(self._key, self._clock)
        connection = Connection(self._targets, authorization, self._logs, partial(self._places.know, visit), lost)
        self._connections.add(connection)
        return connection


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BusError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def connection_string(port: int, key: str | None) -> str:
    """What azure-servicebus 7.14 and later needs to find a local bus on this machine; without a key any will do."""
    return (
        f"Endpoint=sb://localhost:{port};SharedAccessKeyName=local;"
        f"SharedAccessKey={key or 'none'};UseDevelopmentEmulator=true;"
    )


def tls_connection_string(key: str) -> str:
    """The same over TLS: without UseDevelopmentEmulator clients dial 5671, whatever port is in it."""
    return f"Endpoint=sb://localhost/;SharedAccessKeyName=local;SharedAccessKey={key}"
