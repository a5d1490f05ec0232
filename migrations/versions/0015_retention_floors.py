"""From when on readings are kept, by type of sensor. Older processes do not look: they keep what they are given."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
phase = "expand"

FLOORS = """
CREATE TABLE retention_floors (
    sensor_type text NOT NULL,
    kept_from timestamp with time zone NOT NULL,
    settled_to timestamp with time zone NOT NULL,
    cleared_to timestamp with time zone NOT NULL,
    CONSTRAINT retention_floors_pkey PRIMARY KEY (sensor_type)
)
"""


def upgrade() -> None:
    op.execute(FLOORS)


def downgrade() -> None:
    op.execute("DROP TABLE retention_floors")
