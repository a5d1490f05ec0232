"""Row-level security asks once whether a caller may see the readings of the sensor that a statement is about.

A transaction names it (`gasinsight.sensor`). The list of all the caller's sensors, which the policies compared each
row with, is made anew for each partition: a year of one sensor made it 366 times. Without a name it is as before.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
phase = "expand"

NAMED_SENSOR = """
CREATE FUNCTION caller_named_sensor() RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    RETURN (
        SELECT s.sensor_no FROM sensors s
         WHERE s.sensor_no = nullif(current_setting('gasinsight.sensor', true), '')::integer
           AND s.facility_id IN (SELECT r.facility_id FROM facility_rights r WHERE r.principal = caller_principal()));
END $$
"""
PIN_PATH = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION caller_named_sensor() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""
ADMIN = "(SELECT caller_is_admin())"
NAMED = "sensor_no = (SELECT caller_named_sensor())"
ANY_OF_ALL = "sensor_no IN (SELECT caller_sensors())"
TABLES = ("sensor_records", "reading_rollups", "reading_conflicts")


def upgrade() -> None:
    op.execute(NAMED_SENSOR)
    op.execute(PIN_PATH)
    op.execute("REVOKE EXECUTE ON FUNCTION caller_named_sensor() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION caller_named_sensor() TO gasinsight_web")
    for table in TABLES:
        op.execute(f"ALTER POLICY web_select ON {table} USING ({ADMIN} OR {NAMED} OR {ANY_OF_ALL})")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER POLICY web_select ON {table} USING ({ADMIN} OR {ANY_OF_ALL})")
    op.execute("DROP FUNCTION caller_named_sensor()")
