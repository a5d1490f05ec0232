"""How hypercorn should serve this application: what an application cannot say through ASGI."""

from __future__ import annotations

import gc

import hypercorn.asyncio.run
import hypercorn.protocol
import hypercorn.protocol.h11
from hypercorn.config import Config

from engine.settings import Network
from web.edge.access_log import AccessLog
from web.edge.connections import FILES_FOR_OURSELVES, BoundedServer, OneWayStream, raise_open_files_limit
from web.edge.heads import BoundedProtocol
from web.edge.proxies import TrustedProxies

PING_INTERVAL_S = 20.0
KEEP_ALIVE_S = 20.0  # also the longest wait for the head of a request
BACKLOG = 1024
ACCESS_LOG_FORMAT = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(L)s "%(a)s"'  # without the Referer, which may hold anything


def set_server_defaults(proxies: tuple[Network, ...] = ()) -> None:
    """Called before the server starts; what its command line says still wins.

    hypercorn takes pings, the Server header and message sizes from its Config only, and makes that before it imports
    the application; attributes that were not given are looked up on the class. What is no HTTP, or has headers that
    are too long, it answers itself, without a body; no browser could read that, so the answer is replaced.
    HTTP/2 is not offered: proxies speak HTTP/1.1 to what is behind them, and its ways to exhaust a server stay out.
    """
    Config.websocket_ping_interval = PING_INTERVAL_S
    Config.include_server_header = False
    Config.keep_alive_timeout = KEEP_ALIVE_S
    Config.backlog = BACKLOG
    Config.access_log_format = ACCESS_LOG_FORMAT
    Config.logger_class = AccessLog
    Config.alpn_protocols = ["http/1.1"]
    BoundedServer.connections_max = raise_open_files_limit() - FILES_FOR_OURSELVES
    BoundedServer.proxies = TrustedProxies(proxies)
    hypercorn.asyncio.run.TCPServer = BoundedServer  # type: ignore[attr-defined,assignment]
    hypercorn.protocol.H11Protocol = BoundedProtocol  # type: ignore[attr-defined,assignment]
    hypercorn.protocol.h11.WSStream = OneWayStream  # type: ignore[attr-defined,assignment]


async def let_start_up_rest() -> None:
    """Called once everything is there that stays. Python looks through all objects now and then, and nobody is answered
    meanwhile: those of the start, nearly all there are, made that 50 ms and more.
    """
    gc.collect()
    gc.freeze()
