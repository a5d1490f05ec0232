// How each facility stands: its alarms counted and its worst ones named, the facilities that need somebody first.
import { computed } from "@preact/signals";
import { PRIORITIES, rank, type AlarmNow, type Facility } from "../api/types";
import { isBlind, present } from "./alarms";
import { facilities } from "./plant";

const NAMED_MAX = 3;

export interface Standing {
  facility: Facility;
  counts: number[];
  unacknowledged: number;
  blind: number;
  worst: AlarmNow[];
}

function isWorse(a: AlarmNow, b: AlarmNow): number {
  return Number(b.active) - Number(a.active) || rank(a.priority) - rank(b.priority) || Number(a.acknowledged) - Number(b.acknowledged) || b.last_event_id - a.last_event_id;
}

export const standings = computed<Standing[]>(() => {
  const alarms = new Map<string, AlarmNow[]>();
  for (const alarm of present.value.values()) {
    if (alarm.suppression !== "none") continue;
    const some = alarms.get(alarm.facility_id);
    if (some === undefined) alarms.set(alarm.facility_id, [alarm]);
    else some.push(alarm);
  }
  const found = [...facilities.value.values()]
    .filter((facility) => !facility.retired_at || alarms.has(facility.id))
    .map((facility) => standing(facility, alarms.get(facility.id) ?? []));
  return found.sort((a, b) => compare(a, b) || a.facility.name.localeCompare(b.facility.name));
});

function standing(facility: Facility, alarms: AlarmNow[]): Standing {
  const counts = PRIORITIES.map((priority) => alarms.filter((alarm) => alarm.active && alarm.priority === priority).length);
  return {
    facility,
    counts,
    unacknowledged: alarms.filter((alarm) => !alarm.acknowledged).length,
    blind: alarms.filter((alarm) => alarm.active && isBlind(alarm.rule)).length,
    worst: alarms.sort(isWorse).slice(0, NAMED_MAX),
  };
}

function compare(a: Standing, b: Standing): number {
  for (let place = 0; place < a.counts.length; place += 1) {
    const difference = (b.counts[place] ?? 0) - (a.counts[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return b.unacknowledged - a.unacknowledged;
}

/** The priority and state that a facility is drawn with; null: nothing is wrong. */
export function lookOf(of: Standing): { priority: string; state: string } | null {
  const place = of.counts.findIndex((count) => count > 0);
  const priority = PRIORITIES[place] ?? of.worst[0]?.priority;
  if (priority === undefined) return null;
  if (place < 0) return { priority, state: "returned_unacknowledged" };
  return { priority, state: of.unacknowledged > 0 ? "unacknowledged" : "acknowledged" };
}
