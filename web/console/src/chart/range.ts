// Which part of time a chart shows: so long, up to a moment or up to now.
export interface Range {
  spanMs: number;
  endMs: number | null;
}

export const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const SPAN_MS_MIN = MINUTE_MS;
const SPAN_MS_MAX = 3_653 * DAY_MS;

export const SPANS: [string, number][] = [
  ["5m", 5 * MINUTE_MS],
  ["1h", HOUR_MS],
  ["6h", 6 * HOUR_MS],
  ["24h", DAY_MS],
  ["7d", 7 * DAY_MS],
  ["30d", 30 * DAY_MS],
  ["1y", 365 * DAY_MS],
];

export function moved(range: Range, part: number, nowMs: number): Range {
  const endMs = (range.endMs ?? nowMs) + part * range.spanMs;
  return { ...range, endMs: endMs >= nowMs ? null : endMs };
}

export function zoomed(range: Range, factor: number, nowMs: number): Range {
  const spanMs = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, range.spanMs * factor));
  if (range.endMs === null) return { spanMs, endMs: null };
  const endMs = range.endMs + (spanMs - range.spanMs) / 2;
  return { spanMs, endMs: endMs >= nowMs ? null : endMs };
}

/** With the moment in the middle; up to now where that is nearer. */
export function around(atMs: number, spanMs: number, nowMs: number): Range {
  const endMs = atMs + spanMs / 2;
  return { spanMs, endMs: endMs >= nowMs ? null : endMs };
}

export function between(fromMs: number, toMs: number): Range {
  const spanMs = Math.max(SPAN_MS_MIN, toMs - fromMs);
  return { spanMs, endMs: (fromMs + toMs + spanMs) / 2 };
}
