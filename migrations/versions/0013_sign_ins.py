"""Sign-ins that go on in several tabs; adds columns that older processes leave empty."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN issued_to bytea, ADD COLUMN reused_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens DROP COLUMN issued_to, DROP COLUMN reused_at")
