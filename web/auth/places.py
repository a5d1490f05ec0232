"""Where somebody asks from, compared alike for throttling, for queues and for sign-ins that go on in several tabs."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Browser:
    """Whoever sends requests: the client's address, behind trusted proxies too, and its User-Agent."""

    address: str
    user_agent: str

    @property
    def digest(self) -> bytes:
        """By which it is known again; two browsers of one kind in one place are the same."""
        return hashlib.sha256(f"{place_of(self.address)}\x00{self.user_agent}".encode()).digest()


def place_of(address: str) -> str:
    """Who has one address of IPv6 has all of its network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
