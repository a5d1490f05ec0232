"""Dead letters are told apart, so that a redelivery adds none; older processes leave the new column empty."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    # Each statement can be run again: a unique index that is built beside the work of others needs its column first.
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS digest bytea")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS dead_letters_digest_idx")
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY dead_letters_digest_idx ON dead_letters (digest)")


def downgrade() -> None:
    op.execute("ALTER TABLE dead_letters DROP COLUMN digest")
