"""Who is who on the embedded server: the application owns its database and may do nothing else there.

The superuser has no password and may not log in. Only `postgres --single` is it, on a cluster without a server, and
only here: at the first start, and at that of a folder in which an older program let the application be superuser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.embedded.account import Account, run
from engine.errors import StoreUnavailable

ROLE: Final = "gasinsight"
DATABASE: Final = "gasinsight"
SUPERUSER: Final = "gasinsight_upkeep"
RIGHTS = "LOGIN"
RECOVERY_S_MAX: Final = 600.0  # a cluster that was not shut down recovers first

# One statement, and so one transaction; it may run again. The first user of a cluster is always superuser, so it is
# renamed, by hand: SQL renames nobody who is at work.
_SCRIPT = """
DO $$
DECLARE
    each record;
BEGIN
    IF (SELECT rolname = '{role}' FROM pg_authid WHERE oid = 10) THEN
        UPDATE pg_authid SET rolname = '{superuser}' WHERE oid = 10;
        CREATE ROLE {role} {rights};
        UPDATE pg_authid SET rolpassword = (SELECT rolpassword FROM pg_authid WHERE oid = 10) WHERE rolname = '{role}';
        UPDATE pg_authid SET rolpassword = NULL, rolcanlogin = false WHERE oid = 10;
    END IF;
    IF to_regrole('gasinsight_web') IS NULL THEN
        CREATE ROLE gasinsight_web NOLOGIN;
    END IF;
    GRANT gasinsight_web TO {role};
    ALTER DATABASE {database} OWNER TO {role};
    FOR each IN SELECT nspname FROM pg_namespace
                 WHERE nspowner = 10 AND nspname !~ '^(pg_|information_schema$)' LOOP
        EXECUTE format('ALTER SCHEMA %I OWNER TO {role}', each.nspname);
    END LOOP;
    FOR each IN SELECT oid::regclass AS name FROM pg_class
                 WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT {of_the_system} LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {role}', each.name);
    END LOOP;
    FOR each IN SELECT oid::regclass AS name FROM pg_class
                 WHERE relowner = 10 AND relkind = 'S' AND NOT {of_the_system} LOOP
        EXECUTE format('ALTER SEQUENCE %s OWNER TO {role}', each.name);
    END LOOP;
    FOR each IN SELECT oid::regprocedure AS name FROM pg_proc
                 WHERE proowner = 10 AND NOT {of_the_system_proc} LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO {role}', each.name);
    END LOOP;
    FOR each IN SELECT oid::regtype AS name FROM pg_type
                 WHERE typowner = 10 AND typtype IN ('e', 'd', 'r') AND NOT {of_the_system_type} LOOP
        EXECUTE format('ALTER TYPE %s OWNER TO {role}', each.name);
    END LOOP;
END $$;

"""
_NAMESPACES = "(SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|information_schema$)')"


def settle_roles(account: Account, postgres: Path, data: Path) -> None:
    """Make it so in a cluster whose server does not run."""
    script = _SCRIPT.format(
        role=ROLE,
        database=DATABASE,
        superuser=SUPERUSER,
        rights=RIGHTS,
        of_the_system=f"relnamespace IN {_NAMESPACES}",
        of_the_system_proc=f"pronamespace IN {_NAMESPACES}",
        of_the_system_type=f"typnamespace IN {_NAMESPACES}",
    )
    run_alone(account, postgres, data, DATABASE, script)


def run_alone(account: Account, postgres: Path, data: Path, database: str, script: str) -> None:
    """Statements as the superuser, each followed by an empty line; StoreUnavailable with what one complains of."""
    command = [str(postgres), "--single", "-j", "-D", str(data), database]
    printed = run(account, command, data.parent, stdin=script.encode(), timeout_s=RECOVERY_S_MAX)
    if complaints := [line for line in printed.splitlines() if "ERROR:" in line or "FATAL:" in line]:
        raise StoreUnavailable(f"{postgres} --single: {'; '.join(complaints)[-2000:]}")
