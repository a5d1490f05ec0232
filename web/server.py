"""How hypercorn should serve this application."""

from __future__ import annotations

from hypercorn.config import Config

PING_INTERVAL_S = 20.0
CLIENT_MESSAGE_BYTES_MAX = 4096  # clients send nothing


def set_server_defaults() -> None:
    """Set what an application cannot say through ASGI; what the command line says still wins.

    hypercorn takes pings, the Server header and message sizes from its Config only, and makes that before it imports
    the application; attributes that were not given are looked up on the class.
    """
    Config.websocket_ping_interval = PING_INTERVAL_S
    Config.websocket_max_message_size = CLIENT_MESSAGE_BYTES_MAX
    Config.include_server_header = False
