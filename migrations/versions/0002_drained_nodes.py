"""Nodes that everything shall leave; adds a table that older processes do not look at."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE drained_nodes (
            node_id text NOT NULL,
            address text NOT NULL,
            requested_at timestamptz NOT NULL,
            CONSTRAINT drained_nodes_pkey PRIMARY KEY (node_id)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE drained_nodes")
