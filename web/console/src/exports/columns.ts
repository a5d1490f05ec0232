// What each data set can hold, as the server names it: docs/exports.md says what each is.
import type { NewExport } from "../api/pageTypes";

export type DataSet = NewExport["dataset"];

export const COLUMNS: Record<DataSet, readonly string[]> = {
  records: ["facility_id", "sensor_id", "tracked_at", "value", "text", "score", "flags"],
  rollups: ["facility_id", "sensor_id", "width_s", "bucket", "readings", "n", "sum", "sum_sq", "min", "max", "first", "last", "good", "good_fraction"],
  alarms: ["id", "facility_id", "sensor_id", "alarm_key", "rule", "rule_version", "transition", "event_time", "recorded_at", "priority", "alert_type", "value", "limit", "score", "message", "explanation", "late", "actor", "reason", "verdict", "about_id"],
  alerts: ["id", "facility_id", "sensor_id", "sensor_type", "alert_type", "rule", "event_time", "created_at", "message", "explanation", "verdict", "verdict_at", "verdict_by"],
  sensors: ["facility_id", "sensor_id", "name", "type", "status", "expected_freq", "expected_interval_s", "installed_at", "status_changed_at", "longitude", "latitude", "address"],
  facilities: ["facility_id", "name", "type", "status", "created_at", "longitude", "latitude", "address"],
  detection: ["facility_id", "sensor_type", "sensor_id", "version", "from", "until", "set_by", "budget_days", "warming_readings", "physical_low", "physical_high", "is_on"],
};
