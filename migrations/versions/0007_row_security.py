"""A second wall: PostgreSQL itself shows the web server's callers only the rows that their principal may see.

Adds a role with its grants, policies, and two indexes that the policies use. Whoever owns the tables is not limited:
the engine, exports, web servers of the version before.
"""

# ruff: noqa: S608 - the statements are put together from the words in this file only

from __future__ import annotations

from alembic import op

from engine.historian.web_role import MAKE_WEB_ROLE

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
phase = "expand"

SCHEMA = """
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO gasinsight_web', current_schema());
END $$
"""

PRINCIPAL = """
CREATE FUNCTION caller_principal() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('gasinsight.principal', true), '')
"""
RIGHTS = """
CREATE OR REPLACE VIEW facility_rights (principal, facility_id, permission_type) AS
SELECT principal, facility_id, permission_type
  FROM (SELECT 'user:' || user_id::text AS principal, facility_id, permission_type
          FROM permissions
         UNION ALL
        SELECT 'key:' || g.api_key_id::text, g.facility_id, g.permission_type
          FROM api_key_grants g JOIN api_keys k ON k.id = g.api_key_id
         WHERE k.revoked_at IS NULL AND k.expires_at > now()) AS granted
"""
OWN_RIGHTS = "WHERE current_user <> 'gasinsight_web' OR principal = caller_principal()"

# What policies ask, with the owner's rights and about one principal: the one that the transaction names. Functions that
# keep their plans, because a condition in a policy is planned again in every statement, for every partition; with small
# costs, because a plan that avoids to ask sorts a day of readings instead.
FUNCTIONS = {
    "caller_is_admin()": """
RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM users
         WHERE role = 'Admin' AND id = substring(caller_principal() FROM '^user:([0-9]+)$')::integer);
END $$
""",
    "caller_facilities(to_edit boolean)": """
RETURNS SETOF text LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1 ROWS 10 AS $$
BEGIN
    RETURN QUERY
    SELECT r.facility_id FROM facility_rights r
     WHERE r.principal = caller_principal() AND (r.permission_type = 'Edit' OR NOT to_edit);
END $$
""",
    "caller_sensors()": """
RETURNS SETOF integer LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1 ROWS 10 AS $$
BEGIN
    RETURN QUERY
    SELECT s.sensor_no FROM sensors s
     WHERE s.facility_id IN (SELECT r.facility_id FROM facility_rights r WHERE r.principal = caller_principal());
END $$
""",
}
# The caller's search path must not decide which tables these are.
PIN_PATH = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION {} SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""

GRANTS = (
    "SELECT ON facility_rights, facilities, sensors, locations, sensor_records, reading_rollups, reading_conflicts",
    "SELECT ON alarm_events, alarms, parked, dead_letters, audit_log",
    "UPDATE (name) ON facilities",
    "UPDATE (name, status, status_changed_at, expected_freq, signal_interval_s) ON sensors",
    "SELECT (id, username, email, role, created_at, last_login, sessions_valid_from), INSERT, DELETE ON users",
    "UPDATE (username, email, role, hashed_password, sessions_valid_from) ON users",
    "SELECT, INSERT, UPDATE, DELETE ON permissions",
    "SELECT (id, user_id, impersonated_by, revoked_at), UPDATE (revoked_at) ON refresh_tokens",
    "SELECT (id, public_id, name, created_at, created_by, created_by_name, expires_at, revoked_at, last_used_at),"
    " INSERT, UPDATE (revoked_at) ON api_keys",
    "SELECT, INSERT ON api_key_grants",
    "EXECUTE ON FUNCTION audit_append(text)",
)

# Whatever a condition asks of other tables it asks once a statement, not once a row.
ADMIN = "(SELECT caller_is_admin())"
VIEW = f"{ADMIN} OR {{}} IN (SELECT caller_facilities(false))"
EDIT = f"{ADMIN} OR {{}} IN (SELECT caller_facilities(true))"
READING = f"{ADMIN} OR sensor_no IN (SELECT caller_sensors())"
LOCATION = (  # of what the caller sees: the policies of these two tables count here too
    f"{ADMIN} OR EXISTS (SELECT FROM facilities WHERE location_id = locations.id)"
    " OR EXISTS (SELECT FROM sensors WHERE location_id = locations.id)"
)
OWN = f"{ADMIN} OR '{{}}:' || {{}}::text = caller_principal()"
POLICIES = (
    ("facilities", "SELECT", VIEW.format("id")),
    ("facilities", "UPDATE", EDIT.format("id")),
    ("sensors", "SELECT", VIEW.format("facility_id")),
    ("sensors", "UPDATE", EDIT.format("facility_id")),
    ("locations", "SELECT", LOCATION),
    ("sensor_records", "SELECT", READING),
    ("reading_rollups", "SELECT", READING),
    ("reading_conflicts", "SELECT", READING),
    ("alarm_events", "SELECT", VIEW.format("facility_id")),
    ("alarms", "SELECT", VIEW.format("facility_id")),
    ("parked", "SELECT", ADMIN),
    ("dead_letters", "SELECT", ADMIN),
    ("audit_log", "SELECT", ADMIN),
    ("users", "SELECT", OWN.format("user", "id")),
    ("users", "ALL", ADMIN),
    ("permissions", "SELECT", OWN.format("user", "user_id")),
    ("permissions", "ALL", ADMIN),
    ("api_key_grants", "SELECT", OWN.format("key", "api_key_id")),
    ("api_key_grants", "ALL", ADMIN),
    ("api_keys", "SELECT", OWN.format("key", "id")),
    ("api_keys", "ALL", ADMIN),
    ("refresh_tokens", "ALL", ADMIN),
)
LOCATED = ("facilities", "sensors")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in LOCATED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {table}_location_id_idx")
            op.execute(f"CREATE INDEX CONCURRENTLY {table}_location_id_idx ON {table} (location_id)")
    op.execute(MAKE_WEB_ROLE)
    op.execute(SCHEMA)
    op.execute(PRINCIPAL)
    op.execute(RIGHTS + OWN_RIGHTS)
    for name, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name}{body}")
        op.execute(PIN_PATH.format(name))
        op.execute(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO gasinsight_web")
    for grant in GRANTS:
        op.execute(f"GRANT {grant} TO gasinsight_web")
    for table, command, condition in POLICIES:
        op.execute(
            f"CREATE POLICY web_{command.lower()} ON {table} FOR {command} TO gasinsight_web USING ({condition})"
        )
    for table in dict.fromkeys(table for table, _, _ in POLICIES):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """The role stays: it belongs to the server, and other databases may use it."""
    for table in LOCATED:
        op.execute(f"DROP INDEX {table}_location_id_idx")
    for table, command, _ in POLICIES:
        op.execute(f"DROP POLICY web_{command.lower()} ON {table}")
    for table in dict.fromkeys(table for table, _, _ in POLICIES):
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.execute(RIGHTS)
    op.execute("DROP FUNCTION caller_principal()")
    op.execute("DROP OWNED BY gasinsight_web")
