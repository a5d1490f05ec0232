// The alarm list as it is on the screen. While the pointer is on it no row moves: what each row says goes on, new rows
// and those that went wait until the pointer leaves or somebody asks for them.
import { computed, effect, signal } from "@preact/signals";
import type { AlarmNow } from "../api/types";
import { present } from "./alarms";
import { incidentOf } from "./incidents";
import { arranged, membersOf, type Filter, type Row, type SortBy } from "./rows";

export const filter = signal<Filter>({ text: "", facilityId: "", state: "", priorities: new Set() });
export const sortBy = signal<SortBy>("priority");
export const isHeld = signal(false);
export const shown = signal<readonly Row[]>([]);
export const cursor = signal<string | null>(null);
export const selected = signal<ReadonlySet<string>>(new Set());
const opened = signal<ReadonlySet<string>>(new Set());

const wanted = computed(() =>
  arranged(present.value.values(), incidentOf.value, filter.value, sortBy.value, opened.value),
);

/** How many rows wait to come, and how many to go. */
export const waiting = computed(() => {
  const here = new Set(shown.value.map((row) => row.key));
  const there = new Set(wanted.value.map((row) => row.key));
  return { come: [...there].filter((key) => !here.has(key)).length, gone: [...here].filter((key) => !there.has(key)).length };
});

export function insert(): void {
  shown.value = wanted.peek();
}

effect(() => {
  const rows = wanted.value;
  if (!isHeld.value) shown.value = rows;
});
effect(() => {
  filter.value;
  sortBy.value;
  insert();
});

/** The alarm of a row as it is now; one that is gone meanwhile as it was. */
export function alarmOf(row: Row & { kind: "alarm" }): { alarm: AlarmNow; isGone: boolean } {
  const now = present.value.get(row.key);
  return { alarm: now ?? row.alarm, isGone: now === undefined };
}

export function toggleOpen(key: string): void {
  const next = new Set(opened.value);
  if (!next.delete(key)) next.add(key);
  const place = shown.value.findIndex((row) => row.key === key);
  const row = shown.value[place];
  opened.value = next;
  if (!isHeld.value || row?.kind !== "incident") return;
  const before = membersOf(row).length;
  const turned = { ...row, isOpen: !row.isOpen };
  shown.value = shown.value.toSpliced(place, 1 + before, turned, ...membersOf(turned));
}

export function keysOf(row: Row): string[] {
  return row.kind === "alarm" ? [row.key] : [...row.of.members];
}

export function toggleSelected(row: Row): void {
  const next = new Set(selected.value);
  const keys = keysOf(row);
  const isAll = keys.every((key) => next.has(key));
  for (const key of keys) {
    if (isAll) next.delete(key);
    else next.add(key);
  }
  selected.value = next;
}

/** What a command is about: what is selected, else the row under the cursor. */
export function chosen(): AlarmNow[] {
  const row = shown.value.find((one) => one.key === cursor.value);
  const keys = selected.value.size > 0 ? [...selected.value] : row === undefined ? [] : keysOf(row);
  return keys.flatMap((key) => present.value.get(key) ?? []);
}

export function moveCursor(by: number): void {
  const rows = shown.value;
  const place = rows.findIndex((row) => row.key === cursor.value);
  const next = rows[Math.min(rows.length - 1, Math.max(0, place + by))];
  if (next !== undefined) cursor.value = next.key;
}
