// What is drawn into a chart beside the readings: limits, the band that was expected, and when alarms stood.
import type { JournalEntry, RuleInForce } from "../api/types";
import { moment } from "../times";

export interface Span {
  fromS: number;
  toS: number;
  priority: string;
}

export interface Expected {
  fromS: number;
  toS: number;
  low: number;
  high: number;
}

export interface Limit {
  rule: string;
  at: number;
  priority: string;
}

export interface Marks {
  limits: Limit[];
  proposed: Limit[];
  spans: Span[];
  expected: Expected[];
}

const LIMITS = new Set(["high_high", "high", "low", "low_low"]);

export function limitsOf(rules: readonly RuleInForce[]): Limit[] {
  return rules.flatMap(({ rule, limit, priority }) => (LIMITS.has(rule) && limit !== null ? [{ rule, at: limit, priority }] : []));
}

/** Each alarm from its beginning to its return, or to the end of what is shown. `journal`: the newest first. */
export function spansOf(journal: readonly JournalEntry[], toS: number): Pick<Marks, "spans" | "expected"> {
  const open = new Map<string, JournalEntry>();
  const found: Pick<Marks, "spans" | "expected"> = { spans: [], expected: [] };
  const close = (begun: JournalEntry, endS: number) => {
    const fromS = moment(begun.event_time) / 1000;
    found.spans.push({ fromS, toS: endS, priority: begun.priority });
    const band = begun.explanation?.band;
    if (!band) return;
    const since = begun.explanation?.since;
    found.expected.push({ fromS: since ? moment(since) / 1000 : fromS, toS: endS, low: band[0], high: band[1] });
  };
  for (const event of [...journal].reverse()) {
    const begun = open.get(event.alarm_id);
    if (event.transition.startsWith("activated")) open.set(event.alarm_id, begun ?? event);
    else if (event.transition === "returned" && begun !== undefined) {
      close(begun, moment(event.event_time) / 1000);
      open.delete(event.alarm_id);
    }
  }
  for (const begun of open.values()) close(begun, toS);
  return found;
}
