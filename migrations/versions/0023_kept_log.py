"""The commit log stays after its checkpoints, so that past periods can be replayed.

Adds columns and a table that older processes ignore. An older engine still cuts its log off at each checkpoint; what it
cut off cannot be replayed.
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
phase = "expand"

COLUMNS = ("first_no bigint", "not_stored bytea")
KEPT = """
CREATE TABLE kept_checkpoints (
    facility_id text NOT NULL,
    commit_no bigint NOT NULL,
    core_version integer NOT NULL,
    state bytea NOT NULL,
    is_break boolean NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT kept_checkpoints_pkey PRIMARY KEY (facility_id, commit_no),
    CONSTRAINT kept_checkpoints_facility_id_fkey FOREIGN KEY (facility_id)
        REFERENCES facilities (id) ON DELETE CASCADE
)
"""
KEPT_INDEX = "CREATE INDEX kept_checkpoints_recorded_at_idx ON kept_checkpoints (facility_id, recorded_at)"


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE facility_commits ADD COLUMN {column}")
    op.execute(KEPT)
    op.execute(KEPT_INDEX)
    op.execute("ALTER TABLE kept_checkpoints ALTER COLUMN state SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute("DROP TABLE kept_checkpoints")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE facility_commits DROP COLUMN {column.split()[0]}")
