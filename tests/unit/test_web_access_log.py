"""A line of the access log: what clients wrote, escaped once."""

from __future__ import annotations

from typing import Any

from hypercorn.config import Config

from web.edge.access_log import AccessLog


def test_what_a_client_calls_itself_is_escaped_once() -> None:
    headers = [(b"user-agent", b'a"b\x1b[2J'), (b"referer", b"c\\d")]
    request: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "headers": headers,
    }
    atoms = AccessLog(Config()).atoms(request, {"status": 200, "headers": []}, 0.1)
    assert (atoms["a"], atoms["f"]) == (atoms["{User-Agent}i"], atoms["{Referer}i"])
    assert "\x1b" not in atoms["a"]
    assert atoms["a"].count("u{") == 2, "a quote and an escape"
