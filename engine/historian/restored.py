"""A database restored from a backup: whether it can take one, and what must hold before anybody works on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.errors import SettingsError
from engine.historian.connecting import connect
from engine.historian.connection import translated_errors
from engine.historian.queries import SQL

NUMBERS_SKIPPED = 1_000_000
"""By how much epochs and journal ids move on: more than can have been drawn since any backup."""


async def server_major(database_url: str) -> int:
    """The version of the server."""
    async with _connection(database_url, "asking PostgreSQL for its version") as connection:
        return int(connection.get_server_version().major)


async def refuse_unless_empty(database_url: str) -> None:
    """Raises SettingsError when there is anything in the database."""
    async with _connection(database_url, "looking into the database") as connection:
        tables = await connection.fetchval(SQL["tables_present"])
    if tables:
        raise SettingsError(
            f"the database is not empty (it has {tables} tables): a restore replaces nothing. Make a new one"
            " (CREATE DATABASE …) and name it in DATABASE_URL"
        )


async def settle(database_url: str) -> dict[str, Any]:
    """Make the past a beginning: nothing that knew what came after the backup can write, resume or sign in by it.

    Answers what the database holds.
    """
    async with _connection(database_url, "settling the restored database") as connection, connection.transaction():
        await connection.execute(SQL["restored_fence"], NUMBERS_SKIPPED)
        await connection.fetchval(SQL["restored_journal"], NUMBERS_SKIPPED)
        now = await connection.fetchval("SELECT now()")
        await connection.execute(SQL["restored_sessions"], now)
        await connection.execute(SQL["restored_refresh"], now)
        return dict(await connection.fetchrow(SQL["backup_counts"]))


@asynccontextmanager
async def _connection(database_url: str, doing: str) -> AsyncIterator[Any]:
    async with translated_errors(doing):
        connection = await connect(database_url)
        try:
            yield connection
        finally:
            await connection.close()
