"""Connections as the historian wants them, and what an error on one means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import asyncpg

from engine.errors import CommitRejected, StoreUnavailable
from engine.historian.connecting import connect
from engine.historian.queries import SQL
from engine.settings import Settings

APPLICATION_NAME = "gasinsight historian"
IDLE_IN_TRANSACTION_S_MAX = 5.0
LOCK_WAIT_S_MAX = 5.0
_EPOCH_2000_US = 946_684_800_000_000

# SQLSTATE classes that speak about the content of an outcome: data, integrity, program limits. Everything else (disk
# full, shutting down, lock timeout, missing table, missing right) is a failure of ours and must not cost good data.
_CONTENT_CLASSES = ("22", "23", "54")
_LOG_KEY = "facility_commits_pkey"
# Raised by asyncpg while it encodes arguments, before anything is sent.
_CANNOT_CONNECT = (OSError, asyncpg.exceptions.ClientConfigurationError)
"""A certificate that is not good, or not there, is a ValueError too: it must not be taken for content."""
_UNENCODABLE = (ValueError, TypeError, OverflowError)


class Failure(Enum):
    """What an error means for the transaction it ended."""

    UNAVAILABLE = "nothing was written, try again"
    MOVED = "a day's partition was made meanwhile, the same again finds it"
    CONTENT = "PostgreSQL refuses the content and would again"
    UNKNOWN = "the answer to COMMIT was lost"


def failure_of(error: Exception, committing: bool) -> Failure:
    """Judge an error of a transaction; `committing` once COMMIT was sent."""
    if isinstance(error, asyncpg.PostgresError):
        return _answer_of_server(error, committing)
    if committing:
        return Failure.UNKNOWN
    if isinstance(error, _CANNOT_CONNECT):
        return Failure.UNAVAILABLE
    return Failure.CONTENT if isinstance(error, _UNENCODABLE) else Failure.UNAVAILABLE


def _answer_of_server(error: asyncpg.PostgresError, committing: bool) -> Failure:
    constraint = getattr(error, "constraint_name", None)
    if constraint == _LOG_KEY:
        return Failure.UNKNOWN  # somebody commits for the same facility at this moment; its log says who
    if isinstance(error, asyncpg.CheckViolationError) and not constraint:
        return Failure.MOVED  # only a partition's bounds have no name: the row was routed before they changed
    state = str(getattr(error, "sqlstate", "") or "")
    if state.startswith(_CONTENT_CLASSES):
        return Failure.CONTENT
    # An answer of the server other than "I am going down" means that the transaction was rolled back.
    rolled_back = state[:2] not in {"", "08", "57"}
    return Failure.UNKNOWN if committing and not rolled_back else Failure.UNAVAILABLE


@asynccontextmanager
async def translated_errors(doing: str) -> AsyncIterator[None]:
    """Turn what PostgreSQL or the network raises into StoreUnavailable, or CommitRejected for content."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # of a connection that dies in the middle of things
        OSError,
        TimeoutError,
    ) as error:
        problem = f"{doing}: {type(error).__name__}: {str(error) or 'no answer'}"
        if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)):
            problem += "; the schema is not that of this program: `gasinsight db upgrade` makes it"
        if failure_of(error, committing=False) is Failure.CONTENT:
            raise CommitRejected(problem) from error
        raise StoreUnavailable(problem) from error


def connection_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for `connect` and `open_pool`: every wait has an end, on both sides."""
    return {
        "command_timeout": settings.commit_timeout_s,
        "server_settings": {
            "application_name": APPLICATION_NAME,
            "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_S_MAX),
            "lock_timeout": _milliseconds(LOCK_WAIT_S_MAX),
            "statement_timeout": _milliseconds(settings.commit_timeout_s),
            "timezone": "UTC",
            "jit": "off",
        },
    }


async def prepare_connection(connection: Any) -> None:
    """Times as int microseconds since 1970, without a datetime (any year fits)."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda us: (us - _EPOCH_2000_US,),
        decoder=lambda wire: wire[0] + _EPOCH_2000_US,
        format="tuple",
    )


async def open_writer(database_url: str, settings: Settings) -> Any:
    """A connection for group commits, with its staging table."""
    connection = await connect(database_url, **connection_options(settings))
    try:
        await prepare_connection(connection)
        await connection.execute(SQL["staging_create"])
    except BaseException:
        connection.terminate()
        raise
    return connection


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
