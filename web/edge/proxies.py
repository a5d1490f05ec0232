"""Where a request really came from: the peer, or what a trusted proxy in front of us says.

Anybody can send `X-Forwarded-For`; it counts only when the peer itself is a proxy that the operator named
(`TRUSTED_PROXIES`), and then only as far back as the chain of such proxies reaches.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from engine.settings import Network

UNKNOWN = "unknown"  # a peer without an address: a Unix socket
_SECURE = {"http": "https", "ws": "wss"}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(scope: Any) -> str:
    """IP address of the caller, for throttling, limits and the audit; the edge has looked behind proxies already."""
    client = scope.get("client")
    return str(client[0]) if client else UNKNOWN


class TrustedProxies:
    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def trusts(self, address: str) -> bool:
        """Whether what comes from this address may say for whom."""
        peer = _address(address)
        return peer is not None and self._trusts(peer)

    def apply(self, scope: dict[str, Any]) -> None:
        """Put the real client and scheme into an ASGI scope, so that everything behind reads only one place."""
        peer = _address(client_address(scope))
        if peer is None:
            return
        port = scope["client"][1]
        if self._trusts(peer):
            origin = self._origin(peer, _values(scope, b"x-forwarded-for"))
            if origin != peer:
                peer, port = origin, 0  # the port of somebody behind a proxy is not known
            if _values(scope, b"x-forwarded-proto")[-1:] == ["https"]:
                scope["scheme"] = _SECURE.get(scope["scheme"], scope["scheme"])
        scope["client"] = (str(peer), port)

    def _origin(self, peer: _Address, hops: list[str]) -> _Address:
        """The nearest hop that is no proxy of ours: whatever stands further left was written by strangers."""
        for text in reversed(hops):
            hop = _address(text)
            if hop is None:
                return peer
            peer = hop
            if not self._trusts(peer):
                return peer
        return peer

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _values(scope: dict[str, Any], name: bytes) -> list[str]:
    """The list that a header and its repetitions make, in order."""
    texts = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return [part.strip().lower() for text in texts for part in text.split(",")] if texts else []


def _address(text: str) -> _Address | None:
    """`1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`; an IPv4 address in IPv6 clothes is an IPv4 address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
