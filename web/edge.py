"""What happens before routing and after everything: preflights, CORS headers, websocket origins, secrets out of URLs.

Plain ASGI around Quart, so that it covers every answer, also those of Quart and werkzeug themselves.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog

from web.requests import SECRET_PARAMETERS, SECRETS_KEY

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
PREFLIGHT_AGE_S = b"600"
HEADER_BYTES_MAX = 16_384  # a token in the query and one in a header fit many times

log = structlog.get_logger(__name__)


class Edge:
    """`origins`: who may call from a browser; `*` admits any."""

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[None]], origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        _hide_secrets(scope)
        headers = dict(scope["headers"])
        origin: bytes | None = headers.get(b"origin")
        if _header_bytes(scope) > HEADER_BYTES_MAX:
            await self._too_large(scope, receive, send, origin)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send, origin)
        elif origin is not None and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await self._preflight(send, origin, headers.get(b"access-control-request-headers"))
        else:
            await self._http(scope, receive, send, origin)

    def _admits(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1") in self._origins

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, origin: bytes | None) -> None:
        if origin is not None and not self._admits(origin):
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "origin not admitted"})
            return
        await self._app(scope, receive, send)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send, origin: bytes | None) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1009, "reason": "headers too large"})
        else:
            cors = _cors(origin) if origin is not None and self._admits(origin) else []
            await _answer(send, 431, f"Headers are larger than {HEADER_BYTES_MAX} bytes", cors)

    async def _preflight(self, send: Send, origin: bytes, requested_headers: bytes | None) -> None:
        if not self._admits(origin):
            await _answer(send, 403, "This origin may not call", [(b"vary", b"Origin")])
            return
        headers = [
            *_cors(origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", PREFLIGHT_AGE_S),
        ]
        if requested_headers is not None:
            headers.append((b"access-control-allow-headers", requested_headers))
        await _answer(send, 200, "OK", headers)

    async def _http(self, scope: Scope, receive: Receive, send: Send, origin: bytes | None) -> None:
        cors = _cors(origin) if origin is not None and self._admits(origin) else [(b"vary", b"Origin")]
        started = False

        async def send_with_cors(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], *cors]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_cors)
        except Exception:
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await _answer(send_with_cors, 500, "Internal server error", [])


def _cors(origin: bytes) -> Headers:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


def _header_bytes(scope: Scope) -> int:
    return len(scope["query_string"]) + sum(len(name) + len(value) for name, value in scope["headers"])


def _hide_secrets(scope: Scope) -> None:
    """Move tokens from the query to the scope, where no access log or traceback prints them."""
    query: bytes = scope["query_string"]
    if b"token" not in query:
        return
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    scope[SECRETS_KEY] = {name: value for name, value in reversed(pairs) if name in SECRET_PARAMETERS}
    scope["query_string"] = urlencode([pair for pair in pairs if pair[0] not in SECRET_PARAMETERS]).encode()


async def _answer(send: Send, status: int, detail: str, headers: Headers) -> None:
    body = json.dumps({"detail": detail}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
