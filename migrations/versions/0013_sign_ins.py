"""One normal form of names, sign-ins that go on in several tabs, and ends that are written as they happen.

Adds a table, columns and a trigger that older processes do not look at. Names are brought into their form by the web
server, which knows Unicode alike on every PostgreSQL: what clashes stops no upgrade, `gasinsight doctor` tells it.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
phase = "expand"

NAMES = """
CREATE TABLE sign_in_names (
    user_id integer NOT NULL,
    name text NOT NULL,
    name_hash bytea NOT NULL,
    is_held boolean NOT NULL,
    CONSTRAINT sign_in_names_pkey PRIMARY KEY (user_id, name),
    CONSTRAINT sign_in_names_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)
"""
# What rests on a user ends in the moment in which its ground does, whoever changed it, and stays ended when that comes
# back. Tokens are locked in the order of their ids, as refreshes do.
END = """
CREATE FUNCTION users_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.role <> OLD.role THEN
        NEW.role_changed_at := clock_timestamp();
        WITH ending AS MATERIALIZED (
            SELECT id FROM refresh_tokens WHERE impersonated_by = OLD.id AND revoked_at IS NULL ORDER BY id FOR UPDATE)
        UPDATE refresh_tokens SET revoked_at = now() WHERE id IN (SELECT id FROM ending);
    END IF;
    IF NEW.email <> OLD.email OR NEW.sessions_valid_from <> OLD.sessions_valid_from THEN
        UPDATE sign_in_codes SET used_at = now() WHERE user_id = OLD.id AND used_at IS NULL;
    END IF;
    RETURN NEW;
END $$
"""
PIN_PATH = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION users_end() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""
TRIGGER = """
CREATE TRIGGER users_end BEFORE UPDATE OF role, email, sessions_valid_from ON users
FOR EACH ROW EXECUTE FUNCTION users_end()
"""
# `grant_id` tells a right from one that was granted anew.
RIGHTS = """
CREATE OR REPLACE VIEW facility_rights (principal, facility_id, permission_type, grant_id) AS
SELECT principal, facility_id, permission_type, grant_id
  FROM (SELECT 'user:' || user_id::text AS principal, facility_id, permission_type, id AS grant_id
          FROM permissions
         UNION ALL
        SELECT 'key:' || g.api_key_id::text, g.facility_id, g.permission_type, g.api_key_id
          FROM api_key_grants g JOIN api_keys k ON k.id = g.api_key_id
         WHERE k.revoked_at IS NULL AND k.expires_at > now()) AS granted
 WHERE current_user <> 'gasinsight_web' OR principal = caller_principal()
"""
RIGHTS_BEFORE = """
CREATE VIEW facility_rights (principal, facility_id, permission_type) AS
SELECT principal, facility_id, permission_type
  FROM (SELECT 'user:' || user_id::text AS principal, facility_id, permission_type
          FROM permissions
         UNION ALL
        SELECT 'key:' || g.api_key_id::text, g.facility_id, g.permission_type
          FROM api_key_grants g JOIN api_keys k ON k.id = g.api_key_id
         WHERE k.revoked_at IS NULL AND k.expires_at > now()) AS granted
 WHERE current_user <> 'gasinsight_web' OR principal = caller_principal()
"""


def upgrade() -> None:
    op.execute(NAMES)
    op.execute("CREATE UNIQUE INDEX sign_in_names_held_key ON sign_in_names (name_hash) WHERE is_held")
    op.execute("GRANT SELECT, INSERT, DELETE ON sign_in_names TO gasinsight_web")
    op.execute("CREATE POLICY web_all ON sign_in_names FOR ALL TO gasinsight_web USING ((SELECT caller_is_admin()))")
    op.execute("ALTER TABLE sign_in_names ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN issued_to bytea, ADD COLUMN reused_at timestamptz")
    op.execute("ALTER TABLE users ADD COLUMN role_changed_at timestamptz")
    op.execute(END)
    op.execute(PIN_PATH)
    op.execute(TRIGGER)
    op.execute(RIGHTS)


def downgrade() -> None:
    op.execute("DROP VIEW facility_rights")
    op.execute(RIGHTS_BEFORE)
    op.execute("GRANT SELECT ON facility_rights TO gasinsight_web")
    op.execute("DROP TRIGGER users_end ON users")
    op.execute("DROP FUNCTION users_end()")
    op.execute("ALTER TABLE users DROP COLUMN role_changed_at")
    op.execute("ALTER TABLE refresh_tokens DROP COLUMN issued_to, DROP COLUMN reused_at")
    op.execute("DROP TABLE sign_in_names")
