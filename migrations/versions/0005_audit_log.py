"""Who changed what: an append-only log, its rows chained by their hashes. Adds a table and the one way to write it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
phase = "expand"

TABLE = """
CREATE TABLE audit_log (
    id bigint NOT NULL,
    entry text NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
)
"""
# Ids have no gaps: they are drawn under the lock that is held until the transaction ends. The caller's search path must
# not decide which audit_log this is, hence the ALTER.
APPEND = """
CREATE FUNCTION audit_append(fields text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    last_id bigint;
    last_hash bytea;
    new_entry text;
BEGIN
    IF json_typeof(fields::json) <> 'object' OR fields NOT LIKE '{"%' THEN
        RAISE EXCEPTION 'an audit entry is a JSON object with fields, without white space';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('gasinsight audit', 0));
    SELECT id, hash INTO last_id, last_hash FROM audit_log ORDER BY id DESC LIMIT 1;
    last_id := coalesce(last_id, 0);
    last_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
    new_entry := format('{"id":%s,"at":"%s",', last_id + 1,
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || substr(fields, 2);
    INSERT INTO audit_log (id, entry, hash)
    VALUES (last_id + 1, new_entry, sha256(last_hash || convert_to(new_entry, 'UTF8')));
    RETURN last_id + 1;
END $$
"""
PIN_PATH = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION audit_append(text) SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""
REFUSE = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$
"""
TRIGGER = """
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(APPEND)
    op.execute(PIN_PATH)
    op.execute("REVOKE EXECUTE ON FUNCTION audit_append(text) FROM PUBLIC")
    op.execute(REFUSE)
    op.execute(TRIGGER)
    op.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_append_only")


def downgrade() -> None:
    op.execute("DROP TABLE audit_log")
    op.execute("DROP FUNCTION audit_append(text)")
    op.execute("DROP FUNCTION audit_refuse()")
