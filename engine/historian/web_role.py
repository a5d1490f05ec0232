"""The role that row-level security limits. It belongs to the server, not to a database: no backup holds it."""

from __future__ import annotations

import asyncpg

from engine.errors import SettingsError
from engine.historian.connecting import connect
from engine.historian.connection import translated_errors

WEB_ROLE = "gasinsight_web"

# Safe to run again, and at the same moment for several databases of a server.
MAKE_WEB_ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gasinsight_web') THEN
        BEGIN
            CREATE ROLE gasinsight_web NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- somebody else was first
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'gasinsight_web', 'MEMBER') THEN
        EXECUTE format('GRANT gasinsight_web TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE insufficient_privilege USING MESSAGE = format(
        '%1$I may not make the role gasinsight_web or become its member; let an administrator of the server run once: '
        'CREATE ROLE gasinsight_web NOLOGIN; GRANT gasinsight_web TO %1$I; then try again', current_user);
END $$
"""


LOOK = """
SELECT to_regrole('gasinsight_web') IS NOT NULL
           AND pg_has_role(current_user, to_regrole('gasinsight_web'), 'MEMBER') AS may_become_it,
       coalesce((SELECT pg_has_role(current_user, relowner, 'MEMBER')
                   FROM pg_class WHERE oid = to_regclass('sensors')), true) AS owns_the_tables,
       format('CREATE ROLE gasinsight_web NOLOGIN; GRANT gasinsight_web TO %I', current_user) AS advice
"""


async def problem_with_roles(database_url: str) -> tuple[str, str] | None:
    """What is wrong with the user of the URL, and what to do; None when engine and web server can work as it."""
    async with translated_errors("asking for the roles of the database"):
        connection = await connect(database_url)
        try:
            found = await connection.fetchrow(LOOK)
        finally:
            await connection.close()
    if not found["may_become_it"]:
        return f"the user of DATABASE_URL is no member of {WEB_ROLE}", f"an administrator runs: {found['advice']}"
    if not found["owns_the_tables"]:
        return "the user of DATABASE_URL does not own the tables", "use the user that ran the migrations"
    return None


async def make_web_role(database_url: str) -> None:
    """SettingsError, with what an administrator has to do, when the user of the URL may not."""
    connection = await connect(database_url)
    try:
        await connection.execute(MAKE_WEB_ROLE)
    except asyncpg.InsufficientPrivilegeError as error:
        raise SettingsError(str(error)) from error
    finally:
        await connection.close()
