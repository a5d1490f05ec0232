"""How hypercorn should serve this application: what an application cannot say through ASGI."""

from __future__ import annotations

import h11
import hypercorn.asyncio.run
import hypercorn.protocol.h11
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol

from web.edge.connections import FILES_FOR_OURSELVES, BoundedServer, OneWayStream, error_answer, raise_open_files_limit

PING_INTERVAL_S = 20.0
KEEP_ALIVE_S = 20.0  # also the longest wait for the head of a request
BACKLOG = 1024
HEAD_BYTES_MAX = 65_536  # the edge refuses less than this, and says why
ACCESS_LOG_FORMAT = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(L)s "%(a)s"'  # without the Referer, which may hold anything


def set_server_defaults() -> None:
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
    Config.h11_max_incomplete_size = HEAD_BYTES_MAX
    Config.access_log_format = ACCESS_LOG_FORMAT
    Config.alpn_protocols = ["http/1.1"]
    BoundedServer.connections_max = raise_open_files_limit() - FILES_FOR_OURSELVES
    hypercorn.asyncio.run.TCPServer = BoundedServer  # type: ignore[attr-defined,assignment]
    hypercorn.protocol.h11.WSStream = OneWayStream  # type: ignore[attr-defined,assignment]
    H11Protocol._check_protocol = _stay_with_http_1  # type: ignore[assignment,method-assign]
    H11Protocol._send_error_response = _refuse_as_json  # type: ignore[assignment,method-assign]


async def _stay_with_http_1(protocol: H11Protocol, event: h11.Request) -> None:
    """An Upgrade to HTTP/2 may be ignored; a request that claims to be HTTP/2 gets its 505 from the edge."""


async def _refuse_as_json(protocol: H11Protocol, status_code: int) -> None:
    body, headers = error_answer(status_code)
    headers += protocol.config.response_headers("h11")
    await protocol._send_h11_event(h11.Response(status_code=status_code, headers=headers))
    await protocol._send_h11_event(h11.Data(data=body))
    await protocol._send_h11_event(h11.EndOfMessage())
