"""Failed sign-ins, counted; adds a table that older processes do not look at."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE sign_in_counts (
            subject bytea NOT NULL,
            failures integer NOT NULL,
            failed_at timestamptz,
            succeeded_at timestamptz,
            forget_at timestamptz NOT NULL,
            CONSTRAINT sign_in_counts_pkey PRIMARY KEY (subject)
        )
        """
    )
    op.execute("CREATE INDEX sign_in_counts_forget_at_idx ON sign_in_counts (forget_at)")


def downgrade() -> None:
    op.execute("DROP TABLE sign_in_counts")
