"""Whose address a request has: the peer's, unless a proxy that is trusted says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SettingsError
from engine.settings import Settings, load_settings
from web.edge.proxies import UNKNOWN, TrustedProxies, client_address


def scope_of(peer: str | None, *forwarded: str, scheme: str = "http", proto: str | None = None) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    return {"client": None if peer is None else (peer, 4711), "scheme": scheme, "headers": headers}


def seen(trusted: str, peer: str | None, *forwarded: str) -> str:
    scope = scope_of(peer, *forwarded)
    settings = Settings(_env_file=None, trusted_proxies=trusted)
    TrustedProxies(settings.proxy_networks).apply(scope)
    return client_address(scope)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ("", "203.0.113.9", (), "203.0.113.9"),
        ("", "203.0.113.9", ("198.51.100.1",), "203.0.113.9"),  # nobody is trusted by default
        ("10.0.0.1", "203.0.113.9", ("198.51.100.1",), "203.0.113.9"),  # spoofed by a stranger
        ("10.0.0.1", "10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", "10.0.0.2", ("198.51.100.1",), "10.0.0.2"),  # a neighbour of the proxy is not the proxy
        ("10.0.0.0/8", "10.9.9.9", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.0/8", "11.0.0.1", ("198.51.100.1",), "11.0.0.1"),
        ("10.0.0.1", "10.0.0.1", ("127.0.0.1, 198.51.100.1",), "198.51.100.1"),  # the left was sent by the client
        ("10.0.0.1", "10.0.0.1", ("127.0.0.1", "198.51.100.1"), "198.51.100.1"),  # also as a header of its own
        ("10.0.0.0/8", "10.0.0.1", ("6.6.6.6, 198.51.100.1, 10.0.0.2",), "198.51.100.1"),  # two proxies
        ("10.0.0.0/8", "10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),  # all ours: the furthest
        ("10.0.0.1", "10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", ("198.51.100.1, unknown",), "10.0.0.1"),  # what a proxy did not know stays unknown
        ("10.0.0.1", "10.0.0.1", ("198.51.100.1:55555",), "198.51.100.1"),
        ("10.0.0.1", "10.0.0.1", ("[2001:db8::7]:443",), "2001:db8::7"),
        ("10.0.0.1", "10.0.0.1", ("2001:db8::7",), "2001:db8::7"),
        ("10.0.0.1", "::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("fd00::/8 , 10.0.0.1", "fd00::5", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", "10.0.0.1", ("198.51.100.1\t", "\x00<script>"), "10.0.0.1"),
        ("10.0.0.1", None, ("198.51.100.1",), UNKNOWN),
    ],
)
def test_the_nearest_hop_that_is_no_proxy_of_ours(
    trusted: str, peer: str | None, forwarded: tuple[str, ...], expected: str
) -> None:
    assert seen(trusted, peer, *forwarded) == expected


@pytest.mark.parametrize(
    ("peer", "proto", "scheme", "expected"),
    [
        ("10.0.0.1", "https", "http", "https"),
        ("10.0.0.1", "HTTPS", "ws", "wss"),
        ("10.0.0.1", "http", "http", "http"),
        ("10.0.0.1", "https, http", "http", "http"),  # the proxy's own word is the last
        ("10.0.0.1", "gopher", "http", "http"),
        ("10.0.0.1", None, "https", "https"),
        ("10.0.0.1", "http", "https", "https"),  # our own TLS is no hearsay
        ("10.0.0.2", "https", "http", "http"),
    ],
)
def test_the_scheme_is_the_trusted_proxys(peer: str, proto: str | None, scheme: str, expected: str) -> None:
    settings = Settings(_env_file=None, trusted_proxies="10.0.0.1")
    scope = scope_of(peer, scheme=scheme, proto=proto)
    TrustedProxies(settings.proxy_networks).apply(scope)
    assert scope["scheme"] == expected


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.1;10.0.0.2", "*", "10.0.0.0/33"])
def test_what_is_no_address_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"TRUSTED_PROXIES.*addresses or networks"):
        load_settings(_env_file=None, trusted_proxies=text)
