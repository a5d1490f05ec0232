"""What is refused before anything looks at it: requests that are too large, or not what HTTP/1.1 means by a request.

Quart and werkzeug answer some of these with 500 (a target that is no path), others not at all (a body without end
that no handler reads, a form part of any size).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from web.errors import HttpRefusal

Scope = dict[str, Any]

HEADER_BYTES_MAX = 16_384  # a token in the query and one in a header fit many times
HEADERS_MAX = 100
PATH_BYTES_MAX = 4_096
QUERY_BYTES_MAX = 8_192
QUERY_FIELDS_MAX = 100
ITEMS_MAX = 100  # of a list in one header, parameters of the items counted alike
NEVER_READ = frozenset({b"cookie"})  # other programs of the host may have set any number
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
    for name, value in headers:
        if value.count(b",") + value.count(b";") >= ITEMS_MAX and name not in NEVER_READ:
            raise HttpRefusal(431, f"A header lists more than {ITEMS_MAX} items", CLOSE)
    if len(scope["raw_path"]) > PATH_BYTES_MAX or len(scope["query_string"]) > QUERY_BYTES_MAX:
        raise HttpRefusal(
            414, f"The path is longer than {PATH_BYTES_MAX} bytes or the query longer than {QUERY_BYTES_MAX}", CLOSE
        )
    _check_target(scope)
    length = announced_length(headers)
    if length is not None and length > body_bytes_max:
        raise BodyTooLarge(body_bytes_max)


def announced_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Of the body; None when nothing is said, or it comes in chunks."""
    lengths = [int(value) for name, value in headers if name == b"content-length"]  # h11 admits only digits, at most 20
    if lengths and any(name == b"transfer-encoding" for name, _ in headers):
        # Whoever stands before us may have believed the other one; the rest would be somebody else's request.
        raise HttpRefusal(400, "Content-Length and Transfer-Encoding exclude each other", CLOSE)
    return max(lengths, default=None)


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
