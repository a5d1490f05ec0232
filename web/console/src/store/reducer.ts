// What a row of the journal makes of its alarm: the same words as the server has for it.
import type { AlarmNow, JournalEntry } from "../api/types";

export interface Names {
  facility: (id: string) => string | null;
  sensor: (id: string) => { name: string; type: string } | null;
}

const SUPPRESSIONS: Record<string, AlarmNow["suppression"]> = {
  shelved: "shelved",
  suppressed: "by_design",
  out_of_service: "out_of_service",
};
const RELEASES = new Set(["unshelved", "unsuppressed", "in_service"]);
const UNSUPPRESSED = {
  suppression: "none",
  suppressed_at: null,
  suppressed_until: null,
  suppressed_by: null,
  suppression_reason: null,
  work_order: null,
} as const;

export function keyOf(facilityId: string, alarmId: string): string {
  return `${facilityId}\n${alarmId}`;
}

/** The alarm after that row; a late row tells of the past and moves no condition, but an alert is somebody's. */
export function moved(known: AlarmNow | undefined, event: JournalEntry, names: Names): AlarmNow | undefined {
  if (known !== undefined && event.id <= known.last_event_id) return known;
  const told = event.late ? saidLate(event) : said(event);
  if (told === undefined) return known;
  const before = known ?? normal(event, names);
  const after = { ...before, ...told, last_event_id: event.id };
  return { ...after, state: stateOf(after) };
}

export function stateOf(alarm: AlarmNow): AlarmNow["state"] {
  if (alarm.suppression !== "none") return alarm.suppression;
  if (alarm.active) return alarm.acknowledged ? "acknowledged" : "unacknowledged";
  if (alarm.latched) return "latched";
  return alarm.acknowledged ? "normal" : "returned_unacknowledged";
}

const UNACKNOWLEDGED = { acknowledged: false, acknowledged_at: null, acknowledged_by: null } as const;

function latchedBy(event: JournalEntry): Partial<AlarmNow> {
  return event.latched ? { latched: true } : {};
}

function saidLate(event: JournalEntry): Partial<AlarmNow> | undefined {
  return event.transition === "activated" ? { ...latchedBy(event), ...UNACKNOWLEDGED } : undefined;
}

function said(event: JournalEntry): Partial<AlarmNow> {
  const condition = { active: event.transition !== "returned", since: event.event_time, priority: event.priority };
  const content = { message: event.message, value: event.value, limit: event.limit };
  const began = { ...condition, ...latchedBy(event), ...content };
  switch (event.transition) {
    case "activated":
      return { ...began, ...UNACKNOWLEDGED };
    case "activated_silently":
      return began;
    case "returned":
      return condition;
    case "acknowledged":
      return { acknowledged: true, acknowledged_at: event.event_time, acknowledged_by: event.actor };
    case "assigned":
      return { assignee: event.assignee || null };
    case "reset":
      return { latched: false };
  }
  const suppression = SUPPRESSIONS[event.transition];
  if (suppression !== undefined) {
    return {
      suppression,
      suppressed_at: event.event_time,
      suppressed_until: event.until,
      suppressed_by: event.actor,
      suppression_reason: event.reason,
      work_order: event.work_order,
    };
  }
  return RELEASES.has(event.transition) ? UNSUPPRESSED : {};
}

function normal(event: JournalEntry, names: Names): AlarmNow {
  const sensor = event.sensor_id === null ? null : names.sensor(event.sensor_id);
  return {
    id: event.alarm_id,
    facility_id: event.facility_id,
    facility_name: names.facility(event.facility_id),
    sensor_id: event.sensor_id,
    sensor_name: sensor?.name ?? null,
    sensor_type: sensor?.type ?? null,
    rule: event.rule,
    state: "normal",
    active: false,
    acknowledged: true,
    acknowledged_at: null,
    acknowledged_by: null,
    ...UNSUPPRESSED,
    assignee: null,
    latched: false,
    priority: event.priority,
    since: event.event_time,
    message: null,
    value: null,
    limit: null,
    last_event_id: 0,
  };
}
