// The journal backwards. The server chooses by place and time; rule, what happened, person and text are chosen here, so
// a search looks through a bounded part of the journal at a time and says how far back it got.
import { get, type Query } from "../api/http";
import type { Journal, JournalEntry } from "../api/types";
import { sensorLabel } from "../labels";
import { names } from "../store/plant";

const ROWS_A_PART = 100;
const ROWS_A_PIECE = 1_000;
const PIECES_A_PART = 10;

export interface Search {
  facility: string;
  sensor: string;
  from: string;
  to: string;
  rule: string;
  transition: string;
  by: string;
  text: string;
}

export interface Found {
  rows: JournalEntry[];
  /** The last verdict on each activation, as far as it was seen. */
  verdicts: ReadonlyMap<number, string>;
  /** Where to go on; null: this was all. */
  next: number | null;
  /** The oldest moment that was looked at; null: nothing was there. */
  lookedBackTo: string | null;
}

export const NOTHING: Found = { rows: [], verdicts: new Map(), next: null, lookedBackTo: null };

export function searchIn(query: URLSearchParams): Search {
  const of = (name: keyof Search) => query.get(name) ?? "";
  return { facility: of("facility"), sensor: of("sensor"), from: of("from"), to: of("to"), rule: of("rule"), transition: of("transition"), by: of("by"), text: of("text") };
}

/** Another part of what is searched for, after what was found before. */
export async function goneOn(search: Search, before: Found, signal?: AbortSignal): Promise<Found> {
  const matches = matcher(search);
  const limit = isNarrow(search) ? ROWS_A_PIECE : ROWS_A_PART;
  const rows: JournalEntry[] = [];
  const verdicts = new Map(before.verdicts);
  let { next, lookedBackTo } = before;
  for (let piece = 0; piece < PIECES_A_PART && rows.length < ROWS_A_PART; piece += 1) {
    const asked: Query = { ...placeAndTime(search), order: "desc", limit, ...(next !== null && { after: next }) };
    const { journal, next: following } = await get<Journal>("/journal", asked, signal);
    for (const { about_event_id: about, verdict } of journal) if (about != null && verdict != null && !verdicts.has(about)) verdicts.set(about, verdict);
    rows.push(...journal.filter(matches));
    lookedBackTo = journal.at(-1)?.event_time ?? lookedBackTo;
    next = journal.length < limit ? null : following;
    if (next === null) break;
  }
  return { rows: [...before.rows, ...rows], verdicts, next, lookedBackTo };
}

/** One row by its id, as a link names it. */
export async function rowOf(id: number, signal?: AbortSignal): Promise<Found> {
  const { journal } = await get<Journal>("/journal", { after: id - 1, limit: 1 }, signal);
  return { ...NOTHING, rows: journal.filter((event) => event.id === id) };
}

function isNarrow({ rule, transition, by, text }: Search): boolean {
  return [rule, transition, by, text].some((wanted) => wanted !== "");
}

function placeAndTime({ facility, sensor, from, to }: Search): Query {
  return { ...(facility !== "" && { facility_id: facility }), ...(sensor !== "" && { sensor_id: sensor }), ...(from !== "" && { start_date: from }), ...(to !== "" && { end_date: to }) };
}

function matcher({ rule, transition, by, text }: Search): (event: JournalEntry) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const person = by.toLowerCase();
  return (event) =>
    (rule === "" || event.rule === rule) &&
    (transition === "" || event.transition === transition) &&
    (person === "" || `${event.actor_name ?? ""} ${event.actor}`.toLowerCase().includes(person)) &&
    (words.length === 0 || hasAll(event, words));
}

function hasAll(event: JournalEntry, words: readonly string[]): boolean {
  const said = [names.facility(event.facility_id), labelOf(event), event.rule, event.message, event.reason, event.assignee, event.work_order];
  const text = said.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function labelOf(event: JournalEntry): string | null {
  const sensor = event.sensor_id === null ? null : names.sensor(event.sensor_id);
  return sensor === null ? event.sensor_id : sensorLabel(sensor);
}
