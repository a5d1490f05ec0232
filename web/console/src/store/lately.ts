// The newest rows of the journal, as it moves.
import { signal } from "@preact/signals";
import { get } from "../api/http";
import type { Journal, JournalEntry } from "../api/types";

const KEPT = 14;
const SHOW_MS = 500;

export const lately = signal<readonly JournalEntry[]>([]);
let incoming: JournalEntry[] = [];
let showing: number | undefined;
let reading = new AbortController();

export async function readLately(): Promise<void> {
  reading.abort();
  const { signal } = (reading = new AbortController());
  await get<Journal>("/journal", { order: "desc", limit: KEPT }, signal)
    .then(({ journal }) => put(journal))
    .catch(() => undefined); // signed out, or away: the line's return asks again
}

/** However fast the journal grows, the screen changes twice a second. */
export function happened(event: JournalEntry): void {
  incoming = [event, ...incoming].slice(0, KEPT);
  showing ??= window.setTimeout(() => {
    showing = undefined;
    put(incoming);
    incoming = [];
  }, SHOW_MS);
}

export function forgetLately(): void {
  reading.abort();
  incoming = [];
  lately.value = [];
}

function put(some: readonly JournalEntry[]): void {
  const byId = new Map([...lately.value, ...some].map((event) => [event.id, event]));
  lately.value = [...byId.values()].sort((a, b) => b.id - a.id).slice(0, KEPT);
}
