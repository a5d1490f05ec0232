// The journal backwards. The server searches a bounded part of it at a time and says how far back it got.
import { get, type Query } from "../api/http";
import type { Journal, JournalEntry } from "../api/types";
import { sensorLabel } from "../labels";
import { names } from "../store/plant";
import { VERDICTS } from "./verdicts";

const ROWS_A_PART = 100;
const VERDICTS_A_PIECE = 1_000;
const PIECES_A_PART = 10;
/** Of what is written into a field; the server takes no more. */
export const TEXT_MAX = 200;

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
  /** The last verdict on each activation; all that were given after the row `judgedTo` are known. */
  verdicts: ReadonlyMap<number, string>;
  judgedTo: number;
  /** Where to go on; null: this was all. */
  next: number | null;
  /** The oldest moment that was looked at; null: nothing was there. */
  lookedBackTo: string | null;
}

export const NOTHING: Found = { rows: [], verdicts: new Map(), judgedTo: Infinity, next: null, lookedBackTo: null };

const NO_SEARCH: Search = { facility: "", sensor: "", from: "", to: "", rule: "", transition: "", by: "", text: "" };

export function searchIn(query: URLSearchParams): Search {
  const of = (name: keyof Search) => query.get(name) ?? "";
  return { facility: of("facility"), sensor: of("sensor"), from: of("from"), to: of("to"), rule: of("rule"), transition: of("transition"), by: of("by"), text: of("text") };
}

/** Another part of what is searched for, after what was found before. */
export async function goneOn(search: Search, before: Found, signal?: AbortSignal): Promise<Found> {
  const asked: Query = { ...asQuery(search), order: "desc", limit: ROWS_A_PART, ...(before.next !== null && { after: before.next }) };
  const { journal, next, looked_to: lookedTo } = await get<Journal>("/journal", asked, signal);
  const found: Found = { ...before, rows: [...before.rows, ...journal], next, lookedBackTo: lookedTo ?? journal.at(-1)?.event_time ?? before.lookedBackTo };
  return withVerdicts(search, found, signal);
}

/** They come after what they are about, so those down to the oldest row are all that there are on the rows shown. */
async function withVerdicts({ facility, sensor }: Search, found: Found, signal?: AbortSignal): Promise<Found> {
  const oldest = found.rows.at(-1)?.id ?? Infinity;
  const verdicts = new Map(found.verdicts);
  let { judgedTo } = found;
  for (let piece = 0; piece < PIECES_A_PART && judgedTo > oldest; piece += 1) {
    const asked: Query = { ...placeQuery(facility, sensor), verdict: VERDICTS, order: "desc", limit: VERDICTS_A_PIECE, ...(judgedTo !== Infinity && { after: judgedTo }) };
    const { journal, next } = await get<Journal>("/journal", asked, signal);
    for (const { about_event_id: about, verdict } of journal) if (about != null && verdict != null && !verdicts.has(about)) verdicts.set(about, verdict);
    judgedTo = next ?? 0;
  }
  return { ...found, verdicts, judgedTo };
}

/** One row by its id, as a link names it. */
export async function rowOf(id: number, signal?: AbortSignal): Promise<Found> {
  const { journal } = await get<Journal>("/journal", { after: id - 1, limit: 1 }, signal);
  const rows = journal.filter((event) => event.id === id);
  const place = { ...NO_SEARCH, facility: rows[0]?.facility_id ?? "", sensor: rows[0]?.sensor_id ?? "" };
  return withVerdicts(place, { ...NOTHING, rows }, signal);
}

function placeQuery(facility: string, sensor: string): Query {
  return { ...(facility !== "" && { facility_id: facility }), ...(sensor !== "" && { sensor_id: sensor }) };
}

function asQuery({ facility, sensor, from, to, rule, transition, by, text }: Search): Query {
  const wanted = { start_date: from, end_date: to, rule, transition, actor: by.trim(), text: text.trim() };
  return { ...placeQuery(facility, sensor), ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== "")) };
}

export function labelOf(event: JournalEntry): string | null {
  const sensor = event.sensor_id === null ? null : names.sensor(event.sensor_id);
  return sensor === null ? event.sensor_id : sensorLabel(sensor);
}
