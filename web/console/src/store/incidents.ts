// Incidents that are not over, each with the keys of its alarms; asked for anew when the journal has moved.
import { computed, signal } from "@preact/signals";
import { get, path } from "../api/http";
import type { Incident, Incidents, IncidentWithMembers } from "../api/types";
import { keyOf } from "./reducer";

const WAIT_MS = 1_500;
const SHOWN_MAX = 50;

export interface OpenIncident {
  incident: Incident;
  members: ReadonlySet<string>;
}

export const incidents = signal<readonly OpenIncident[]>([]);
/** Alarm -> the incident that it belongs to, the newest where there are several. */
export const incidentOf = computed(() => {
  const found = new Map<string, OpenIncident>();
  for (const one of [...incidents.value].reverse()) for (const key of one.members) found.set(key, one);
  return found;
});

let waiting: number | undefined;

export function incidentsMayHaveChanged(): void {
  waiting ??= window.setTimeout(() => {
    void load()
      .catch(() => undefined) // the next row of the journal, or the line's return, asks again
      .finally(() => {
        waiting = undefined;
      });
  }, WAIT_MS);
}

async function load(): Promise<void> {
  const { incidents: found } = await get<Incidents>("/incidents", { limit: SHOWN_MAX });
  const before = new Map(incidents.value.map((one) => [one.incident.id, one]));
  const open: OpenIncident[] = [];
  for (const incident of found.filter((one) => one.state !== "over")) {
    const known = before.get(incident.id);
    const isSame = known !== undefined && known.incident.alarms === incident.alarms;
    open.push({ incident, members: isSame ? known.members : await membersOf(incident) });
  }
  incidents.value = open;
}

async function membersOf(incident: Incident): Promise<ReadonlySet<string>> {
  const query = { facility_id: incident.facility_id };
  const { members } = await get<IncidentWithMembers>(path("incidents", String(incident.id)), query);
  return new Set(members.map((member) => keyOf(incident.facility_id, member.alarm_id)));
}
