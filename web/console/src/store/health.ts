// Whether the system itself works, and how far behind it is. It also notices a line that is dead without saying so.
import { signal } from "@preact/signals";
import type { Readiness } from "../api/types";
import { dropLine, hurryLine } from "./alarms";

const LOOK_MS = 5_000;
const PATIENCE_MS = 4_000;
const LAG = /^gasinsight_ingest_lag_seconds_(sum|count)(?:\{[^}]*\})? (\S+)$/gm;

export interface Health {
  isReached: boolean;
  readiness: Readiness | null;
  lagS: number | null;
}

export const health = signal<Health>({ isReached: true, readiness: null, lagS: null });
let timer: number | undefined;
let before: { sum: number; count: number } | null = null;

export function watchHealth(): void {
  window.clearInterval(timer);
  timer = window.setInterval(() => void look(), LOOK_MS);
  void look();
}

export function ignoreHealth(): void {
  window.clearInterval(timer);
}

async function look(): Promise<void> {
  try {
    const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) } as const;
    const readiness = (await (await fetch("/readyz", options)).json()) as Readiness;
    const metrics = await (await fetch("/metrics", options)).text();
    const wasReached = health.value.isReached;
    health.value = { isReached: true, readiness, lagS: lag(metrics) };
    if (!wasReached) hurryLine();
  } catch {
    health.value = { isReached: false, readiness: null, lagS: null };
    dropLine();
  }
}

/** Seconds from the field to the database, of what came since the last look; null: nothing came. */
function lag(metrics: string): number | null {
  const total = { sum: 0, count: 0 };
  for (const [, part, text] of metrics.matchAll(LAG)) total[part as "sum" | "count"] += Number(text);
  const came = before === null ? 0 : total.count - before.count;
  const lagS = before === null || came <= 0 ? null : (total.sum - before.sum) / came;
  before = total;
  return lagS;
}

window.addEventListener("offline", dropLine);
window.addEventListener("online", hurryLine);
