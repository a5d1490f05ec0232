"""The tables, once: the source that migrations are compared with (`alembic check`). Read by nobody at run time.

Times are timestamptz. `tracked_at` is event time, `recorded_at` ours. Table and column names of the wire contract are
those of the older server.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

NAMES = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
metadata = MetaData(naming_convention=NAMES)
Time = TIMESTAMP(timezone=True)


def _identity(kind: type[sa.types.TypeEngine[int]] = Integer) -> Column[int]:
    return Column("id", kind, Identity(), primary_key=True)


# --- people -----------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _identity(),
    Column("username", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    Column("hashed_password", Text, nullable=False),
    Column("role", Text, CheckConstraint("role IN ('Admin', 'User')", name="role"), nullable=False),
    Column("created_at", Time, nullable=False, server_default=sa.func.now()),
    Column("last_login", Time),
    # Tokens issued before this moment are void (logout everywhere, changed password).
    Column("sessions_valid_from", Time, nullable=False, server_default=sa.func.now()),
    # Written by a trigger, which also ends what rests on role, address and sessions.
    Column("role_changed_at", Time),
    Index("users_email_key", sa.text("lower(email)"), unique=True),
)

# Names that users sign in with: their user names and addresses as typed, and a hash of one normal form, which one user
# holds. Who had it too when that came about waits.
sign_in_names = Table(
    "sign_in_names",
    metadata,
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("name_hash", LargeBinary, nullable=False),
    Column("is_held", Boolean, nullable=False),
    Index("sign_in_names_held_key", "name_hash", unique=True, postgresql_where=sa.text("is_held")),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    _identity(BigInteger),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("family", Uuid, nullable=False, index=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("issued_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("used_at", Time),
    Column("revoked_at", Time),
    Column("impersonated_by", Integer, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("issued_to", LargeBinary),  # a hash of the browser; none in older rows, which nobody is the same as
    Column("reused_at", Time),  # when the same browser used it late for the first time
)

# Failed and good sign-ins of an account at an address, of an account, of an address; `subject` is a hash of which.
sign_in_counts = Table(
    "sign_in_counts",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", Time),
    Column("succeeded_at", Time),
    Column("forget_at", Time, nullable=False, index=True),
)

# One-time tickets for websockets. `caller`: whom the ticket was given to, as its issuer knew them.
ws_tickets = Table(
    "ws_tickets",
    metadata,
    Column("ticket_hash", LargeBinary, primary_key=True),
    Column("caller", JSONB, nullable=False),
    Column("expires_at", Time, nullable=False, index=True),
)

# What single sign-on hands to the front end, to be changed for tokens: each once. `state_hash`: so is what the provider
# answered.
sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    _identity(BigInteger),
    Column("code_hash", LargeBinary, nullable=False, unique=True),
    Column("state_hash", LargeBinary, nullable=False, unique=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("challenge", Text, nullable=False),
    Column("expires_at", Time, nullable=False, index=True),
    Column("used_at", Time),
)

permissions = Table(
    "permissions",
    metadata,
    _identity(),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column(
        "permission_type",
        Text,
        CheckConstraint("permission_type IN ('View', 'Edit')", name="permission_type"),
        nullable=False,
    ),
    Column("granted_at", Time, nullable=False, server_default=sa.func.now()),
    UniqueConstraint("user_id", "facility_id"),
    Index("permissions_principal_idx", sa.text("('user:' || user_id::text)")),  # as in the view facility_rights
)

# A program's way in: its text holds `public_id`, by which it is found, and a secret of which only the hash is kept.
api_keys = Table(
    "api_keys",
    metadata,
    _identity(),
    Column("public_id", Text, nullable=False, unique=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=sa.func.now()),
    Column("created_by", Integer, ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("created_by_name", Text, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("last_used_at", Time),
)

api_key_grants = Table(
    "api_key_grants",
    metadata,
    Column("api_key_id", Integer, ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column(
        "permission_type",
        Text,
        CheckConstraint("permission_type IN ('View', 'Edit')", name="permission_type"),
        nullable=False,
    ),
    Index("api_key_grants_principal_idx", sa.text("('key:' || api_key_id::text)")),  # as in the view facility_rights
)

# Append-only, by a trigger; written by the function audit_append, which chains the hashes. `entry` is the JSON text
# that was hashed, byte for byte.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# --- facilities and sensors -------------------------------------------------------------------------------------------

locations = Table(
    "locations",
    metadata,
    _identity(),
    Column("address", Text),
    Column("longitude", Double, nullable=False),
    Column("latitude", Double, nullable=False),
)

facilities = Table(
    "facilities",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('Active', 'Maintenance', 'Offline')", name="status"),
        nullable=False,
    ),
    Column("type", Text, nullable=False),
    Column("location_id", Integer, ForeignKey("locations.id"), nullable=False, index=True),
    Column("created_at", Time, nullable=False),
    Column("retired_at", Time),
    Column("closed_at", Time),  # its core has let go since: nobody needs to load it
)

sensors = Table(
    "sensors",
    metadata,
    Column("id", Text, primary_key=True),
    # The compact key inside; drawn ahead of the row by the engine, hence not ALWAYS.
    Column("sensor_no", Integer, Identity(), nullable=False, unique=True),
    Column("facility_id", Text, ForeignKey("facilities.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('Active', 'Inactive', 'Maintenance', 'Fault')", name="status"),
        nullable=False,
    ),
    Column("type", Text, nullable=False),
    Column("expected_freq", Text, nullable=False),
    Column("signal_interval_s", Integer, nullable=False),
    Column("location_id", Integer, ForeignKey("locations.id"), index=True),
    Column("installed_at", Time, nullable=False),
    Column("status_changed_at", Time, nullable=False),
    Column("retired_at", Time),
)

# What was removed and when; until `done_at` some of its data is still to go. `epoch`: a new facility of this id begins
# after it. `sensor_nos`: of whom there may be readings; `last_event_id`: no later event is of what was removed.
removals = Table(
    "removals",
    metadata,
    _identity(BigInteger),
    Column("kind", Text, CheckConstraint("kind IN ('facility', 'sensor')", name="kind"), nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("facility_id", Text, nullable=False, index=True),
    Column("removed_at", Time, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sensor_nos", ARRAY(Integer), nullable=False),
    Column("last_event_id", BigInteger, nullable=False),
    Column("done_at", Time),
    Index("removals_left_idx", "id", postgresql_where=sa.text("done_at IS NULL")),
)

# How anomalies are looked for: what one sensor, or one type of a facility's sensors, has instead of the default. A
# sensor goes before its type; what is NULL is not said.
detection_settings = Table(
    "detection_settings",
    metadata,
    _identity(),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("sensor_type", Text),
    Column("sensor_id", Text, ForeignKey("sensors.id", ondelete="CASCADE"), unique=True),
    Column("budget_days", Double),
    Column("warming_readings", Integer),
    Column("physical_low", Double),
    Column("physical_high", Double),
    Column("is_on", Boolean),
    UniqueConstraint("facility_id", "sensor_type"),
    CheckConstraint("num_nonnulls(sensor_type, sensor_id) = 1", name="subject"),
    CheckConstraint("num_nonnulls(physical_low, physical_high) <> 1 AND physical_low < physical_high", name="physical"),
)

# Every row that ever stood above, by its subject; written by a trigger there. `until_at` is NULL while it holds,
# `from_at` where it held before versions were kept, `set_by` where nobody signed in did it.
detection_versions = Table(
    "detection_versions",
    metadata,
    _identity(BigInteger),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("sensor_type", Text),
    Column("sensor_id", Text, ForeignKey("sensors.id", ondelete="CASCADE")),
    Column("version", Integer, nullable=False),
    Column("from_at", Time),
    Column("until_at", Time),
    Column("set_by", Text),
    Column("budget_days", Double),
    Column("warming_readings", Integer),
    Column("physical_low", Double),
    Column("physical_high", Double),
    Column("is_on", Boolean),
    UniqueConstraint("facility_id", "sensor_type", "version"),
    UniqueConstraint("sensor_id", "version"),
    CheckConstraint("num_nonnulls(sensor_type, sensor_id) = 1", name="subject"),
)

# Alarm rules as people set them, for one sensor or one type of a facility's sensors, as the core reads them. Never
# changed: the newest row of a subject holds, the others say what held before.
sensor_rules = Table(
    "sensor_rules",
    metadata,
    _identity(),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("sensor_type", Text),
    Column("sensor_id", Text, ForeignKey("sensors.id", ondelete="CASCADE")),
    Column("settings", JSONB, nullable=False),
    Column("set_at", Time, nullable=False, server_default=sa.func.now()),
    Column("set_by", Text, nullable=False),
    Column("set_by_name", Text, nullable=False),
    Column("reason", Text),
    Column("effective_from", Time),  # from when it was to hold, of one that was planned
    CheckConstraint("num_nonnulls(sensor_type, sensor_id) = 1", name="subject"),
    Index("sensor_rules_facility_id_idx", "facility_id", "sensor_type", "id"),
    Index("sensor_rules_sensor_id_idx", "sensor_id", "id"),
)

# Alarm rules that shall hold from a moment on; they become a row of sensor_rules then. With a `refusal` they never do.
planned_rules = Table(
    "planned_rules",
    metadata,
    _identity(),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("sensor_type", Text),
    Column("sensor_id", Text, ForeignKey("sensors.id", ondelete="CASCADE"), index=True),
    Column("settings", JSONB, nullable=False),
    Column("effective_from", Time, nullable=False),
    Column("filed_at", Time, nullable=False, server_default=sa.func.now()),
    Column("set_by", Text, nullable=False),
    Column("set_by_name", Text, nullable=False),
    Column("reason", Text),
    Column("refusal", Text),
    CheckConstraint("num_nonnulls(sensor_type, sensor_id) = 1", name="subject"),
    Index("planned_rules_due_idx", "effective_from", "id", postgresql_where=sa.text("refusal IS NULL")),
    Index("planned_rules_facility_id_idx", "facility_id", "sensor_type"),
)

# What several sensors of a facility are judged by together, as the core reads it: votes and the like, and what is
# suppressed by design. Never changed: the newest row of a facility holds, the others say what held before.
facility_groups = Table(
    "facility_groups",
    metadata,
    _identity(),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("set_at", Time, nullable=False, server_default=sa.func.now()),
    Column("set_by", Text, nullable=False),
    Column("set_by_name", Text, nullable=False),
    Column("reason", Text),
    Index("facility_groups_facility_id_idx", "facility_id", "id"),
)

# --- readings ---------------------------------------------------------------------------------------------------------

# Partitioned by UTC day (engine/historian/partitions.py); no foreign key: the commit checks sensor_no set-wise.
sensor_records = Table(
    "sensor_records",
    metadata,
    Column("sensor_no", Integer, primary_key=True, autoincrement=False),
    Column("tracked_at", Time, primary_key=True),
    Column("value", Double),
    Column("text_value", Text),  # what was received, where `value` does not print as that
    Column("score", REAL),
    Column("flags", SmallInteger, nullable=False),
    postgresql_partition_by="RANGE (tracked_at)",
)

# From when on readings are kept, by type of sensor: a commit sets aside what is older. Rollups of before `settled_to`
# change no more, for their readings may be gone; readings of before `cleared_to` are.
retention_floors = Table(
    "retention_floors",
    metadata,
    Column("sensor_type", Text, primary_key=True),
    Column("kept_from", Time, nullable=False),
    Column("settled_to", Time, nullable=False),
    Column("cleared_to", Time, nullable=False),
)

reading_conflicts = Table(
    "reading_conflicts",
    metadata,
    _identity(BigInteger),
    Column("sensor_no", Integer, nullable=False),
    Column("tracked_at", Time, nullable=False),
    Column("value", Double),
    Column("text_value", Text),
    Column("digest", LargeBinary, nullable=False),  # of value and text: the same conflict is kept once
    Column("recorded_at", Time, nullable=False),
    UniqueConstraint("sensor_no", "tracked_at", "digest"),
)

reading_rollups = Table(
    "reading_rollups",
    metadata,
    Column("sensor_no", Integer, primary_key=True, autoincrement=False),
    Column("width_s", Integer, primary_key=True, autoincrement=False),  # 60, 3600, 86400
    Column("bucket", Time, primary_key=True),  # start
    Column("n", Integer, nullable=False),  # numeric readings: what sum to last are over
    Column("sum", Double),
    Column("sum_sq", Double),
    Column("min", Double),
    Column("max", Double),
    Column("first", Double),
    Column("last", Double),
    Column("readings", Integer, nullable=False),  # all, texts too
    Column("good", Integer, nullable=False),
    Column("good_fraction", Double, Computed("good::double precision / readings", persisted=True)),
)

# One row a commit, facility and minute; never updated, so that a pass and a commit cannot lose a mark between them.
rollup_dirty = Table(
    "rollup_dirty",
    metadata,
    _identity(BigInteger),
    Column("facility_id", Text, nullable=False),
    Column("minute", Time, nullable=False),
)

# --- what could not take effect ---------------------------------------------------------------------------------------

parked = Table(
    "parked",
    metadata,
    _identity(BigInteger),
    Column("kind", Text, nullable=False),
    Column("facility_id", Text, nullable=False),
    Column("sensor_id", Text, nullable=False),
    Column("tracked_at", Time),
    Column("body", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # of all but reason: a redelivery parks nothing new
    Column("parked_at", Time, nullable=False, index=True),
    Index("parked_parent_idx", sa.text("md5(facility_id)"), sa.text("md5(sensor_id)")),  # ids may be longer than a page
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _identity(BigInteger),
    Column("source", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("facility_id", Text, nullable=False),
    Column("sensor_id", Text, nullable=False),
    Column("recorded_at", Time, nullable=False, index=True),
    Column("digest", LargeBinary),  # of what it is told apart by: a redelivery adds nothing; none in older rows
    Column("raw", LargeBinary),  # the whole message, where `body` is not that
    Index("dead_letters_digest_idx", "digest", unique=True),
)

# What shall go through the engine again; until it has, it is here and in neither of the two above.
redrives = Table(
    "redrives",
    metadata,
    _identity(BigInteger),
    Column("redrive_id", Text, nullable=False),
    Column("origin", Text, CheckConstraint("origin IN ('dead_letters', 'parked')", name="origin"), nullable=False),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('setup', 'activation', 'deactivation', 'data')", name="kind"),
        nullable=False,
    ),
    Column("source", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("facility_id", Text, nullable=False),
    Column("sensor_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("raw", LargeBinary),
    Column("digest", LargeBinary),
    Column("asked_at", Time, nullable=False, server_default=sa.func.now()),
    Column("asked_by", Text, nullable=False),
    Column("asked_by_name", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('waiting', 'done', 'parked', 'refused')", name="state"),
        nullable=False,
        server_default="waiting",
    ),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("ended_at", Time, index=True),
    Index("redrives_waiting_idx", "kind", "id", postgresql_where=sa.text("state = 'waiting'")),
    Index("redrives_redrive_id_idx", "redrive_id", "id"),
)

# --- recovery ---------------------------------------------------------------------------------------------------------

facility_epochs = Table(
    "facility_epochs",
    metadata,
    Column("facility_id", Text, ForeignKey("facilities.id"), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

facility_commits = Table(
    "facility_commits",
    metadata,
    Column("facility_id", Text, primary_key=True),
    Column("commit_no", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("recorded_at", Time, nullable=False),
    Column("first_no", BigInteger),  # of the outcome that this is an entry of; none in older rows
    Column("not_stored", LargeBinary),  # of a first entry: which of the outcome's readings were there before
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("facility_id", Text, primary_key=True),
    Column("commit_no", BigInteger, nullable=False),
    Column("core_version", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("recorded_at", Time, nullable=False),
)

# What replays begin with. `is_break`: the state does not follow from an earlier one and the log.
kept_checkpoints = Table(
    "kept_checkpoints",
    metadata,
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), primary_key=True),
    Column("commit_no", BigInteger, primary_key=True, autoincrement=False),
    Column("core_version", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("is_break", Boolean, nullable=False),
    Column("recorded_at", Time, nullable=False),
    Index("kept_checkpoints_recorded_at_idx", "facility_id", "recorded_at"),
)

# --- alarms -----------------------------------------------------------------------------------------------------------

# Append-only. Ids come from alarm_events_id_seq under an advisory lock held to the commit: "after id" skips nothing.
alarm_event_ids = sa.Sequence("alarm_events_id_seq", metadata=metadata)
alarm_events = Table(
    "alarm_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("facility_id", Text, nullable=False),
    Column("alarm_key", Text, nullable=False),
    Column("sensor_no", Integer),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("transition", Text, nullable=False),
    Column("event_time", Time, nullable=False),
    Column("recorded_at", Time, nullable=False),
    Column("priority", Text, nullable=False),
    Column("alert_type", Text, nullable=False),
    Column("value", Double),
    Column("limit_value", Double),
    Column("score", Double),
    Column("message", Text, nullable=False),
    Column("explanation", JSONB, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("command_id", Text),  # of the person's command that caused it
    UniqueConstraint(
        "facility_id", "alarm_key", "transition", "event_time", "rule_version", name="alarm_events_once_key"
    ),
)
Index(  # the contract's alerts, newest first
    "alarm_events_alerts_idx",
    alarm_events.c.facility_id,
    alarm_events.c.id.desc(),
    postgresql_where=alarm_events.c.transition == "activated",
)
Index("alarm_events_sensor_no_idx", alarm_events.c.sensor_no, alarm_events.c.id)
Index("alarm_events_facility_id_idx", alarm_events.c.facility_id, alarm_events.c.id)
Index("alarm_events_event_time_idx", alarm_events.c.event_time)
Index(  # what began together
    "alarm_events_begun_idx",
    alarm_events.c.facility_id,
    alarm_events.c.event_time,
    postgresql_where=alarm_events.c.transition.in_(["activated", "activated_silently"]),
)

# The journal folded: what is so now. Written by the commit, never by anybody else.
alarms = Table(
    "alarms",
    metadata,
    Column("facility_id", Text, primary_key=True),
    Column("alarm_key", Text, primary_key=True),
    Column("sensor_no", Integer),
    Column("rule", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("acknowledged", Boolean, nullable=False),
    Column("suppression", Text, nullable=False),
    Column("latched", Boolean, nullable=False),
    Column("priority", Text, nullable=False),
    Column("since", Time, nullable=False),
    Column("last_event_id", BigInteger, nullable=False),
    # of the last activation
    Column("message", Text),
    Column("value", Double),
    Column("limit_value", Double),
    # of the activation that stands
    Column("acknowledged_at", Time),
    Column("acknowledged_by", Text),
    # while `suppression` is not none
    Column("suppressed_at", Time),
    Column("suppressed_until", Time),
    Column("suppressed_by", Text),
    Column("suppression_reason", Text),
    Column("work_order", Text),
    Column("assignee", Text),
)

# What people asked of alarms, written with its row of the audit log. The engine carries out what waits; the commit of
# what came of it decides the row, so that each is in force once, whoever dies in between.
alarm_commands = Table(
    "alarm_commands",
    metadata,
    _identity(BigInteger),
    Column("command_id", Text, nullable=False, unique=True),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("alarm_key", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("asked_at", Time, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("until", Time),
    Column("assignee", Text),
    Column("work_order", Text),
    Column("verdict", Text),
    Column("about_event_id", BigInteger),  # the activation that the verdict is about
    Column("state", Text, CheckConstraint("state IN ('waiting', 'done', 'refused')", name="state"), nullable=False),
    Column("refusal", Text, nullable=False),
    Column("decided_at", Time),
    # the journal tells two of the same kind apart by their moments
    UniqueConstraint("facility_id", "alarm_key", "asked_at"),
    Index("alarm_commands_waiting_idx", "id", postgresql_where=sa.text("state = 'waiting'")),
)

# What one shift tells the next. Append-only: the web server has no right to change any.
shift_notes = Table(
    "shift_notes",
    metadata,
    _identity(BigInteger),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False),
    Column("written_at", Time, nullable=False, server_default=sa.func.now()),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("shift_notes_facility_id_idx", "facility_id", "written_at"),
)

# --- notifications ----------------------------------------------------------------------------------------------------

# Where people are told of alarms outside of this system. `sealed`: what nobody may read
# (engine/notify/sealing.py). `grouped_at` and `window_s`: when the last message was made, and how long what follows is
# gathered since.
notification_channels = Table(
    "notification_channels",
    metadata,
    _identity(),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, CheckConstraint("kind IN ('webhook', 'mail', 'teams')", name="kind"), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Time, nullable=False, server_default=sa.func.now()),
    Column("grouped_at", Time),
    Column("window_s", Integer, nullable=False, server_default="0"),
)

# Who is told of what, and when. NULL: of all. `after_minutes` 0: at once; else only of what nobody has acknowledged by
# then. `days`: of the week, Monday is 1; of a window over midnight those on which it begins.
notification_subscriptions = Table(
    "notification_subscriptions",
    metadata,
    _identity(),
    Column(
        "channel_id", Integer, ForeignKey("notification_channels.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("name", Text, nullable=False),
    Column("facility_ids", ARRAY(Text)),
    Column("rules", ARRAY(Text)),
    Column("least_priority", Text, nullable=False),
    Column("returned", Boolean, nullable=False),
    Column("after_minutes", Integer, nullable=False),
    Column("days", ARRAY(Integer), nullable=False),
    Column("from_time", sa.Time, nullable=False),
    Column("to_time", sa.Time, nullable=False),
    Column("zone", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=sa.func.now()),
)

# How far the journal has been turned into entries: one row. What wants to change entries holds it.
notification_cursor = Table(
    "notification_cursor",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one"), primary_key=True, autoincrement=False),
    Column("last_event_id", BigInteger, nullable=False),
)

# A row of the journal that a channel is to be told of; without `group_id` it waits for its message.
notification_entries = Table(
    "notification_entries",
    metadata,
    _identity(BigInteger),
    Column("channel_id", Integer, ForeignKey("notification_channels.id", ondelete="CASCADE"), nullable=False),
    Column(
        "subscription_id",
        Integer,
        ForeignKey("notification_subscriptions.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("event_id", BigInteger, nullable=False),
    Column("facility_id", Text, nullable=False),
    Column("alarm_key", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("after_minutes", Integer, nullable=False),
    Column("due_at", Time, nullable=False, index=True),
    Column("group_id", Uuid),
    UniqueConstraint("channel_id", "event_id", "after_minutes"),
    Index("notification_entries_waiting_idx", "channel_id", "due_at", postgresql_where=sa.text("group_id IS NULL")),
)

# What is sent, once for each recipient. `message_id` stays the same however often it is tried; `next_try_at` of one
# that is being sent is when somebody else may take it.
notification_messages = Table(
    "notification_messages",
    metadata,
    _identity(BigInteger),
    Column("message_id", Uuid, nullable=False, unique=True),
    Column("group_id", Uuid, nullable=False),
    Column(
        "channel_id", Integer, ForeignKey("notification_channels.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("made_at", Time, nullable=False, index=True),
    Column(
        "state", Text, CheckConstraint("state IN ('waiting', 'delivered', 'given_up')", name="state"), nullable=False
    ),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", Time, nullable=False),
    Column("ended_at", Time),
    Column("error", Text, nullable=False),
    Index("notification_messages_waiting_idx", "next_try_at", postgresql_where=sa.text("state = 'waiting'")),
)

# --- replays ----------------------------------------------------------------------------------------------------------

# A past period that somebody wants lived again (engine/replay). `wanted`: the period and the settings. State, progress
# and readings are those of its parts together, as of a moment ago.
replays = Table(
    "replays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asked_by", Text, nullable=False),
    Column("asked_by_name", Text, nullable=False),
    Column("facility_ids", ARRAY(Text), nullable=False),
    Column("wanted", JSONB, nullable=False),
    Column("asked_at", Time, nullable=False, server_default=sa.func.now()),
    Column("expires_at", Time, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
        nullable=False,
        server_default="queued",
    ),
    Column("progress", Double, nullable=False, server_default="0"),
    Column("readings", BigInteger, nullable=False, server_default="0"),
    Column("ended_at", Time),
    Index("replays_asked_by_idx", "asked_by", "asked_at"),
    Index("replays_under_way_idx", "asked_at", postgresql_where=sa.text("state IN ('queued', 'running')")),
)

# One facility of it. `attempts` counts who began it: only the last one may write.
replay_parts = Table(
    "replay_parts",
    metadata,
    Column("replay_id", Text, ForeignKey("replays.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("facility_id", Text, ForeignKey("facilities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
        nullable=False,
        server_default="queued",
    ),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("progress", Double, nullable=False, server_default="0"),
    Column("readings", BigInteger, nullable=False, server_default="0"),
    Column("problem", Text, nullable=False, server_default=""),
    Column("result", JSONB),
)

# --- the engine about itself ------------------------------------------------------------------------------------------

# Nodes that everything shall leave (`gasinsight drain`); the leading engine carries it out.
drained_nodes = Table(
    "drained_nodes",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("requested_at", Time, nullable=False),
)

engine_status = Table(
    "engine_status",
    metadata,
    Column("component", Text, primary_key=True),
    Column("state", JSONB, nullable=False),
    Column("updated_at", Time, nullable=False),
)
