// Alarms in the order in which they are read, incidents folded: what the list shows, before it is held still.
import { rank, type AlarmNow } from "../api/types";
import type { OpenIncident } from "./incidents";
import { keyOf } from "./reducer";

export type SortBy = "priority" | "time" | "facility";

export interface Filter {
  text: string;
  facilityId: string;
  state: string;
  priorities: ReadonlySet<string>;
}

export interface AlarmRow {
  kind: "alarm";
  key: string;
  alarm: AlarmNow;
  isMember: boolean;
}

export interface IncidentRow {
  kind: "incident";
  key: string;
  of: OpenIncident;
  alarms: AlarmNow[];
  isOpen: boolean;
}

export type Row = AlarmRow | IncidentRow;

const FOLDED_MIN = 2;

export function arranged(
  present: Iterable<AlarmNow>,
  incidentOf: ReadonlyMap<string, OpenIncident>,
  filter: Filter,
  sortBy: SortBy,
  opened: ReadonlySet<string>,
): Row[] {
  const folded = new Map<OpenIncident, AlarmNow[]>();
  const alone: AlarmNow[] = [];
  const matches = matcher(filter);
  for (const alarm of present) {
    if (!matches(alarm)) continue;
    const incident = incidentOf.get(keyOf(alarm.facility_id, alarm.id));
    const group = incident && folded.get(incident);
    if (incident === undefined) alone.push(alarm);
    else if (group === undefined) folded.set(incident, [alarm]);
    else group.push(alarm);
  }
  const tops: [AlarmNow, Row][] = [];
  for (const [of, alarms] of folded) {
    if (alarms.length < FOLDED_MIN) alone.push(...alarms);
    else tops.push(incidentRow(of, alarms, sortBy, opened));
  }
  for (const alarm of alone) tops.push([alarm, alarmRow(alarm, false)]);
  const order = ORDERS[sortBy];
  tops.sort(([a], [b]) => order(a, b));
  return tops.flatMap(([, row]) => [row, ...membersOf(row)]);
}

function incidentRow(
  of: OpenIncident,
  alarms: AlarmNow[],
  sortBy: SortBy,
  opened: ReadonlySet<string>,
): [AlarmNow, Row] {
  const key = `incident ${of.incident.id}`;
  alarms.sort(ORDERS[sortBy]);
  return [alarms[0] as AlarmNow, { kind: "incident", key, of, alarms, isOpen: opened.has(key) }];
}

function alarmRow(alarm: AlarmNow, isMember: boolean): AlarmRow {
  return { kind: "alarm", key: keyOf(alarm.facility_id, alarm.id), alarm, isMember };
}

export function membersOf(row: Row): AlarmRow[] {
  return row.kind === "incident" && row.isOpen ? row.alarms.map((alarm) => alarmRow(alarm, true)) : [];
}

function matcher(filter: Filter): (alarm: AlarmNow) => boolean {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return (alarm) =>
    (filter.priorities.size === 0 || filter.priorities.has(alarm.priority)) &&
    (filter.facilityId === "" || filter.facilityId === alarm.facility_id) &&
    (filter.state === "" || filter.state === alarm.state) &&
    (words.length === 0 || hasAll(alarm, words));
}

function hasAll(alarm: AlarmNow, words: string[]): boolean {
  const said = [alarm.facility_name, alarm.sensor_name, alarm.sensor_type, alarm.rule, alarm.message, alarm.assignee];
  const text = said.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

const STATE_RANK: Record<AlarmNow["state"], number> = {
  unacknowledged: 0,
  acknowledged: 1,
  returned_unacknowledged: 2,
  latched: 3,
  shelved: 4,
  by_design: 5,
  out_of_service: 6,
  normal: 7,
};

type Order = (a: AlarmNow, b: AlarmNow) => number;

const isHushed = (alarm: AlarmNow): number => (alarm.suppression === "none" ? 0 : 1);
const byTime: Order = (a, b) => (a.since < b.since ? 1 : a.since > b.since ? -1 : 0) || b.last_event_id - a.last_event_id;
const byPriority: Order = (a, b) =>
  isHushed(a) - isHushed(b) ||
  rank(a.priority) - rank(b.priority) ||
  STATE_RANK[a.state] - STATE_RANK[b.state] ||
  byTime(a, b);
const byFacility: Order = (a, b) =>
  (a.facility_name ?? "").localeCompare(b.facility_name ?? "") || a.facility_id.localeCompare(b.facility_id) || byPriority(a, b);
const ORDERS: Record<SortBy, Order> = { priority: byPriority, time: byTime, facility: byFacility };
