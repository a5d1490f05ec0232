// All alarms that are not normal, as the journal moves them. Views read `present`, which changes a few times a second
// however fast the journal grows.
import { computed, signal } from "@preact/signals";
import { get, path, Refused } from "../api/http";
import { ResumingSocket, type Line } from "../api/socket";
import { PRIORITIES, type AlarmFrame, type AlarmNow, type AlarmWithHistory, type JournalEntry } from "../api/types";
import { incidentsMayHaveChanged } from "./incidents";
import { forgetLately, happened, readLately } from "./lately";
import { names } from "./plant";
import { keyOf, moved } from "./reducer";

const SHOW_MS = 120;
const ASK_MS = 400;
const ASKED_MAX = 20;

const held = new Map<string, AlarmNow>();
let afterId: number | null = null;
let incoming: Map<string, AlarmNow> | null = null;
let showing: number | undefined;
const doubtful = new Map<string, AlarmNow>();
let asking: number | undefined;
let socket: ResumingSocket<AlarmFrame> | null = null;

export const present = signal<ReadonlyMap<string, AlarmNow>>(new Map());
export const line = signal<Line>("connecting");
export const lostAt = signal<number | null>(null);
export const isKnown = signal(false);

export const counts = computed(() => {
  const found = { priorities: [0, 0, 0, 0], unacknowledged: 0, shelved: 0, suppressed: 0, blind: 0 };
  for (const alarm of present.value.values()) {
    if (alarm.suppression === "shelved") found.shelved += 1;
    else if (alarm.suppression !== "none") found.suppressed += 1;
    else {
      const place = PRIORITIES.indexOf(alarm.priority as (typeof PRIORITIES)[number]);
      if (alarm.active && place >= 0) found.priorities[place] = (found.priorities[place] ?? 0) + 1;
      if (!alarm.acknowledged) found.unacknowledged += 1;
    }
    if (alarm.active && isBlind(alarm.rule)) found.blind += 1;
  }
  return found;
});

const BLIND = new Set(["stale", "silent", "bad_value", "out_of_physical_range", "clock", "vote_lost"]);

/** Whether the rule says that nothing is known of what it watches. */
export function isBlind(rule: string): boolean {
  return BLIND.has(rule);
}

export function follow(): void {
  socket = new ResumingSocket<AlarmFrame>(
    "/ws/alarms",
    () => (afterId === null ? {} : { after: String(afterId) }),
    take,
    (state) => {
      line.value = state;
      lostAt.value = state === "live" ? null : (lostAt.value ?? Date.now());
    },
  );
}

export function forget(): void {
  socket?.close();
  socket = null;
  afterId = incoming = null;
  held.clear();
  doubtful.clear();
  isKnown.value = false;
  lostAt.value = null;
  present.value = new Map();
  forgetLately();
}

export const dropLine = (): void => socket?.drop();
export const hurryLine = (): void => socket?.hurry();

/** As an answer of the server has it, unless the journal has said more since. */
export function learn(alarm: AlarmNow): void {
  const known = held.get(keyOf(alarm.facility_id, alarm.id));
  if (known === undefined || known.last_event_id <= alarm.last_event_id) put(alarm);
}

function take(frame: AlarmFrame): void {
  if (frame.type === "event") {
    if (frame.event) step(frame.event);
    afterId = frame.after_id;
    return;
  }
  incoming ??= new Map();
  for (const alarm of frame.alarms ?? []) incoming.set(keyOf(alarm.facility_id, alarm.id), alarm);
  if (frame.more) return;
  held.clear();
  for (const [key, alarm] of incoming) held.set(key, alarm);
  incoming = null;
  afterId = frame.after_id;
  isKnown.value = true;
  incidentsMayHaveChanged();
  void readLately();
  show();
}

function step(event: JournalEntry): void {
  happened(event);
  const alarm = moved(held.get(keyOf(event.facility_id, event.alarm_id)), event, names);
  if (alarm === undefined) return;
  if (event.transition === "returned") doubt(alarm); // whether its rule latches is not in the row
  put(alarm);
  if (event.transition !== "commented") incidentsMayHaveChanged();
}

function put(alarm: AlarmNow): void {
  const key = keyOf(alarm.facility_id, alarm.id);
  if (alarm.state === "normal") held.delete(key);
  else held.set(key, alarm);
  show();
}

function show(): void {
  showing ??= window.setTimeout(() => {
    showing = undefined;
    present.value = new Map(held);
  }, SHOW_MS);
}

function doubt(alarm: AlarmNow): void {
  doubtful.set(keyOf(alarm.facility_id, alarm.id), alarm);
  asking ??= window.setTimeout(() => {
    asking = undefined;
    void makeSure();
  }, ASK_MS);
}

/** A few are asked for one by one; of more, everything anew. */
async function makeSure(): Promise<void> {
  const some = [...doubtful.values()];
  doubtful.clear();
  if (some.length > ASKED_MAX) {
    afterId = incoming = null;
    socket?.drop();
    return;
  }
  for (const alarm of some) {
    try {
      const found = await get<AlarmWithHistory>(path("alarms", alarm.id), { facility_id: alarm.facility_id, limit: 1 });
      learn(found.alarm);
    } catch (error) {
      if (!(error instanceof Refused)) return; // the line is lost: what comes back with it is true
    }
  }
}
