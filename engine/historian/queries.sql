-- Every statement of the historian, by name. `-- name:` starts one, the comment below it says what and why.
-- Times are int8 microseconds on our side (connection.py); parameters are typed where PostgreSQL cannot tell.

-- name: staging_create
-- Where COPY puts readings before they are compared with what is stored; once a connection, emptied by each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS staging (
    sensor_no int4 NOT NULL,
    tracked_at timestamptz NOT NULL,
    value float8,
    text_value text,
    score float4,
    flags int2 NOT NULL
) ON COMMIT DELETE ROWS;

-- == commit ============================================================================================================

-- name: epochs_hold
-- In one order for everybody; held to the commit, so that taking an epoch waits for this transaction.
SELECT facility_id, epoch FROM facility_epochs WHERE facility_id = ANY($1::text[]) ORDER BY facility_id FOR SHARE;

-- name: last_commit_nos
-- The last committed step of each facility, whether it is still in the log or only in the checkpoint.
SELECT wanted.facility_id, greatest(
    (SELECT max(commit_no) FROM facility_commits log WHERE log.facility_id = wanted.facility_id),
    (SELECT commit_no FROM checkpoints point WHERE point.facility_id = wanted.facility_id),
    0
) AS commit_no
FROM unnest($1::text[]) wanted (facility_id);

-- name: parked_hold
SELECT id FROM parked WHERE id = ANY($1::int8[]) ORDER BY id FOR UPDATE;

-- name: parked_remove
DELETE FROM parked WHERE id = ANY($1::int8[]);

-- name: parked_add
-- A redelivery finds its digest and adds nothing.
INSERT INTO parked (kind, facility_id, sensor_id, tracked_at, body, reason, digest, parked_at)
SELECT kind, facility_id, sensor_id, tracked_at, body, reason, digest, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::bytea[])
    item (kind, facility_id, sensor_id, tracked_at, body, reason, digest)
ON CONFLICT (digest) DO NOTHING;

-- name: dead_letters_add
-- A redelivery finds its digest and adds nothing. In one order for everybody, so that no two wait for each other.
INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, digest, raw, recorded_at)
SELECT source, queue, reason, detail, body, facility_id, sensor_id, digest, raw, $10
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
    $9::bytea[]) letter (source, queue, reason, detail, body, facility_id, sensor_id, digest, raw)
ORDER BY digest
ON CONFLICT (digest) DO NOTHING;

-- name: sensor_insert
WITH place AS (INSERT INTO locations (address, longitude, latitude) VALUES ($9, $10, $11) RETURNING id)
INSERT INTO sensors (id, sensor_no, facility_id, name, status, type, expected_freq, signal_interval_s, location_id,
    installed_at, status_changed_at)
SELECT $1, $2, $3, $4, 'Active', $5, $6, $7, place.id, $8, $8 FROM place;

-- name: sensor_set_status
UPDATE sensors SET status = $3, status_changed_at = $4, retired_at = CASE WHEN $3 <> 'Active' THEN retired_at END
WHERE id = $1 AND facility_id = $2;

-- name: facility_close
UPDATE facilities SET closed_at = $2 WHERE id = $1 AND retired_at IS NOT NULL;

-- name: staged_look
-- One sensor number among the staged readings that no sensor has; sensor_records carries no foreign key. And whether
-- any reading may be of before the retention: $1 is the oldest staged minute.
SELECT (
    SELECT sensor_no FROM (SELECT DISTINCT sensor_no FROM staging) staged
    WHERE NOT EXISTS (SELECT FROM sensors WHERE sensors.sensor_no = staged.sensor_no) LIMIT 1
) AS stranger, coalesce($1::timestamptz < (SELECT max(kept_from) FROM retention_floors), false) AS may_be_old;

-- name: staged_old_set_aside
-- Readings of before their type's retention become dead letters instead; in one order for everybody.
WITH old AS (
    DELETE FROM staging USING sensors, retention_floors floor
    WHERE sensors.sensor_no = staging.sensor_no AND floor.sensor_type = sensors.type
        AND staging.tracked_at < floor.kept_from
    RETURNING sensors.facility_id, sensors.id AS sensor_id, sensors.type, floor.kept_from, staging.sensor_no,
        staging.tracked_at, coalesce(staging.text_value, staging.value::text, '') AS data
), kept AS (
    INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, digest, recorded_at)
    SELECT 'row', '', 'before_retention', format('readings of %s are kept from %s on', type, to_char(kept_from, 'YYYY-MM-DD')),
        json_build_object('sensor_id', sensor_id,
            'tracked_at', to_char(tracked_at, 'YYYY-MM-DD"T"HH24:MI:SS.US'), 'data', data)::text,
        facility_id, sensor_id,
        sha256(convert_to(concat_ws('|', 'before_retention', sensor_no, extract(epoch FROM tracked_at), data), 'UTF8'))
            AS digest, $1::timestamptz
    FROM old ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
)
SELECT facility_id, sensor_no, tracked_at FROM old;

-- name: readings_store
-- In the order of arrival: of two readings with the same time the first one stays.
INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, score, flags)
SELECT sensor_no, tracked_at, value, text_value, score, flags FROM staging
ON CONFLICT (sensor_no, tracked_at) DO NOTHING;

-- name: readings_not_stored
-- Asked only when fewer rows were stored than staged: readings that other transactions had stored before.
SELECT DISTINCT sensors.facility_id, staging.sensor_no, staging.tracked_at
FROM staging
JOIN sensor_records stored USING (sensor_no, tracked_at)
JOIN sensors USING (sensor_no)
WHERE stored.xmin <> pg_current_xact_id()::xid
    AND stored.tracked_at BETWEEN (SELECT min(tracked_at) FROM staging) AND (SELECT max(tracked_at) FROM staging);

-- name: conflicts_record
-- Same time, other value: kept once however often it is delivered. Answers whose new ones they were.
WITH kept AS (
    INSERT INTO reading_conflicts (sensor_no, tracked_at, value, text_value, digest, recorded_at)
    SELECT staging.sensor_no, staging.tracked_at, staging.value, staging.text_value,
        sha256(coalesce(float8send(staging.value), '') || '|' || coalesce(convert_to(staging.text_value, 'UTF8'), '')),
        $1::timestamptz
    FROM staging
    JOIN sensor_records stored USING (sensor_no, tracked_at)
    WHERE (staging.value, staging.text_value) IS DISTINCT FROM (stored.value, stored.text_value)
        AND stored.tracked_at BETWEEN (SELECT min(tracked_at) FROM staging) AND (SELECT max(tracked_at) FROM staging)
    ON CONFLICT (sensor_no, tracked_at, digest) DO NOTHING
    RETURNING sensor_no
)
SELECT sensors.facility_id, count(*) AS conflicts FROM kept JOIN sensors USING (sensor_no) GROUP BY facility_id;

-- name: log_append
INSERT INTO facility_commits (facility_id, commit_no, kind, payload, first_no, not_stored, recorded_at)
SELECT facility_id, commit_no, kind, payload, first_no, not_stored, $7
FROM unnest($1::text[], $2::int8[], $3::text[], $4::bytea[], $5::int8[], $6::bytea[])
    entry (facility_id, commit_no, kind, payload, first_no, not_stored);

-- name: checkpoint_set
INSERT INTO checkpoints (facility_id, commit_no, core_version, state, recorded_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (facility_id) DO UPDATE SET commit_no = excluded.commit_no, core_version = excluded.core_version,
    state = excluded.state, recorded_at = excluded.recorded_at;

-- name: checkpoint_keep
-- The first of each day, and ($2) every one that does not follow from its log: a replay begins, or goes on, there.
INSERT INTO kept_checkpoints (facility_id, commit_no, core_version, state, is_break, recorded_at)
SELECT facility_id, commit_no, core_version, state, $2, recorded_at FROM checkpoints present
WHERE facility_id = $1 AND ($2 OR NOT EXISTS (
    SELECT FROM kept_checkpoints kept
    WHERE kept.facility_id = $1 AND kept.recorded_at >= date_trunc('day', present.recorded_at, 'UTC')))
ON CONFLICT (facility_id, commit_no) DO UPDATE SET core_version = excluded.core_version, state = excluded.state,
    is_break = excluded.is_break;

-- name: commands_decide
-- $2: why a command was refused, or null.
UPDATE alarm_commands SET state = CASE WHEN verdict.refusal IS NULL THEN 'done' ELSE 'refused' END,
    refusal = coalesce(verdict.refusal, ''), decided_at = $3
FROM unnest($1::text[], $2::text[]) verdict (command_id, refusal)
WHERE alarm_commands.command_id = verdict.command_id AND state = 'waiting';

-- name: minutes_mark
INSERT INTO rollup_dirty (facility_id, minute)
SELECT facility_id, minute FROM unnest($1::text[], $2::timestamptz[]) mark (facility_id, minute);

-- name: journal_lock
-- Held to the commit: ids become visible in their order, so that a reader "after id" misses none.
SELECT pg_advisory_xact_lock(hashtext('gasinsight journal'));

-- name: journal_append
-- $1: rows as a JSON array of objects, by the names of the columns. Answers with those that are new.
INSERT INTO alarm_events
SELECT stored.*
FROM (
    SELECT told || jsonb_build_object('id', nextval('alarm_events_id_seq'), 'recorded_at', $2::timestamptz) AS event
    FROM (SELECT told FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY events (told, place) ORDER BY place) in_order
) numbered CROSS JOIN LATERAL jsonb_populate_record(NULL::alarm_events, numbered.event) stored
ON CONFLICT (facility_id, alarm_key, transition, event_time, rule_version) DO NOTHING
RETURNING to_jsonb(alarm_events) AS event;

-- name: alarms_fold
-- $1: steps as a JSON array. `told` holds the columns that a step says something about, `if_new` the others of an alarm
-- that has no row yet.
INSERT INTO alarms
SELECT moved.*
FROM jsonb_to_recordset($1::jsonb) step (facility_id text, alarm_key text, if_new jsonb, told jsonb)
LEFT JOIN alarms present USING (facility_id, alarm_key)
CROSS JOIN LATERAL jsonb_populate_record(
    present, CASE WHEN present.alarm_key IS NULL THEN step.if_new ELSE '{}' END || step.told) moved
ON CONFLICT (facility_id, alarm_key) DO UPDATE SET active = excluded.active, acknowledged = excluded.acknowledged,
    suppression = excluded.suppression, latched = excluded.latched, priority = excluded.priority,
    since = excluded.since, last_event_id = excluded.last_event_id, message = excluded.message,
    value = excluded.value, limit_value = excluded.limit_value, acknowledged_at = excluded.acknowledged_at,
    acknowledged_by = excluded.acknowledged_by, suppressed_at = excluded.suppressed_at,
    suppressed_until = excluded.suppressed_until, suppressed_by = excluded.suppressed_by,
    suppression_reason = excluded.suppression_reason, work_order = excluded.work_order, assignee = excluded.assignee;

-- name: journal_announce
SELECT pg_notify('alarm_events', '');

-- == load ==============================================================================================================

-- name: epoch_take
-- Waits for commits in flight (they hold the row) and fences every incarnation before this one. With $2 only when that
-- is the present epoch: who is not sure whether it still owns the facility must not take it from its owner.
UPDATE facility_epochs SET epoch = epoch + 1 WHERE facility_id = $1 AND ($2::bigint IS NULL OR epoch = $2)
RETURNING epoch;

-- name: epoch_get
SELECT epoch FROM facility_epochs WHERE facility_id = $1;

-- name: stalled_writers_end
-- Sessions of stopped or unreachable historians: in a transaction for long, and PostgreSQL is waiting for *them*.
-- Not left to idle_in_transaction_session_timeout alone, which does not see one that stopped amid a COPY.
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
    AND wait_event = 'ClientRead' AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
    AND xact_start < clock_timestamp() - make_interval(secs => $2::float8);

-- name: statuses_ahead_mend
-- A status stamped by a clock that was far ahead would win over every change to come: it counts as of now, once.
UPDATE sensors SET status_changed_at = $2 WHERE facility_id = $1 AND status_changed_at > $3;

-- name: facility_get
SELECT id, name, type, status, retired_at IS NOT NULL AS is_retired FROM facilities WHERE id = $1;

-- name: removals_of
-- Of one id the last one counts.
SELECT kind, subject_id, max(removed_at) AS removed_at FROM removals WHERE facility_id = $1 GROUP BY kind, subject_id;

-- name: sensors_of
-- With the detection settings that hold: a sensor's own, then its type's. Both physical limits are of the same row.
SELECT s.id, s.sensor_no, s.facility_id, s.name, s.type, s.status, s.signal_interval_s, s.installed_at,
       s.status_changed_at, s.retired_at IS NOT NULL AS is_retired,
       coalesce(own.budget_days, of_type.budget_days) AS budget_days,
       coalesce(own.warming_readings, of_type.warming_readings) AS warming_readings,
       coalesce(own.physical_low, of_type.physical_low) AS physical_low,
       coalesce(own.physical_high, of_type.physical_high) AS physical_high,
       coalesce(own.is_on, of_type.is_on) AS is_on
FROM sensors s
LEFT JOIN detection_settings own ON own.sensor_id = s.id
LEFT JOIN detection_settings of_type ON of_type.facility_id = s.facility_id AND of_type.sensor_type = s.type
WHERE s.facility_id = $1 ORDER BY s.sensor_no;

-- name: detection_by_type
SELECT sensor_type, budget_days, warming_readings, physical_low, physical_high, is_on
FROM detection_settings WHERE facility_id = $1 AND sensor_type IS NOT NULL;

-- name: rules_of
-- The newest of each type and of each sensor.
SELECT DISTINCT ON (sensor_type, sensor_id) sensor_type, sensor_id, settings
FROM sensor_rules WHERE facility_id = $1 ORDER BY sensor_type, sensor_id, id DESC;

-- name: groups_of
SELECT settings FROM facility_groups WHERE facility_id = $1 ORDER BY id DESC LIMIT 1;

-- name: checkpoint_get
SELECT commit_no, core_version, state FROM checkpoints WHERE facility_id = $1;

-- name: log_after
SELECT commit_no, kind, payload FROM facility_commits WHERE facility_id = $1 AND commit_no > $2 ORDER BY commit_no;

-- name: readings_recent
-- What a facility is rebuilt from when its checkpoint cannot be read.
SELECT sensor.sensor_no, recent.tracked_at, recent.value, recent.text_value
FROM unnest($1::int4[]) sensor (sensor_no) CROSS JOIN LATERAL (
    SELECT tracked_at, value, text_value FROM sensor_records
    WHERE sensor_records.sensor_no = sensor.sensor_no ORDER BY tracked_at DESC LIMIT $2
) recent
ORDER BY sensor.sensor_no, recent.tracked_at;

-- name: alarms_told
SELECT sensor_no, rule, active, acknowledged, since FROM alarms
WHERE facility_id = $1 ORDER BY alarm_key;

-- name: commands_standing
-- What people asked and the present of the alarms still shows: what no reading could tell anybody.
SELECT command_id, facility_id, alarm_key, command, asked_at AS at_us, commands.actor, commands.reason,
    until AS until_us, commands.assignee, commands.work_order
FROM alarm_commands commands JOIN alarms USING (facility_id, alarm_key)
WHERE facility_id = $1 AND state = 'done' AND (
    (suppression <> 'none' AND asked_at = suppressed_at AND command IN ('shelve', 'suppress', 'out_of_service'))
    OR (alarms.assignee IS NOT NULL AND command = 'assign' AND commands.assignee = alarms.assignee))
ORDER BY commands.id;

-- name: parked_of_facility
-- Without the refused rows of earlier versions, which wait for nothing (see refused_move).
SELECT id, kind, facility_id, sensor_id, tracked_at, body, reason FROM parked
WHERE md5(facility_id) = md5($1::text) AND facility_id = $1 AND kind <> 'refused'
ORDER BY tracked_at NULLS FIRST, id;

-- name: parked_of_sensor
SELECT id, kind, facility_id, sensor_id, tracked_at, body, reason FROM parked
WHERE md5(facility_id) = md5($1::text) AND md5(sensor_id) = md5($2::text) AND facility_id = $1 AND sensor_id = $2
    AND kind <> 'refused'
ORDER BY tracked_at NULLS FIRST, id;

-- == entities ==========================================================================================================

-- name: facility_lock
-- Whoever creates a facility and whoever parks something for it take turns.
SELECT pg_advisory_xact_lock(hashtextextended('gasinsight facility ' || $1::text, 0));

-- name: facility_standing
-- Whether there is such a facility, and when it was retired, or when one of this id was removed, and at which epoch.
SELECT facilities.id IS NOT NULL AS is_there, facilities.retired_at, gone.removed_at, coalesce(gone.epoch, -1) AS epoch
FROM (SELECT $1::text AS id) wanted
LEFT JOIN facilities USING (id)
LEFT JOIN LATERAL (
    SELECT removed_at, epoch FROM removals
    WHERE facility_id = $1 AND kind = 'facility' ORDER BY removals.id DESC LIMIT 1
) gone ON true;

-- name: facility_revive
UPDATE facilities SET status = 'Active', retired_at = NULL, closed_at = NULL WHERE id = $1;

-- name: facility_insert
WITH place AS (INSERT INTO locations (address, longitude, latitude) VALUES ($5, $6, $7) RETURNING id)
INSERT INTO facilities (id, name, status, type, location_id, created_at)
SELECT $1, $2, 'Active', $3, place.id, $4 FROM place;

-- name: epoch_insert
-- After those of a facility of this id that was removed, whose last incarnation may still run somewhere.
INSERT INTO facility_epochs (facility_id, epoch) VALUES ($1, $2);

-- name: sensor_number
SELECT sensor_no, facility_id FROM sensors WHERE id = $1;

-- name: sensor_number_draw
SELECT nextval('sensors_sensor_no_seq')::int4;

-- name: facility_ids
-- Without those that are retired and have let go.
SELECT id FROM facilities WHERE retired_at IS NULL OR closed_at IS NULL ORDER BY id;

-- name: engine_status_set
INSERT INTO engine_status (component, state, updated_at) VALUES ($1, $2::jsonb, $3)
ON CONFLICT (component) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at;

-- == limits ============================================================================================================

-- name: facilities_turn
-- Whoever makes facilities takes turns, so that the last place is given once.
SELECT pg_advisory_xact_lock(hashtext('gasinsight facilities'));

-- name: facilities_count
SELECT count(*) FROM facilities;

-- name: sensors_count
SELECT count(*) FROM sensors;

-- name: sensors_count_of
SELECT count(*) FROM sensors WHERE facility_id = $1;

-- name: parked_count
SELECT count(*) FROM parked;

-- name: parked_count_of
SELECT count(*) FROM parked WHERE md5(facility_id) = md5($1::text) AND facility_id = $1;

-- name: parked_present
SELECT digest FROM parked WHERE digest = ANY($1::bytea[]);

-- name: dead_letters_count
SELECT count(*) FROM dead_letters;

-- name: dead_letters_trim
DELETE FROM dead_letters WHERE id = ANY (ARRAY(SELECT id FROM dead_letters ORDER BY id LIMIT $1));

-- name: dead_letters_expire
DELETE FROM dead_letters WHERE id = ANY (ARRAY(SELECT id FROM dead_letters WHERE recorded_at < $1 LIMIT $2));

-- name: limits_used
-- By the names of the settings.
WITH fullest AS (
    SELECT facility_id, count(*) AS rows FROM sensors GROUP BY facility_id ORDER BY rows DESC, facility_id LIMIT 1
), most_parked AS (
    SELECT facility_id, count(*) AS rows FROM parked GROUP BY facility_id ORDER BY rows DESC, facility_id LIMIT 1
)
SELECT (SELECT count(*) FROM facilities) AS facilities_max,
    coalesce((SELECT rows FROM fullest), 0) AS sensors_per_facility_max,
    (SELECT facility_id FROM fullest) AS sensors_per_facility_max_subject,
    (SELECT count(*) FROM sensors) AS sensors_max,
    coalesce((SELECT rows FROM most_parked), 0) AS parked_per_facility_max,
    (SELECT facility_id FROM most_parked) AS parked_per_facility_max_subject,
    (SELECT count(*) FROM parked) AS parked_max,
    (SELECT count(*) FROM dead_letters) AS dead_letters_max;

-- name: limit_alarm_stands
SELECT active FROM alarms WHERE facility_id = $1 AND alarm_key = $2;

-- name: limit_alarms
SELECT alarm_key, rule FROM alarms WHERE facility_id = $1 AND active ORDER BY alarm_key;

-- == housekeeping ======================================================================================================

-- name: leader_try
SELECT pg_try_advisory_lock(hashtext('gasinsight leader'));

-- name: leader_is
-- The session that leads, by what it calls itself; no row when it has just ended.
SELECT pid, application_name AS name FROM pg_locks JOIN pg_stat_activity session USING (pid)
WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = hashtext('gasinsight leader');

-- name: leader_holds
-- Whether this very session does.
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = hashtext('gasinsight leader'));

-- name: parked_expire
WITH expired AS (DELETE FROM parked WHERE parked_at < $1 AND kind <> 'refused' RETURNING *),
kept AS (
    INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, digest, recorded_at)
    SELECT 'parked', '', 'parked_too_long', kind || ': ' || reason, body, facility_id, sensor_id, digest,
        $2::timestamptz
    FROM expired ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
)
SELECT count(*) FROM expired;

-- name: refused_move
-- Earlier versions parked bad rows of good messages, with `reason: detail`. In pieces, so that no commit waits long; a
-- redelivery since may have left the dead letter already.
WITH moved AS (
    DELETE FROM parked WHERE id = ANY (ARRAY(
        SELECT id FROM parked WHERE kind = 'refused' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING *
), kept AS (
    INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, digest, recorded_at)
    SELECT 'row', '', split_part(reason, ': ', 1), substr(reason, length(split_part(reason, ': ', 1)) + 3), body,
        facility_id, sensor_id, digest, parked_at
    FROM moved ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
)
SELECT count(*) FROM moved;

-- name: redrives_waiting
-- $2: those that are under way.
SELECT id, facility_id, sensor_id, body, raw, asked_at FROM redrives
WHERE state = 'waiting' AND kind = $1 AND id <> ALL($2::int8[]) ORDER BY id LIMIT $3;

-- name: redrive_hold
SELECT kind, digest, asked_at FROM redrives WHERE id = $1 AND state = 'waiting' FOR UPDATE;

-- name: redrive_told
-- The dead letter that the row has become again: by what it is told apart by ($2), or of the same sensor and moment
-- ($5, as all bodies of ours say it).
SELECT reason, detail FROM dead_letters
WHERE digest = $1 OR (recorded_at >= $2 AND facility_id = $3 AND sensor_id = $4 AND position($5::text IN body) > 0)
ORDER BY id DESC LIMIT 1;

-- name: redrive_parked
-- By its digest ($1), or as a row of the same sensor and moment.
SELECT reason FROM parked
WHERE digest = $1 OR (md5(facility_id) = md5($2::text) AND md5(sensor_id) = md5($3::text) AND facility_id = $2
    AND sensor_id = $3 AND tracked_at = $4)
LIMIT 1;

-- name: redrive_in_effect
-- What a row of this kind ($1) brings is there, whoever brought it. $4: the moment of a reading.
SELECT CASE $1::text
    WHEN 'setup' THEN EXISTS (SELECT FROM facilities WHERE id = $2 AND retired_at IS NULL)
    WHEN 'data' THEN EXISTS (
        SELECT FROM sensors JOIN sensor_records USING (sensor_no)
        WHERE sensors.id = $3 AND facility_id = $2 AND tracked_at = $4)
    ELSE EXISTS (SELECT FROM sensors WHERE id = $3 AND facility_id = $2 AND retired_at IS NULL) END;

-- name: redrive_put_back
-- As one dead letter, with what is said of it now; one that is there already is the same one.
INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, digest, raw, recorded_at)
SELECT source, queue, $2, $3, body, facility_id, sensor_id, digest, raw, $4 FROM redrives WHERE id = $1
ON CONFLICT (digest) DO NOTHING;

-- name: redrive_end
-- What is decided is a record; the body is where it belongs by now.
UPDATE redrives SET state = $2, outcome = $3, ended_at = $4, body = '', raw = NULL WHERE id = $1;

-- name: redrives_expire
DELETE FROM redrives WHERE id = ANY (ARRAY(SELECT id FROM redrives WHERE ended_at < $1 LIMIT $2));

-- name: parked_strays
-- An activation waits for its facility; a reading or a deactivation for its sensor in that facility.
SELECT DISTINCT parked.facility_id FROM parked
JOIN facilities ON facilities.id = parked.facility_id AND facilities.retired_at IS NULL
LEFT JOIN sensors ON sensors.id = parked.sensor_id AND sensors.facility_id = parked.facility_id
WHERE kind = 'activation' OR (kind IN ('reading', 'deactivation') AND sensors.id IS NOT NULL)
ORDER BY parked.facility_id;

-- == retention =========================================================================================================

-- name: maintenance_turn
-- Of the session: whoever dies lets the next one go on.
SELECT pg_try_advisory_lock(hashtext('gasinsight maintenance'));

-- name: partitions
-- Days (UTC) that have a partition of their own. Readings are estimated, null as long as nobody has counted.
SELECT child.relname AS name, to_date(right(child.relname, 8), 'YYYYMMDD') AS day,
    pg_total_relation_size(child.oid) AS bytes, nullif(child.reltuples, -1)::int8 AS readings
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'sensor_records'::regclass AND child.relname ~ '^sensor_records_\d{8}$' ORDER BY name;

-- name: stray_days
-- Days before $1 whose readings lie in the default partition.
SELECT (tracked_at AT TIME ZONE 'UTC')::date AS day, count(*) AS readings FROM sensor_records_default
WHERE tracked_at < $1 GROUP BY day ORDER BY day;

-- name: strays_count
-- At most $1: what a look every minute may cost. Without those from $2 on, whose days are not made yet.
SELECT count(*) FROM (SELECT FROM sensor_records_default WHERE tracked_at < $2 LIMIT $1) strays;

-- name: old_strays_stage
-- Readings that came after their time, without a day of their own, for staged_old_set_aside. In pieces, so that no
-- commit waits long.
WITH old AS (
    DELETE FROM sensor_records_default WHERE ctid = ANY (ARRAY(
        SELECT stray.ctid FROM sensor_records_default stray JOIN sensors USING (sensor_no)
        JOIN retention_floors floor ON floor.sensor_type = sensors.type AND stray.tracked_at < floor.kept_from LIMIT $1))
    RETURNING *
)
INSERT INTO staging (sensor_no, tracked_at, value, text_value, score, flags)
SELECT sensor_no, tracked_at, value, text_value, score, flags FROM old;

-- name: old_strays_count
SELECT count(*) FROM sensor_records_default stray JOIN sensors USING (sensor_no)
JOIN unnest($1::text[], $2::timestamptz[]) floor (sensor_type, kept_from)
    ON floor.sensor_type = sensors.type AND stray.tracked_at < floor.kept_from;

-- name: floors_get
SELECT sensor_type, kept_from, settled_to, cleared_to FROM retention_floors;

-- name: floors_raise
-- Never down: what has been removed does not come back.
INSERT INTO retention_floors (sensor_type, kept_from, settled_to, cleared_to)
SELECT sensor_type, kept_from, 'epoch', 'epoch'
FROM unnest($1::text[], $2::timestamptz[]) floor (sensor_type, kept_from)
ON CONFLICT (sensor_type) DO UPDATE SET kept_from = greatest(retention_floors.kept_from, excluded.kept_from);

-- name: rollup_mark_newest
SELECT max(id) FROM rollup_dirty;

-- name: rollup_marks_left
SELECT EXISTS (SELECT FROM rollup_dirty WHERE id <= $1);

-- name: floors_settled
UPDATE retention_floors SET settled_to = kept_from;

-- name: floors_cleared
UPDATE retention_floors SET cleared_to = greatest(cleared_to, least(settled_to, $1::timestamptz));

-- name: sensors_of_types
SELECT sensor_no FROM sensors WHERE type = ANY($1::text[]) ORDER BY sensor_no;

-- name: rollups_expire
-- In pieces, so that no pass of the rollups waits long.
DELETE FROM reading_rollups WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM sensors CROSS JOIN LATERAL (
        SELECT ctid FROM reading_rollups
        WHERE reading_rollups.sensor_no = sensors.sensor_no AND width_s = $1::int4 AND bucket < $2 LIMIT $3
    ) old LIMIT $3));

-- name: rollups_old_count
SELECT count(*) FROM sensors JOIN reading_rollups USING (sensor_no) WHERE width_s = $1::int4 AND bucket < $2;

-- name: log_ends
-- Up to which step each facility's log has had its time: that of the newest checkpoint kept from before $1, or without
-- a time, of the present one. Only what a checkpoint holds goes.
SELECT facility_id, CASE WHEN $1::timestamptz IS NULL THEN commit_no ELSE (
    SELECT max(commit_no) FROM kept_checkpoints kept
    WHERE kept.facility_id = point.facility_id AND kept.recorded_at < $1) END AS commit_no
FROM checkpoints point ORDER BY facility_id;

-- name: log_trim
-- In pieces, so that no commit waits long.
DELETE FROM facility_commits WHERE facility_id = $1 AND commit_no = ANY (ARRAY(
    SELECT commit_no FROM facility_commits WHERE facility_id = $1 AND commit_no <= $2 ORDER BY commit_no LIMIT $3));

-- name: log_trim_count
SELECT count(*) FROM facility_commits WHERE facility_id = $1 AND commit_no <= $2;

-- name: kept_trim
DELETE FROM kept_checkpoints WHERE facility_id = $1 AND commit_no < $2;

-- name: letters_before_retention
SELECT sensor_id, count(*) AS readings FROM dead_letters
WHERE recorded_at > clock_timestamp() - interval '7 days' AND reason = 'before_retention'
GROUP BY sensor_id ORDER BY readings DESC, sensor_id;

-- name: readings_before_sensors
-- Of days that lie wholly before the activation.
SELECT sensors.id AS sensor_id, sum(readings)::int8 AS readings FROM sensors JOIN reading_rollups USING (sensor_no)
WHERE width_s = 86400 AND bucket + interval '1 day' <= installed_at
GROUP BY sensors.id ORDER BY readings DESC, sensor_id;

-- name: rollup_turn
SELECT pg_try_advisory_xact_lock(hashtext('gasinsight rollups'));

-- name: rollup_marks_take
DELETE FROM rollup_dirty WHERE id = ANY (ARRAY(SELECT id FROM rollup_dirty ORDER BY id LIMIT $1))
RETURNING facility_id, minute;

-- name: rollup_minutes
-- From the readings themselves, in one time order, which is sorted once; not where these have been removed. A run is
-- minutes that follow one another, all of them marked: one look at a sensor's index for all of them. Only magnitudes
-- whose squares a double holds count as numbers.
-- good: numeric, and none of the flags text (2), non-finite (4), out of physical range (128).
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, sum, sum_sq, min, max, first, last, readings, good)
SELECT sensors.sensor_no, 60, minute.*
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) run (facility_id, start_at, end_at)
JOIN sensors USING (facility_id)
LEFT JOIN retention_floors floor ON floor.sensor_type = sensors.type
CROSS JOIN LATERAL (
    SELECT bucket, count(number), sum(number ORDER BY tracked_at), sum(square ORDER BY tracked_at), min(number),
        max(number), (array_agg(number ORDER BY tracked_at) FILTER (WHERE number IS NOT NULL))[1],
        (array_agg(number ORDER BY tracked_at) FILTER (WHERE number IS NOT NULL))[count(number)],
        count(*) AS readings, count(*) FILTER (WHERE number IS NOT NULL AND flags & 134 = 0)
    FROM (
        SELECT bucket, tracked_at, flags, number,
            CASE WHEN abs(number) > 1e-150 THEN number * number ELSE number * 0 END AS square
        FROM (
            SELECT date_bin('1 minute', tracked_at, 'epoch') AS bucket, tracked_at, flags,
                CASE WHEN abs(value) < 1e150 THEN value END AS number
            FROM sensor_records
            WHERE sensor_records.sensor_no = sensors.sensor_no
                AND tracked_at >= run.start_at AND tracked_at < run.end_at
                AND tracked_at >= $4 AND tracked_at < $5
        ) numbers
    ) squares
    GROUP BY bucket
) minute
WHERE floor.settled_to IS NULL OR minute.bucket >= floor.settled_to
ON CONFLICT (sensor_no, width_s, bucket) DO UPDATE SET n = excluded.n, sum = excluded.sum, sum_sq = excluded.sum_sq,
    min = excluded.min, max = excluded.max, first = excluded.first, last = excluded.last,
    readings = excluded.readings, good = excluded.good;

-- name: rollup_wider
-- Hours from minutes, days from hours ($4 wide from $5 wide), again in time order, and by runs.
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, sum, sum_sq, min, max, first, last, readings, good)
SELECT sensors.sensor_no, $4::int4, wide.*
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) run (facility_id, start_at, end_at)
JOIN sensors USING (facility_id)
LEFT JOIN retention_floors floor ON floor.sensor_type = sensors.type
CROSS JOIN LATERAL (
    SELECT date_bin(make_interval(secs => $4::int4), bucket, 'epoch') AS start_at, sum(n)::int4,
        sum(sum ORDER BY bucket), sum(sum_sq ORDER BY bucket), min(min), max(max),
        (array_agg(first ORDER BY bucket) FILTER (WHERE n > 0))[1],
        (array_agg(last ORDER BY bucket) FILTER (WHERE n > 0))[count(*) FILTER (WHERE n > 0)],
        sum(readings)::int4, sum(good)::int4
    FROM reading_rollups narrow
    WHERE narrow.sensor_no = sensors.sensor_no AND width_s = $5::int4
        AND bucket >= run.start_at AND bucket < run.end_at
    GROUP BY 1
) wide
WHERE floor.settled_to IS NULL OR wide.start_at >= floor.settled_to
ON CONFLICT (sensor_no, width_s, bucket) DO UPDATE SET n = excluded.n, sum = excluded.sum, sum_sq = excluded.sum_sq,
    min = excluded.min, max = excluded.max, first = excluded.first, last = excluded.last,
    readings = excluded.readings, good = excluded.good;

-- == replays ===========================================================================================================

-- name: replay_start
-- The newest kept checkpoint of before $2, or where there is none, the first of all.
(SELECT commit_no, core_version, state, recorded_at, 0 AS choice FROM kept_checkpoints
 WHERE facility_id = $1 AND recorded_at < $2 ORDER BY commit_no DESC LIMIT 1)
UNION ALL
(SELECT commit_no, core_version, state, recorded_at, 1 FROM kept_checkpoints
 WHERE facility_id = $1 ORDER BY commit_no LIMIT 1)
ORDER BY choice LIMIT 1;

-- name: replay_first_entry
SELECT commit_no, recorded_at FROM facility_commits WHERE facility_id = $1 ORDER BY commit_no LIMIT 1;

-- name: replay_points
-- Where a replay that came from $2 may have to go on.
SELECT commit_no, is_break, recorded_at FROM kept_checkpoints WHERE facility_id = $1 AND commit_no > $2
ORDER BY commit_no;

-- name: replay_state
SELECT core_version, state FROM kept_checkpoints WHERE facility_id = $1 AND commit_no = $2;

-- name: replay_log
SELECT commit_no, kind, payload, coalesce(first_no, commit_no) AS first_no, not_stored, recorded_at
FROM facility_commits WHERE facility_id = $1 AND commit_no > $2 AND recorded_at < $3 ORDER BY commit_no LIMIT $4;

-- name: replay_journal
SELECT id, alarm_key, sensor_no, rule, rule_version, transition, event_time, recorded_at, priority, alert_type, value,
    limit_value, score, message, explanation::text AS explanation, late, actor, reason, command_id
FROM alarm_events
WHERE facility_id = $1 AND id > $2 AND recorded_at >= $3 AND recorded_at < $4 ORDER BY id LIMIT $5;

-- name: replay_told
-- Which of these rows the journal has, from before $6: what is told once is not told again.
SELECT alarm_key, transition, event_time, rule_version FROM alarm_events
WHERE facility_id = $1 AND recorded_at < $6 AND (alarm_key, transition, event_time, rule_version) IN (
    SELECT * FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::int4[]));

-- name: replay_detection
SELECT sensor_type, sensor_id, budget_days, warming_readings, physical_low, physical_high, is_on
FROM detection_settings WHERE facility_id = $1;

-- name: replay_group_numbers
-- Of the groups that the facility has or had.
SELECT DISTINCT named ->> 'name' AS name, (named ->> 'no')::int4 AS no FROM facility_groups, jsonb_array_elements(settings -> 'groups') named
WHERE facility_id = $1;

-- == replays that people asked for =====================================================================================

-- name: replay_parts_again
-- Those that a leader before us had begun.
UPDATE replay_parts SET state = 'queued' WHERE state = 'running';

-- name: replay_parts_claim
-- The first facility of each replay before any second one, so that a large one keeps nobody waiting.
UPDATE replay_parts part SET state = 'running', attempts = part.attempts + 1
FROM (
    SELECT waiting.replay_id, waiting.place, r.wanted
    FROM replay_parts waiting JOIN replays r ON r.id = waiting.replay_id
    WHERE waiting.state = 'queued' AND r.state IN ('queued', 'running')
    ORDER BY waiting.place, r.asked_at, r.id LIMIT $1 FOR UPDATE OF waiting SKIP LOCKED
) next
WHERE part.replay_id = next.replay_id AND part.place = next.place
RETURNING part.replay_id, part.place, part.facility_id, part.attempts, next.wanted;

-- name: replay_part_told
-- Nothing comes back where nobody wants it any more, or somebody else has begun it since.
UPDATE replay_parts part SET progress = $4, readings = $5 FROM replays r
WHERE part.replay_id = $1 AND part.place = $2 AND part.attempts = $3 AND part.state = 'running'
    AND r.id = part.replay_id AND r.state IN ('queued', 'running')
RETURNING true;

-- name: replay_part_ended
UPDATE replay_parts SET state = $4, progress = 1, problem = $5, result = $6, readings = coalesce($7, readings)
WHERE replay_id = $1 AND place = $2 AND attempts = $3 AND state = 'running';

-- name: replay_part_again
-- Its process ended before it did; after $4 attempts nobody tries any more.
UPDATE replay_parts SET state = CASE WHEN attempts < $4 THEN 'queued' ELSE 'failed' END,
    problem = CASE WHEN attempts < $4 THEN '' ELSE $5 END
WHERE replay_id = $1 AND place = $2 AND attempts = $3 AND state = 'running';

-- name: replays_sum_up
-- Where nothing has changed nothing is written.
UPDATE replays r SET state = now_so.state, progress = now_so.progress, readings = now_so.readings,
    ended_at = CASE WHEN now_so.state IN ('done', 'failed') THEN $1::timestamptz END
FROM (
    SELECT under_way.id, coalesce(avg(part.progress), 0) AS progress, coalesce(sum(part.readings), 0) AS readings,
        CASE WHEN count(*) FILTER (WHERE part.state IN ('queued', 'running')) = 0 THEN
                CASE WHEN count(*) FILTER (WHERE part.state = 'done') < count(*) THEN 'failed' ELSE 'done' END
            WHEN count(*) FILTER (WHERE part.state <> 'queued') = 0 THEN 'queued'
            ELSE 'running' END AS state
    FROM replays under_way LEFT JOIN replay_parts part ON part.replay_id = under_way.id
    WHERE under_way.state IN ('queued', 'running') GROUP BY under_way.id
) now_so
WHERE r.id = now_so.id AND r.state IN ('queued', 'running')
    AND (r.state, r.progress, r.readings) IS DISTINCT FROM (now_so.state, now_so.progress, now_so.readings);

-- name: replays_forget
DELETE FROM replays WHERE expires_at <= $1;

-- == commands of people ================================================================================================

-- name: commands_of_closed
-- A retired facility that has let go is loaded no more.
SELECT command_id FROM alarm_commands JOIN facilities ON facilities.id = facility_id
WHERE state = 'waiting' AND closed_at IS NOT NULL ORDER BY command_id;

-- name: commands_waiting
-- In the order in which they were asked for.
SELECT command_id, facility_id, alarm_key, command, asked_at AS at_us, actor, reason, until AS until_us, assignee,
    work_order, verdict, about_event_id
FROM alarm_commands WHERE state = 'waiting' ORDER BY id LIMIT $1;

-- name: refused_commands_old
-- Whose alarm's journal has nothing of it: what the journal shows of a command is read from here for as long as it does.
SELECT count(*) FROM alarm_commands asked WHERE state = 'refused' AND decided_at < $1 AND NOT EXISTS (
    SELECT FROM alarm_events e WHERE e.facility_id = asked.facility_id AND e.alarm_key = asked.alarm_key
    AND e.command_id = asked.command_id);

-- name: refused_commands_expire
DELETE FROM alarm_commands WHERE id = ANY (ARRAY(
    SELECT id FROM alarm_commands asked WHERE state = 'refused' AND decided_at < $1 AND NOT EXISTS (
        SELECT FROM alarm_events e WHERE e.facility_id = asked.facility_id AND e.alarm_key = asked.alarm_key
        AND e.command_id = asked.command_id)
    LIMIT $2));

-- == planned rules ====================================================================================================

-- name: planned_due
-- The earliest, and of two for one moment the one that was filed first.
SELECT id, facility_id, sensor_type, sensor_id, settings FROM planned_rules
WHERE refusal IS NULL AND effective_from <= now() ORDER BY effective_from, id LIMIT 1;

-- name: planned_take
-- After the lock of its subject, in which order a removal takes them too. Nothing: it was withdrawn meanwhile.
SELECT id FROM planned_rules WHERE id = $1 AND refusal IS NULL FOR UPDATE;

-- name: planned_sensor_lock
-- As whoever sets its rules does.
SELECT id FROM sensors WHERE id = $1 FOR NO KEY UPDATE;

-- name: planned_facility_lock
SELECT id FROM facilities WHERE id = $1 FOR NO KEY UPDATE;

-- name: type_of_sensor
SELECT type FROM sensors WHERE id = $1;

-- name: rules_of_type
SELECT settings FROM sensor_rules WHERE facility_id = $1 AND sensor_type = $2 ORDER BY id DESC LIMIT 1;

-- name: rules_of_sensors
-- The newest of each sensor of a type.
SELECT DISTINCT ON (r.sensor_id) r.settings FROM sensor_rules r JOIN sensors s ON s.id = r.sensor_id
WHERE r.facility_id = $1 AND s.type = $2 ORDER BY r.sensor_id, r.id DESC;

-- name: planned_hold
-- The clock is read after the lock, so that the versions of a subject are in the order of their times.
WITH due AS (DELETE FROM planned_rules WHERE id = $1 RETURNING *)
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_at, set_by, set_by_name, reason,
    effective_from)
SELECT facility_id, sensor_type, sensor_id, settings, clock_timestamp(), set_by, set_by_name, reason, effective_from
FROM due;

-- name: planned_refuse
UPDATE planned_rules SET refusal = $2 WHERE id = $1;

-- name: facility_changed
-- Its owner loads it again.
SELECT pg_notify('facility_config', $1);

-- == notifications =====================================================================================================

-- name: notification_turn
-- Held to the commit by whoever makes entries or messages; answers with the last row of the journal that was looked at.
SELECT last_event_id FROM notification_cursor WHERE id = 1 FOR UPDATE;

-- name: notification_upto
-- The end of the next piece of the journal, $2 rows at most; ids become visible in their order.
SELECT max(id) FROM (SELECT id FROM alarm_events WHERE id > $1 ORDER BY id LIMIT $2) piece;

-- name: notification_beginnings
-- Who is to be told of the rows after $1 up to $2, each channel once of each. A time of day is that of the zone at the
-- moment at which it would be told; a window over midnight belongs to the day on which it begins.
INSERT INTO notification_entries
    (channel_id, subscription_id, event_id, facility_id, alarm_key, priority, after_minutes, due_at)
SELECT DISTINCT ON (s.channel_id, e.id, s.after_minutes)
    s.channel_id, s.id, e.id, e.facility_id, e.alarm_key, e.priority, s.after_minutes, told.due_at
FROM alarm_events e
JOIN notification_subscriptions s ON (s.facility_ids IS NULL OR e.facility_id = ANY(s.facility_ids))
    AND (s.rules IS NULL OR e.rule = ANY(s.rules))
    AND coalesce(array_position('{low,medium,high,critical}'::text[], e.priority), 4)
        >= array_position('{low,medium,high,critical}'::text[], s.least_priority)
JOIN notification_channels c ON c.id = s.channel_id AND c.enabled
CROSS JOIN LATERAL (SELECT e.recorded_at + make_interval(mins => s.after_minutes) AS due_at) told
CROSS JOIN LATERAL (SELECT told.due_at AT TIME ZONE s.zone AS at) here
WHERE e.id > $1 AND e.id <= $2
    AND CASE
        WHEN s.after_minutes > 0 THEN e.transition = 'activated' AND NOT e.late
        WHEN e.transition = 'returned' THEN s.returned AND NOT e.late
        ELSE e.transition IN ('activated', 're_alarmed') END
    AND CASE
        WHEN s.from_time < s.to_time THEN
            here.at::time >= s.from_time AND here.at::time < s.to_time
            AND extract(isodow FROM here.at)::integer = ANY(s.days)
        WHEN here.at::time >= s.from_time THEN extract(isodow FROM here.at)::integer = ANY(s.days)
        WHEN here.at::time < s.to_time THEN
            extract(isodow FROM here.at - interval '1 day')::integer = ANY(s.days)
        ELSE false END
ORDER BY s.channel_id, e.id, s.after_minutes, s.id
ON CONFLICT DO NOTHING;

-- name: notification_returns_untold
-- The end of an alarm is news to those who heard of its beginning, and not while it is kept from people.
DELETE FROM notification_entries told USING alarm_events e
WHERE e.id > $1 AND e.id <= $2 AND e.id = told.event_id AND e.transition = 'returned' AND told.group_id IS NULL AND (
    EXISTS (SELECT FROM alarms a
        WHERE a.facility_id = e.facility_id AND a.alarm_key = e.alarm_key AND a.suppression <> 'none')
    OR NOT EXISTS (SELECT FROM notification_entries begun
        WHERE begun.channel_id = told.channel_id AND begun.event_id = (
            SELECT max(b.id) FROM alarm_events b
            WHERE b.facility_id = e.facility_id AND b.alarm_key = e.alarm_key AND b.id < e.id
                AND b.transition IN ('activated', 'activated_silently'))));

-- name: notification_escalations_off
-- Somebody has seen it, or keeps it from people.
DELETE FROM notification_entries waiting USING alarm_events e
WHERE waiting.group_id IS NULL AND waiting.after_minutes > 0 AND e.id > $1 AND e.id <= $2 AND e.id > waiting.event_id
    AND e.facility_id = waiting.facility_id AND e.alarm_key = waiting.alarm_key
    AND e.transition IN ('acknowledged', 'shelved', 'suppressed', 'out_of_service');

-- name: notification_escalations_once
-- What comes and goes and nobody acknowledges counts from its first time, or it would never be too long.
DELETE FROM notification_entries later USING notification_entries earlier
WHERE later.group_id IS NULL AND later.after_minutes > 0 AND later.event_id > $1
    AND earlier.group_id IS NULL AND earlier.event_id < later.event_id
    AND earlier.subscription_id = later.subscription_id
    AND earlier.facility_id = later.facility_id AND earlier.alarm_key = later.alarm_key
    AND earlier.after_minutes = later.after_minutes;

-- name: notification_advance
UPDATE notification_cursor SET last_event_id = $1 WHERE id = 1;

-- name: notification_due
-- Channels that something is to be told to.
SELECT c.id, c.name, c.kind, c.settings, c.grouped_at, c.window_s, bool_or(e.priority = 'critical') AS is_critical
FROM notification_entries e JOIN notification_channels c ON c.id = e.channel_id
WHERE e.group_id IS NULL AND e.due_at <= $1 GROUP BY c.id ORDER BY c.id;

-- name: notification_group
-- All of a channel that is due becomes one group; answers with its lines, the most urgent first, $4 at most, and how
-- many there are of each priority in all. What was removed with its facility since is told to nobody.
WITH taken AS (
    UPDATE notification_entries SET group_id = $2
    WHERE channel_id = $1 AND group_id IS NULL AND due_at <= $3
    RETURNING event_id, subscription_id, after_minutes
), there AS (
    SELECT e.*, taken.after_minutes, s.zone FROM taken JOIN alarm_events e ON e.id = taken.event_id
    JOIN notification_subscriptions s ON s.id = taken.subscription_id
)
SELECT e.id AS event_id, e.facility_id, f.name AS facility_name, e.alarm_key AS alarm_id, sensors.id AS sensor_id,
    sensors.name AS sensor_name, e.rule, e.transition, e.priority, e.message, e.value, e.limit_value AS "limit",
    e.explanation ->> 'unit' AS unit, e.explanation ->> 'consequence' AS consequence,
    e.explanation ->> 'response' AS response, e.after_minutes,
    to_char(e.event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS event_time,
    to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at,
    to_char(e.event_time AT TIME ZONE e.zone, 'YYYY-MM-DD HH24:MI:SS ') || e.zone AS event_time_here,
    count(*) OVER () AS total, count(*) FILTER (WHERE e.priority = 'critical') OVER () AS critical,
    count(*) FILTER (WHERE e.priority = 'high') OVER () AS high,
    count(*) FILTER (WHERE e.priority = 'medium') OVER () AS medium,
    count(*) FILTER (WHERE e.priority = 'low') OVER () AS low
FROM there e LEFT JOIN facilities f ON f.id = e.facility_id LEFT JOIN sensors ON sensors.sensor_no = e.sensor_no
ORDER BY coalesce(array_position('{critical,high,medium,low}'::text[], e.priority), 0), e.id LIMIT $4;

-- name: notification_grouped
UPDATE notification_channels SET grouped_at = $2, window_s = $3 WHERE id = $1;

-- name: notification_write
INSERT INTO notification_messages (message_id, group_id, channel_id, recipient, subject, content, made_at, state,
    attempts, next_try_at, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, $7, '');

-- name: notification_claim
-- The oldest messages that are to be sent now, one a channel, for whoever asks first: nobody else takes them until $2.
UPDATE notification_messages taken SET next_try_at = $2, attempts = attempts + 1
FROM (
    SELECT m.id FROM notification_messages m JOIN (
        SELECT DISTINCT ON (each.channel_id) each.id FROM notification_messages each
        JOIN notification_channels on_channel ON on_channel.id = each.channel_id AND on_channel.enabled
        WHERE each.state = 'waiting' AND each.next_try_at <= $1 AND each.channel_id <> ALL($3::int4[])
        ORDER BY each.channel_id, each.id
    ) next USING (id) FOR UPDATE OF m SKIP LOCKED
) ready, notification_channels c
WHERE taken.id = ready.id AND taken.state = 'waiting' AND taken.next_try_at <= $1 AND c.id = taken.channel_id
RETURNING taken.id, taken.message_id, taken.channel_id, taken.recipient, taken.subject, taken.content, taken.made_at,
    taken.attempts, c.name AS channel, c.kind, c.settings, c.sealed;

-- name: notification_end
UPDATE notification_messages SET state = $2, ended_at = $3, error = $4 WHERE id = $1 AND state = 'waiting';

-- name: notification_later
UPDATE notification_messages SET next_try_at = $2, error = $3 WHERE id = $1 AND state = 'waiting';

-- name: notification_give_up_old
-- Of channels that are off; the others give up after a try.
UPDATE notification_messages SET state = 'given_up', ended_at = $2, error = 'the channel was off'
WHERE state = 'waiting' AND made_at < $1
    AND channel_id IN (SELECT id FROM notification_channels WHERE NOT enabled);

-- name: notification_forget
-- In pieces, so that no statement is long.
WITH entries AS (
    DELETE FROM notification_entries WHERE id = ANY (ARRAY(
        SELECT id FROM notification_entries WHERE due_at < $1 AND group_id IS NOT NULL LIMIT $2)) RETURNING id
), messages AS (
    DELETE FROM notification_messages WHERE id = ANY (ARRAY(
        SELECT id FROM notification_messages WHERE made_at < $1 AND state <> 'waiting' LIMIT $2)) RETURNING id
)
SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM messages);

-- name: notification_state
-- What waits for channels that could not be reached, and what was given up since $1.
SELECT c.name AS channel, count(*) FILTER (WHERE m.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE m.state = 'given_up') AS given_up,
    min(m.made_at) FILTER (WHERE m.state = 'waiting') AS since, max(m.error) AS error
FROM notification_messages m JOIN notification_channels c ON c.id = m.channel_id
WHERE (m.state = 'waiting' AND m.error <> '' AND c.enabled)
    OR (m.state = 'given_up' AND m.ended_at >= $1 AND m.made_at >= $1::timestamptz - interval '2 days')
GROUP BY c.name ORDER BY c.name;

-- == removals ==========================================================================================================

-- name: removal_next
SELECT id, kind, subject_id, facility_id, removed_at, sensor_nos, last_event_id FROM removals
WHERE done_at IS NULL ORDER BY id LIMIT 1;

-- name: removal_readings
DELETE FROM sensor_records WHERE sensor_no = $1 AND tracked_at = ANY (ARRAY(
    SELECT tracked_at FROM sensor_records WHERE sensor_no = $1 ORDER BY tracked_at LIMIT $2));

-- name: removal_rollups
DELETE FROM reading_rollups WHERE sensor_no = $1 AND (width_s, bucket) IN (
    SELECT width_s, bucket FROM reading_rollups WHERE sensor_no = $1 LIMIT $2);

-- name: removal_conflicts
DELETE FROM reading_conflicts WHERE id = ANY (ARRAY(
    SELECT id FROM reading_conflicts WHERE sensor_no = $1 LIMIT $2));

-- name: removal_events
DELETE FROM alarm_events WHERE id = ANY (ARRAY(
    SELECT id FROM alarm_events WHERE sensor_no = $1 LIMIT $2));

-- name: removal_sensor_done
UPDATE removals SET sensor_nos = array_remove(sensor_nos, $2) WHERE id = $1;

-- name: removal_facility_events
DELETE FROM alarm_events WHERE id = ANY (ARRAY(
    SELECT id FROM alarm_events WHERE facility_id = $1 AND id <= $2 LIMIT $3));

-- name: removal_parked
DELETE FROM parked WHERE id = ANY (ARRAY(
    SELECT id FROM parked WHERE md5(facility_id) = md5($1::text) AND facility_id = $1 AND parked_at <= $2
        AND ($3::text IS NULL OR sensor_id = $3) LIMIT $4 FOR UPDATE SKIP LOCKED));

-- name: removal_letters
DELETE FROM dead_letters WHERE id = ANY (ARRAY(
    SELECT id FROM dead_letters WHERE facility_id = $1 AND recorded_at <= $2
        AND ($3::text IS NULL OR sensor_id = $3) LIMIT $4));

-- name: removal_done
UPDATE removals SET done_at = $2 WHERE id = $1;

-- == nodes =============================================================================================================

-- name: drained_get
SELECT node_id FROM drained_nodes ORDER BY node_id;

-- name: drained_add
INSERT INTO drained_nodes (node_id, address, requested_at) VALUES ($1, $2, clock_timestamp()) ON CONFLICT DO NOTHING;

-- name: drained_remove
DELETE FROM drained_nodes WHERE node_id = $1;

-- name: drained_forget
DELETE FROM drained_nodes WHERE node_id <> ALL($1::text[]);

-- == after a restore ===================================================================================================

-- name: tables_present
SELECT count(*) FROM pg_class JOIN pg_namespace space ON space.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'S') AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema';

-- name: restored_fence
-- Incarnations that wrote to the original after the backup may hold the epochs that come next: no number comes twice.
UPDATE facility_epochs SET epoch = epoch + $1::bigint;

-- name: restored_journal
-- Clients resume after the newest id they have seen, which may be one that was drawn after the backup.
SELECT setval('alarm_events_id_seq', last_value + $1::bigint) FROM alarm_events_id_seq;

-- name: restored_sessions
-- Who was signed out, or changed a password, since the backup must not be signed in again by it.
UPDATE users SET sessions_valid_from = $1::timestamptz;

-- name: restored_refresh
UPDATE refresh_tokens SET revoked_at = $1::timestamptz WHERE revoked_at IS NULL;

-- name: backup_counts
SELECT (SELECT count(*) FROM facilities) AS facilities, (SELECT count(*) FROM sensors) AS sensors,
    (SELECT max(newest.recorded_at) FROM facilities CROSS JOIN LATERAL (
        SELECT recorded_at FROM facility_commits WHERE facility_id = facilities.id ORDER BY commit_no DESC LIMIT 1
    ) newest) AS last_commit_at;

-- name: audit_newest
-- The end of the audit log, and the hash of row $1 of it.
SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00') AS seen_at, coalesce(newest.id, 0) AS rows,
       newest.hash, (SELECT hash FROM audit_log WHERE id = $1) AS hash_then
  FROM (SELECT) AS always LEFT JOIN (SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1) AS newest ON true;
