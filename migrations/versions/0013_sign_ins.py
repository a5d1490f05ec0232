"""One normal form of names, and sign-ins that go on in several tabs.

Adds a table and columns that older processes do not look at. Names are brought into their form by the web server, which
knows Unicode alike on every PostgreSQL: what clashes stops no upgrade, `gasinsight doctor` tells it.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
phase = "expand"

NAMES = """
CREATE TABLE sign_in_names (
    user_id integer NOT NULL,
    name text NOT NULL,
    name_hash bytea NOT NULL,
    is_held boolean NOT NULL,
    CONSTRAINT sign_in_names_pkey PRIMARY KEY (user_id, name),
    CONSTRAINT sign_in_names_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    op.execute(NAMES)
    op.execute("CREATE UNIQUE INDEX sign_in_names_held_key ON sign_in_names (name_hash) WHERE is_held")
    op.execute("GRANT SELECT, INSERT, DELETE ON sign_in_names TO gasinsight_web")
    op.execute("CREATE POLICY web_all ON sign_in_names FOR ALL TO gasinsight_web USING ((SELECT caller_is_admin()))")
    op.execute("ALTER TABLE sign_in_names ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN issued_to bytea, ADD COLUMN reused_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens DROP COLUMN issued_to, DROP COLUMN reused_at")
    op.execute("DROP TABLE sign_in_names")
