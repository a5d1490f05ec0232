"""What began together is found by its event time; older processes ignore the index."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS alarm_events_begun_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY alarm_events_begun_idx ON alarm_events (facility_id, event_time)"
            " WHERE transition IN ('activated', 'activated_silently')"
        )


def downgrade() -> None:
    op.execute("DROP INDEX alarm_events_begun_idx")
