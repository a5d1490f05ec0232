"""What all channels share: how long a try may take, where it may go, and how it fails."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import httpx

from engine.errors import GasInSightError
from engine.historian.outbox import Claimed
from engine.settings import Network

SEND_S_MAX: Final = 20.0
"""Less than the lease of a message, so that nobody else sends it meanwhile."""


class NotSent(GasInSightError):
    """Whoever was asked did not take it, or not yet. Shown to Admins: it holds no secret."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way. `secrets` are the channel's; `link` leads to the page that acknowledges it."""

    claimed: Claimed
    secrets: dict[str, Any] = field(repr=False)
    link: str | None = field(repr=False)


@cache
def trust() -> ssl.SSLContext:
    """Public authorities, or those of SSL_CERT_FILE."""
    return httpx.create_ssl_context()


async def permitted_address(host: str, port: int, networks: Sequence[Network]) -> str:
    """The address that `host` stands for, to connect to that and no other. NotSent for one that is not permitted:
    a name that leads into a private network asks for what nobody outside may ask.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(f"{host} is not known: {error}") from error
    for *_, (address, *_) in found:
        if not is_permitted(str(address), networks):
            raise NotSent(
                f"{host} is {address}, which is no public address; NOTIFICATION_NETWORKS says which others may be used"
            )
    return str(found[0][4][0])


def is_permitted(address: str, networks: Sequence[Network]) -> bool:
    """Whether notifications may go there."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return (parsed.is_global and not parsed.is_multicast) or any(parsed in network for network in networks)
