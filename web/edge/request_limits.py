"""What is refused before anything looks at it: requests that are too large, or not what HTTP/1.1 means by a request.

Quart and werkzeug answer some of these with 500 (a target that is no path), others not at all (a body without end
that no handler reads, a form part of any size).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from web.errors import HttpRefusal

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

HEADER_BYTES_MAX = 16_384  # a token in the query and one in a header fit many times
HEADERS_MAX = 100
PATH_BYTES_MAX = 4_096
QUERY_BYTES_MAX = 8_192
QUERY_FIELDS_MAX = 1_000
DRAIN_S_MAX = 5.0
DRAIN_BODIES_MAX = 4
CLOSE = {"Connection": "close"}


class BodyTooLarge(HttpRefusal):
    def __init__(self, bytes_max: int) -> None:
        super().__init__(413, f"The body is larger than {bytes_max} bytes", CLOSE)


def check_request(scope: Scope, body_bytes_max: int) -> None:
    """Raise HttpRefusal for what no handler should see; an absolute target becomes its path."""
    if scope["http_version"] not in {"1.0", "1.1"}:
        raise HttpRefusal(505, "Only HTTP/1.1 is spoken here", CLOSE)
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > HEADERS_MAX:
        raise HttpRefusal(431, f"There are more than {HEADERS_MAX} headers", CLOSE)
    if sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES_MAX:
        raise HttpRefusal(431, f"Headers are larger than {HEADER_BYTES_MAX} bytes", CLOSE)
    if len(scope["raw_path"]) > PATH_BYTES_MAX or len(scope["query_string"]) > QUERY_BYTES_MAX:
        raise HttpRefusal(
            414, f"The path is longer than {PATH_BYTES_MAX} bytes or the query longer than {QUERY_BYTES_MAX}", CLOSE
        )
    _check_target(scope)
    _check_length(headers, body_bytes_max)


def _check_target(scope: Scope) -> None:
    """`/path`; `http://host/path`, which HTTP/1.1 servers must take; `*` for OPTIONS."""
    target: str = scope["raw_path"].decode("latin-1")
    if target.startswith("/") or (target == "*" and scope.get("method") == "OPTIONS"):
        return
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise HttpRefusal(400, "The request's target cannot be read", CLOSE) from error
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.netloc:
        raise HttpRefusal(400, "The request's target must be a path that starts with a slash", CLOSE)
    scope["raw_path"] = (parts.path or "/").encode("latin-1")
    scope["path"] = unquote(parts.path) or "/"


def _check_length(headers: list[tuple[bytes, bytes]], body_bytes_max: int) -> None:
    lengths = [value for name, value in headers if name == b"content-length"]
    if lengths and any(name == b"transfer-encoding" for name, _ in headers):
        # Whoever stands before us may have believed the other one; the rest would be somebody else's request.
        raise HttpRefusal(400, "Content-Length and Transfer-Encoding exclude each other", CLOSE)
    if any(int(length) > body_bytes_max for length in lengths):  # h11 admits only digits, at most 20
        raise BodyTooLarge(body_bytes_max)


class BoundedBody:
    """`receive` of an HTTP request that raises BodyTooLarge when more comes than may."""

    def __init__(self, receive: Receive, bytes_max: int) -> None:
        self._receive = receive
        self._bytes_max = bytes_max
        self._bytes = 0
        self._is_complete = False
        self._is_draining = False
        self._one_reader = asyncio.Lock()

    async def __call__(self) -> Message:
        async with self._one_reader:
            message = await self._next()
        if self._bytes > self._bytes_max and not self._is_draining:
            raise BodyTooLarge(self._bytes_max)
        return message

    async def drain(self) -> None:
        """Take what still comes, within limits: a server that hangs up on a client that still sends resets the
        connection, and the answer is lost with it.
        """
        self._is_draining = True
        try:
            async with asyncio.timeout(DRAIN_S_MAX):
                while not self._is_complete and self._bytes <= DRAIN_BODIES_MAX * self._bytes_max:
                    async with self._one_reader:
                        if not self._is_complete:
                            await self._next()
        except TimeoutError:
            pass  # the server closes the connection

    async def _next(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        return message
