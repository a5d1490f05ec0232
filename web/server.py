"""How hypercorn should serve this application: what an application cannot say through ASGI."""

from __future__ import annotations

import json
from http import HTTPStatus

import h11
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol

PING_INTERVAL_S = 20.0
CLIENT_MESSAGE_BYTES_MAX = 4096  # clients send nothing


def set_server_defaults() -> None:
    """Called before the server starts; what its command line says still wins.

    hypercorn takes pings, the Server header and message sizes from its Config only, and makes that before it imports
    the application; attributes that were not given are looked up on the class. What is no HTTP, or has headers that
    are too long, it answers itself, without a body; no browser could read that, so the answer is replaced.
    """
    Config.websocket_ping_interval = PING_INTERVAL_S
    Config.websocket_max_message_size = CLIENT_MESSAGE_BYTES_MAX
    Config.include_server_header = False
    H11Protocol._send_error_response = _refuse_as_json  # type: ignore[method-assign,assignment]


async def _refuse_as_json(protocol: H11Protocol, status_code: int) -> None:
    body = json.dumps({"detail": HTTPStatus(status_code).phrase}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"access-control-allow-origin", b"*"),  # whose request it was could not be read
        *protocol.config.response_headers("h11"),
    ]
    await protocol._send_h11_event(h11.Response(status_code=status_code, headers=headers))
    await protocol._send_h11_event(h11.Data(data=body))
    await protocol._send_h11_event(h11.EndOfMessage())
