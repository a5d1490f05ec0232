"""One source of rights: a view that names callers by principal; adds the index that finds a principal's grants."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
phase = "expand"

# A principal is `user:<id>`, later also other kinds of callers; each kind adds its own grants to the view.
VIEW = """
CREATE VIEW facility_rights (principal, facility_id, permission_type) AS
SELECT 'user:' || user_id::text, facility_id, permission_type FROM permissions
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS permissions_principal_idx")
        op.execute("CREATE INDEX CONCURRENTLY permissions_principal_idx ON permissions (('user:' || user_id::text))")
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW facility_rights")
    op.execute("DROP INDEX permissions_principal_idx")
