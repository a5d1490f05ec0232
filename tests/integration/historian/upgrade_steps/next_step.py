"""Not a step of ours: what the next ones may look like, run by test_upgrade_schema.py while commits go on."""

from __future__ import annotations

from alembic import op

from migrations.upgrade import newest_revision

revision = "next"
down_revision = newest_revision()
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.execute("ALTER TABLE sensors ADD COLUMN unit text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE sensor_records ADD COLUMN quality smallint")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS facility_commits_recorded_at_idx")
        op.execute("CREATE INDEX CONCURRENTLY facility_commits_recorded_at_idx ON facility_commits (recorded_at)")
