"""What happens before routing and after everything: preflights, CORS and security headers, websocket origins, limits,
secrets out of URLs.

Plain ASGI around Quart, so that it covers every answer, also those of Quart and werkzeug themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog

from web.edge.bodies import BoundedBody, Message, Receive, UnfinishedBodies
from web.edge.headers import Headers, security_headers
from web.edge.printing import printable
from web.edge.proxies import TrustedProxies, client_address
from web.edge.rates import RateLimits, client_key
from web.edge.refusals import Refusals
from web.edge.request_limits import CLOSE, QUERY_FIELDS_MAX, Scope, check_request
from web.edge.requests import BODY_KEY, SECRET_PARAMETERS, SECRETS_KEY, SEND_KEY
from web.errors import HttpRefusal

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
PREFLIGHT_AGE_S = b"600"

log = structlog.get_logger(__name__)


class EdgeMiddleware:
    """`origins`: who may call from a browser; `*` admits any."""

    def __init__(
        self,
        app: App,
        origins: Iterable[str],
        proxies: TrustedProxies,
        *,
        body_bytes_max: int,
        rates: RateLimits,
        refusals: Refusals,
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._proxies = proxies
        self._body_bytes_max = body_bytes_max
        self._rates = rates
        self._refusals = refusals
        self._unfinished = UnfinishedBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._proxies.apply(scope)
        who = client_key(client_address(scope))
        body = scope[BODY_KEY] = BoundedBody(receive, who, self._rates, self._unfinished, self._body_bytes_max)
        answer = _Answer(send, scope, self._cors(_header(scope, b"origin")), self._refusals)
        try:
            _hide_secrets(scope)  # first: also what is refused is logged
            check_request(scope, self._body_bytes_max)
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, answer)
            elif _is_preflight(scope):
                await self._preflight(scope, answer)
            else:
                await self._app(scope, body, answer)
        except HttpRefusal as refusal:
            await answer.refuse(refusal)
        except Exception:
            log.exception("request_failed", path=printable(scope["path"]))
            await answer.refuse(HttpRefusal(500, "Internal server error"))

    def _admits(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1") in self._origins

    def _cors(self, origin: bytes | None) -> Headers:
        vary = (b"vary", b"Origin")
        return [(b"access-control-allow-origin", origin), vary] if origin and self._admits(origin) else [vary]

    async def _websocket(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        origin = _header(scope, b"origin")
        if origin is not None and not self._admits(origin):
            raise HttpRefusal(403, "This origin may not connect")
        scope[SEND_KEY] = answer
        await self._app(scope, receive, answer)

    async def _preflight(self, scope: Scope, answer: _Answer) -> None:
        if not self._admits(_header(scope, b"origin") or b""):
            raise HttpRefusal(403, "This origin may not call")
        headers = [(b"access-control-allow-methods", METHODS), (b"access-control-max-age", PREFLIGHT_AGE_S)]
        requested = _header(scope, b"access-control-request-headers")
        if requested is not None:
            headers.append((b"access-control-allow-headers", requested))
        await answer.send_json(200, "OK", headers)


class _Answer:
    """`send` of one request or handshake: adds the headers that every answer has."""

    def __init__(self, send: Send, scope: Scope, cors: Headers, refusals: Refusals) -> None:
        self._send = send
        self._scope = scope
        self._cors = cors
        self._refusals = refusals
        self._is_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            given = message["headers"]
            headers = [*given, *self._cors, *security_headers(given, self._scope["scheme"])]
            message = {**message, "headers": headers}
            if message["type"] == "websocket.http.response.start":
                self._refusals.handshake(self._scope, message["status"])
        self._is_started = True
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._end(message)
        else:
            await self._send(message)

    async def _end(self, message: Message) -> None:
        """The last bytes, and the end when what the client still sends was taken: hypercorn hangs up after the end."""
        body: BoundedBody = self._scope[BODY_KEY]
        await self._send({**message, "more_body": True})
        await body.drain()
        taking = None if body.is_complete else asyncio.create_task(body.take_rest())
        try:
            await self._send({**message, "body": b""})
        finally:
            if taking is not None:
                taking.cancel()

    async def refuse(self, refusal: HttpRefusal) -> None:
        """Answer with the refusal, unless there is an answer already: then only the connection can end."""
        if self._is_started:
            return
        headers = [(name.lower().encode(), text.encode()) for name, text in refusal.headers.items()]
        # A browser sees no status of a refused handshake, and the wire contract knows 403 only.
        is_handshake = self._scope["type"] == "websocket" and refusal.status < 500
        await self.send_json(403 if is_handshake else refusal.status, refusal.detail, headers)

    async def send_json(self, status: int, detail: object, headers: Headers) -> None:
        kind = "websocket.http.response" if self._scope["type"] == "websocket" else "http.response"
        body = json.dumps({"detail": detail}).encode()
        given = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
        await self({"type": f"{kind}.start", "status": status, "headers": given})
        await self({"type": f"{kind}.body", "body": body, "more_body": False})


def _header(scope: Scope, name: bytes) -> bytes | None:
    """The last header of this name."""
    value: bytes | None = dict(scope["headers"]).get(name)
    return value


def _is_preflight(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return scope["method"] == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


def _hide_secrets(scope: Scope) -> None:
    """Move tokens from the query to the scope, where no access log or traceback prints them."""
    query: bytes = scope["query_string"]
    if query.count(b"&") >= QUERY_FIELDS_MAX:
        scope["query_string"] = b""
        raise HttpRefusal(414, f"The query has more than {QUERY_FIELDS_MAX} parameters", CLOSE)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    secrets = {name: value for name, value in reversed(pairs) if name in SECRET_PARAMETERS}
    if secrets:
        scope[SECRETS_KEY] = secrets
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] not in SECRET_PARAMETERS]).encode()
