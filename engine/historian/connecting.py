"""The one way to a database: what its address says (engine/database_url.py) becomes a connection of asyncpg."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import asyncpg

from engine.database_url import DatabaseUrl, Host, parse
from engine.errors import SettingsError, StoreUnavailable
from engine.peers import PROBE_EVERY_S, PROBES_MAX, SILENT_S, UNACKNOWLEDGED_S_MAX

CONNECT_S_MAX: Final = 5.0
NO_POOLER: Final[Mapping[str, str]] = {"jit": "off"}
"""Said by every connection: a pooler in between, which would break what a session is for, refuses to take it."""
POOLER_ADVICE: Final = (
    "a pooler stands where PostgreSQL should: add pgbouncer=true to DATABASE_URL and name PostgreSQL itself in"
    " DATABASE_DIRECT_URL"
)
_KEEPALIVE: Final = {
    "keepalives_idle": (socket.TCP_KEEPIDLE, SILENT_S),
    "keepalives_interval": (socket.TCP_KEEPINTVL, PROBE_EVERY_S),
    "keepalives_count": (socket.TCP_KEEPCNT, PROBES_MAX),
}
OF_THE_SERVER: Final = {
    "tcp_user_timeout": str(round(UNACKNOWLEDGED_S_MAX * 1000)),
    "tcp_keepalives_idle": str(SILENT_S),
    "tcp_keepalives_interval": str(PROBE_EVERY_S),
    "tcp_keepalives_count": str(PROBES_MAX),
}
"""How PostgreSQL finds out that we are gone: until then our sessions keep what they hold, such as the lead."""
_NEXT_HOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


def address_of(database_url: str) -> DatabaseUrl:
    """Raises SettingsError."""
    try:
        return parse(database_url)
    except ValueError as error:
        raise SettingsError(f"the address of the database {error}") from None


def connect_s_max(database_url: str) -> float:
    """How long `connect` takes at most: of several hosts each has its time."""
    address = address_of(database_url)
    return _host_s_max(address) * max(1, len(address.hosts))


async def connect(
    database_url: str,
    *,
    command_timeout: float | None = None,
    server_settings: Mapping[str, str] = NO_POOLER,
    **more: Any,
) -> Any:
    """A connection to the first host that takes it. Raises what asyncpg raises, or StoreUnavailable for a pooler."""
    address = address_of(database_url)
    options = address.options.get("options")
    of_the_server = {} if address.is_pooled else OF_THE_SERVER  # a pooler's sessions are not ours to end
    more["server_settings"] = {**of_the_server, **server_settings, **({"options": options} if options else {})}
    more["command_timeout"] = command_timeout
    if address.is_pooled:
        more["statement_cache_size"] = 0  # the next statement may meet another server
    try:
        connection = await _connect_to_any(address, more)
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        raise StoreUnavailable(f"{POOLER_ADVICE} ({error})") from error
    _tune(connection, address)
    return connection


async def open_pool(
    database_url: str,
    *,
    max_size: int,
    init: Callable[[Any], Awaitable[None]] | None = None,
    reset: Callable[[Any], Awaitable[None]] | None = None,
    **options: Any,
) -> Any:
    """Connections as `connect` makes them, when they are needed."""
    address_of(database_url)  # what is wrong with it is told now

    async def make(_: object, **more: Any) -> Any:
        return await connect(database_url, **options, **more)

    return await asyncpg.create_pool(connect=make, min_size=0, max_size=max_size, init=init, reset=reset)


def _host_s_max(address: DatabaseUrl) -> float:
    return address.number("connect_timeout") or CONNECT_S_MAX


async def _connect_to_any(address: DatabaseUrl, more: Mapping[str, Any]) -> Any:
    if len(address.hosts) <= 1:
        return await _connect_to(address, next(iter(address.hosts), None), more)
    problems = []
    for host in address.hosts:
        try:
            return await _connect_to(address, host, more)
        except _NEXT_HOST as error:
            problems.append(f"{host.name}: {str(error) or 'it does not answer'}")
    raise ConnectionError("; ".join(problems))


async def _connect_to(address: DatabaseUrl, host: Host | None, more: Mapping[str, Any]) -> Any:
    """None: where the environment says, or asyncpg's own idea of here."""
    where = {} if host is None else {"host": host.name, "port": host.port}
    return await asyncpg.connect(
        address.for_asyncpg(),
        **where,
        user=address.user,
        password=address.password,
        database=address.database,
        timeout=_host_s_max(address),
        **more,
    )


def _tune(connection: Any, address: DatabaseUrl) -> None:
    """As libpq does it, and a peer that is gone is noticed."""
    peer = connection._transport.get_extra_info("socket")
    if peer is None or peer.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    user_timeout_ms = address.number("tcp_user_timeout") or round(UNACKNOWLEDGED_S_MAX * 1000)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
    if address.options.get("keepalives") == "0":
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, (option, usual) in _KEEPALIVE.items():
        peer.setsockopt(socket.IPPROTO_TCP, option, address.number(name) or usual)
