"""One POST to an address that an Admin gave: nowhere else, over TLS, without following anybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import httpx

from engine.notify.sending import SEND_S_MAX, NotSent, permitted_address, trust
from engine.settings import Network


async def post(url: str, body: bytes, headers: Mapping[str, str], networks: Sequence[Network]) -> None:
    """NotSent unless the answer is a 2xx. The address is looked up once, and that one is asked."""
    parsed = httpx.URL(url)
    if parsed.scheme != "https" or not parsed.host:
        raise NotSent("the address of the channel is no https address")
    address = await permitted_address(parsed.host, parsed.port or 443, networks)
    there = parsed.copy_with(host=address)
    sent = {**headers, "Host": parsed.netloc.decode("ascii"), "Content-Type": "application/json"}
    name = None if _is_address(parsed.host) else {"sni_hostname": parsed.host}
    try:
        async with (
            httpx.AsyncClient(
                timeout=SEND_S_MAX / 2, trust_env=False, verify=trust(), follow_redirects=False
            ) as client,
            client.stream("POST", there, content=body, headers=sent, extensions=name) as answer,
        ):
            status = answer.status_code
    except httpx.HTTPError as error:
        raise NotSent(f"{parsed.host} does not answer: {type(error).__name__}: {str(error)[:200]}") from error
    if not 200 <= status < 300:
        raise NotSent(f"{parsed.host} answered {status}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
