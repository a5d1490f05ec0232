"""One-time tickets for websockets; adds a table that older processes do not look at."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
phase = "expand"

TICKETS = """
CREATE TABLE ws_tickets (
    ticket_hash bytea NOT NULL,
    caller jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT ws_tickets_pkey PRIMARY KEY (ticket_hash)
)
"""


def upgrade() -> None:
    op.execute(TICKETS)
    op.execute("CREATE INDEX ws_tickets_expires_at_idx ON ws_tickets (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE ws_tickets")
