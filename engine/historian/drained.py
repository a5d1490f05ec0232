"""Requests that everything leaves a node, as `gasinsight drain` writes them; the leading engine carries them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.historian.connecting import CONNECT_S_MAX, connect
from engine.historian.connection import translated_errors
from engine.historian.queries import SQL


async def request_drain(database_url: str, node_id: str, address: str) -> None:
    """Durable when this returns; asking twice is as once."""
    async with _connected(database_url) as connection:
        await connection.execute(SQL["drained_add"], node_id, address)


async def withdraw_drain(database_url: str, node_id: str) -> None:
    """The node may carry actors again."""
    async with _connected(database_url) as connection:
        await connection.execute(SQL["drained_remove"], node_id)


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Any]:
    async with translated_errors("cannot write which nodes are drained"):
        connection = await connect(database_url, command_timeout=CONNECT_S_MAX)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_S_MAX)
