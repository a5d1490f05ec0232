"""Run by alembic: connects to the database that is meant and migrates it in one transaction."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from engine.historian.schema import metadata
from engine.historian.upgrade import URL_ATTRIBUTE, find_database_url, migration_engine
from engine.settings import load_settings

_PARTITIONS = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE child.relispartition"
)
# Two processes that migrate at the same time do so one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('gasinsight migrations'))")


def _migrate(connection: Connection) -> None:
    partitions = set(connection.scalars(_PARTITIONS))

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        """Children of a partitioned table come and go by the day; everything else is compared."""
        return not (kind == "table" and name in partitions)

    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_ours,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        connection.execute(_LOCK)
        context.run_migrations()


async def _connect_and_migrate(database_url: str) -> None:
    engine = migration_engine(database_url)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(
        _connect_and_migrate(context.config.attributes.get(URL_ATTRIBUTE) or find_database_url(load_settings()))
    )
