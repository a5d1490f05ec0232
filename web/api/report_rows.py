"""What reports list, as statements: over the journal, what people asked, and what is set.

Each takes whether the caller is an Admin, their principal, the facilities ([] for all they may view); those of a range
its two ends.
"""

# ruff: noqa: S608 - names and numbers only

from __future__ import annotations

from typing import Final

from web.wire.alarms import STATE

ENTRIES_MAX: Final = 20_000
"""Of one report; a month with more is asked for by facility."""
_SCOPE = """
       ($1 OR {0}.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
   AND (cardinality($3::text[]) = 0 OR {0}.facility_id = ANY($3::text[]))
"""
_NAMED = """
  LEFT JOIN facilities f ON f.id = x.facility_id
  LEFT JOIN sensors s ON s.sensor_no = x.sensor_no
"""
_PLACE = "x.facility_id, f.name AS facility_name, x.alarm_key AS alarm_id, s.id AS sensor_id, s.name AS sensor_name"
# What people took away from people, from when it was in force until something else was.
KEPT_BACK = f"""
SELECT CASE x.transition WHEN 'out_of_service' THEN 'off_scan' ELSE 'inhibited' END AS kind, {_PLACE},
       replace(x.transition, '_', ' ') AS what, x.event_time AS since, over.at AS until, c.actor_name AS by,
       concat_ws(', work order ', nullif(c.reason, ''), c.work_order) AS why
  FROM alarm_commands c
  JOIN alarm_events x ON x.facility_id = c.facility_id AND x.alarm_key = c.alarm_key AND x.event_time = c.asked_at
   AND x.transition IN ('shelved', 'suppressed', 'out_of_service')
 CROSS JOIN LATERAL (
       SELECT min(e.event_time) AS at FROM alarm_events e
        WHERE e.facility_id = x.facility_id AND e.alarm_key = x.alarm_key AND e.event_time > x.event_time
          AND e.transition IN ('unshelved', 'unsuppressed', 'in_service', 'shelved', 'suppressed', 'out_of_service')
       ) over {_NAMED}
 WHERE c.state = 'done' AND c.command IN ('shelve', 'suppress', 'out_of_service') AND {_SCOPE.format("c")}
   AND x.event_time <= $5 AND coalesce(over.at, 'infinity') >= $4
"""
# A sensor that is deactivated; the past of that is not kept.
DEACTIVATED = f"""
SELECT 'off_scan' AS kind, x.facility_id, f.name AS facility_name, NULL AS alarm_id, x.id AS sensor_id,
       x.name AS sensor_name, lower(x.status) AS what, x.status_changed_at AS since, NULL::timestamptz AS until,
       NULL AS by, NULL AS why
  FROM sensors x JOIN facilities f ON f.id = x.facility_id
 WHERE x.status <> 'Active' AND x.retired_at IS NULL AND {_SCOPE.format("x")}
   AND greatest(x.status_changed_at, $4) <= $5
"""
# A rule that was switched off, from when that was set until something else was.
SWITCHED_OFF = f"""
SELECT 'inhibited' AS kind, x.facility_id, f.name AS facility_name, NULL AS alarm_id, x.sensor_id,
       coalesce(s.name, 'every ' || x.sensor_type) AS sensor_name,
       'rule ' || (off.rule->>'rule') || ' switched off' AS what, x.set_at AS since, x.until,
       x.set_by_name AS by, nullif(x.reason, '') AS why
  FROM (SELECT r.*, lead(r.set_at) OVER of_subject AS until
          FROM sensor_rules r WHERE {_SCOPE.format("r")}
        WINDOW of_subject AS (PARTITION BY r.facility_id, r.sensor_type, r.sensor_id ORDER BY r.id)) x
 CROSS JOIN LATERAL jsonb_array_elements(coalesce(x.settings->'rules', '[]')) off (rule)
  JOIN facilities f ON f.id = x.facility_id
  LEFT JOIN sensors s ON s.id = x.sensor_id
 WHERE off.rule->'enabled' = 'false' AND x.set_at <= $5 AND coalesce(x.until, 'infinity') >= $4
"""
# By the last verdict on each.
FALSE_ALARMS = f"""
SELECT 'false_alarm' AS kind, {_PLACE}, x.message AS what, x.event_time AS since, over.at AS until,
       v.actor_name AS by, nullif(v.reason, '') AS why
  FROM (SELECT DISTINCT ON (c.about_event_id) c.* FROM alarm_commands c
         WHERE c.command = 'verdict' AND c.state = 'done' AND {_SCOPE.format("c")}
         ORDER BY c.about_event_id, c.asked_at DESC) v
  JOIN alarm_events x ON x.id = v.about_event_id
 CROSS JOIN LATERAL (
       SELECT min(e.event_time) AS at FROM alarm_events e
        WHERE e.facility_id = x.facility_id AND e.alarm_key = x.alarm_key AND e.transition = 'returned'
          AND e.event_time > x.event_time) over {_NAMED}
 WHERE v.verdict = 'false' AND x.event_time BETWEEN $4 AND $5
"""
OF_MONTH: Final = tuple(
    f"{sql} LIMIT {ENTRIES_MAX + 1}" for sql in (KEPT_BACK, DEACTIVATED, SWITCHED_OFF, FALSE_ALARMS)
)
NAME_ALARMS = """
SELECT a.facility_id, a.alarm_key AS alarm_id, f.name AS facility_name, s.id AS sensor_id, s.name AS sensor_name
  FROM unnest($1::text[], $2::text[]) AS wanted (facility_id, alarm_key)
  JOIN alarms a ON a.facility_id = wanted.facility_id AND a.alarm_key = wanted.alarm_key
  LEFT JOIN facilities f ON f.id = a.facility_id
  LEFT JOIN sensors s ON s.sensor_no = a.sensor_no
"""
STANDING = f"""
SELECT CASE WHEN x.suppression <> 'none' THEN 'kept_back' ELSE 'stands' END AS kind, {_PLACE},
       concat(replace({STATE.replace("a.", "x.")}, '_', ' '), ': ' || x.message) AS what,
       coalesce(x.suppressed_at, x.since) AS since,
       x.suppressed_until AS until, coalesce(c.actor_name, x.suppressed_by, x.acknowledged_by) AS by,
       x.suppression_reason AS why
  FROM alarms x {_NAMED}
  LEFT JOIN alarm_commands c ON c.facility_id = x.facility_id AND c.alarm_key = x.alarm_key
   AND c.asked_at = coalesce(x.suppressed_at, x.acknowledged_at)
 WHERE {STATE.replace("a.", "x.")} <> 'normal' AND {_SCOPE.format("x")}
 ORDER BY x.last_event_id DESC LIMIT {ENTRIES_MAX + 1}
"""
HAPPENED = f"""
SELECT 'happened' AS kind, {_PLACE}, concat(replace(x.transition, '_', ' '), ': ' || nullif(x.message, '')) AS what,
       x.event_time AS since, NULL::timestamptz AS until, c.actor_name AS by, nullif(x.reason, '') AS why
  FROM alarm_events x {_NAMED}
  LEFT JOIN alarm_commands c ON c.command_id = x.command_id
 WHERE {_SCOPE.format("x")} AND x.event_time BETWEEN $4 AND $5
   AND x.transition NOT IN ('returned', 'activated_silently', 're_alarmed', 'acknowledged')
 ORDER BY x.event_time, x.id LIMIT {ENTRIES_MAX + 1}
"""
