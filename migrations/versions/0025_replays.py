"""Replays that people asked for, each with a part for each facility; older processes ignore all of it."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
phase = "expand"

REPLAYS = """
CREATE TABLE replays (
    id text NOT NULL,
    asked_by text NOT NULL,
    asked_by_name text NOT NULL,
    facility_ids text[] NOT NULL,
    wanted jsonb NOT NULL,
    asked_at timestamp with time zone NOT NULL DEFAULT now(),
    expires_at timestamp with time zone NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    progress double precision NOT NULL DEFAULT 0,
    readings bigint NOT NULL DEFAULT 0,
    ended_at timestamp with time zone,
    CONSTRAINT replays_pkey PRIMARY KEY (id),
    CONSTRAINT replays_state_check CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled'))
)
"""
PARTS = """
CREATE TABLE replay_parts (
    replay_id text NOT NULL,
    place integer NOT NULL,
    facility_id text NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    attempts integer NOT NULL DEFAULT 0,
    progress double precision NOT NULL DEFAULT 0,
    readings bigint NOT NULL DEFAULT 0,
    problem text NOT NULL DEFAULT '',
    result jsonb,
    CONSTRAINT replay_parts_pkey PRIMARY KEY (replay_id, place),
    CONSTRAINT replay_parts_replay_id_fkey FOREIGN KEY (replay_id) REFERENCES replays (id) ON DELETE CASCADE,
    CONSTRAINT replay_parts_facility_id_fkey FOREIGN KEY (facility_id) REFERENCES facilities (id) ON DELETE CASCADE,
    CONSTRAINT replay_parts_state_check CHECK (state IN ('queued', 'running', 'done', 'failed'))
)
"""
INDEXES = (
    "CREATE INDEX replays_asked_by_idx ON replays (asked_by, asked_at)",
    "CREATE INDEX replays_under_way_idx ON replays (asked_at) WHERE state IN ('queued', 'running')",
    "CREATE INDEX replay_parts_facility_id_idx ON replay_parts (facility_id)",
)
# How many there are of everybody is nothing that a caller sees, and it decides whether one more may be.
COUNT = """
CREATE FUNCTION replays_under_way() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
RETURN (SELECT count(*) FROM replays WHERE state IN ('queued', 'running'))
"""
PIN_PATH = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION replays_under_way() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""
GRANTS = (
    "SELECT, INSERT, DELETE, UPDATE (state, ended_at) ON replays",
    "SELECT, INSERT ON replay_parts",
    "EXECUTE ON FUNCTION replays_under_way()",
)
# Conditions as in the step that built the wall (0007). What came of a facility is seen by who may view that still.
ADMIN = "(SELECT caller_is_admin())"
OWN = "asked_by = (SELECT caller_principal())"
VIEW = "facility_id IN (SELECT caller_facilities(false))"
OF_OWN = "replay_id IN (SELECT id FROM replays)"  # of what the caller sees: the policy of that table counts here too


def upgrade() -> None:
    for statement in (REPLAYS, PARTS, *INDEXES, COUNT, PIN_PATH):
        op.execute(statement)
    op.execute("REVOKE EXECUTE ON FUNCTION replays_under_way() FROM PUBLIC")
    for grant in GRANTS:
        op.execute(f"GRANT {grant} TO gasinsight_web")
    op.execute(f"CREATE POLICY web_all ON replays FOR ALL TO gasinsight_web USING ({ADMIN} OR {OWN})")
    op.execute(
        f"CREATE POLICY web_all ON replay_parts FOR ALL TO gasinsight_web USING ({ADMIN} OR ({VIEW} AND {OF_OWN}))"
    )
    for table in ("replays", "replay_parts"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP FUNCTION replays_under_way()")
    for table in ("replay_parts", "replays"):
        op.execute(f"DROP TABLE {table}")
