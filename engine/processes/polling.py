"""Waiting for what comes by itself: an address that answers, a condition that holds."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import cache

import httpx

POLL_S = 0.2


@cache
def trust() -> ssl.SSLContext:
    """Whom every client believes that is given it: reading the certificates of the world takes longer than asking."""
    return httpx.create_ssl_context()


async def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    async with httpx.AsyncClient(timeout=5, trust_env=False, verify=trust()) as client:
        try:
            return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float, what: str) -> None:
    """Raises TimeoutError that names `what`."""
    deadline_s = time.monotonic() + limit_s
    while not await condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} is not ready after {limit_s:.0f} s")
        await asyncio.sleep(POLL_S)
