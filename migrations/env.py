"""Run by alembic: connects to the database that is meant and migrates it while others work in it.

One process migrates at a time, one transaction a step; indexes that a step builds beside the work of others come before
it and can be built again. A step that does not get its locks at once gives way (nothing else of it is done) and tries
again, so that nobody queues behind it for long. What a step may do is checked by
tests/unit/test_migrations.py.
"""

from __future__ import annotations

import asyncio

import structlog
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.errors import StoreUnavailable
from engine.historian.schema import metadata
from engine.runtime import find_database_url
from engine.settings import load_settings
from migrations.upgrade import URL_ATTRIBUTE, migration_engine

LOCK_WAIT_S_MAX = 1.0
"""Everybody who comes later waits behind us; a commit gives up after five times as long."""
ATTEMPTS_MAX = 60
PAUSE_S = 1.0
TURN_LOOKS_MAX = 600
LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"

_PARTITIONS = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE child.relispartition"
)
# Of the session, and asked for again and again instead of waited for: CREATE INDEX CONCURRENTLY waits for every other
# transaction, also for one that waits for this lock.
_TURN = text("SELECT pg_try_advisory_lock(hashtext('gasinsight migrations'))")

log = structlog.get_logger(__name__)


def _migrate(connection: Connection) -> None:
    partitions = set(connection.scalars(_PARTITIONS))

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        """Children of a partitioned table come and go by the day; everything else is compared."""
        return not (kind == "table" and name in partitions)

    connection.execute(text(f"SET lock_timeout = '{LOCK_WAIT_S_MAX * 1000:.0f}ms'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_ours,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _take_turn(connection: AsyncConnection) -> None:
    for waited in range(TURN_LOOKS_MAX):
        ours = await connection.scalar(_TURN)
        await connection.commit()
        if ours:
            return
        if waited == 1:
            log.warning("waiting_for_another_upgrade", seconds_max=TURN_LOOKS_MAX * PAUSE_S)
        await asyncio.sleep(PAUSE_S)
    raise StoreUnavailable(
        f"somebody else has been upgrading this database for more than {TURN_LOOKS_MAX * PAUSE_S:g} s; try again when"
        " that has ended"
    )


async def _connect_and_migrate(database_url: str) -> None:
    engine = migration_engine(database_url)
    try:
        async with engine.connect() as connection:
            await _take_turn(connection)
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    return await connection.run_sync(_migrate)
                except DBAPIError as error:
                    if not _gave_way(error):
                        raise
                    log.warning("migration_gave_way", attempt=attempt, error=str(error.orig))
                await connection.rollback()
                await asyncio.sleep(PAUSE_S)
    finally:
        await engine.dispose()
    raise StoreUnavailable(
        f"the schema could not be changed in {ATTEMPTS_MAX} attempts: a long transaction holds a lock on the table;"
        " end it (the oldest xact_start in pg_stat_activity) and run this again"
    )


def _gave_way(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED}


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(
        _connect_and_migrate(context.config.attributes.get(URL_ATTRIBUTE) or find_database_url(load_settings()))
    )
