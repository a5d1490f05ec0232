// What is set of a sensor while somebody changes it: pure, so that the page shows what it says and no more.
import type { Line } from "../chart/readings";
import type { RuleChange, RuleInForce, RuleSettings, SensorRules } from "../api/types";

export type NumberField = "limit" | "deadband" | "on_delay_s" | "off_delay_s" | "window_s" | "re_alarm_s";
export type TextField = "source" | "message" | "consequence" | "response";

export const TEXT_FIELDS: readonly TextField[] = ["message", "consequence", "response", "source"];
const LIMITED = ["high_high", "high", "low", "low_low", "rate_of_change"];
const WITHIN_A_WINDOW = ["rate_of_change", "stuck"];
const WITH_DEADBAND = ["high_high", "high", "low", "low_low", "stuck"];

export const RULES = ["high_high", "high", "low", "low_low", "rate_of_change", "stuck", "anomaly", "out_of_physical_range", "stale", "bad_value", "clock"] as const;
export type RuleName = (typeof RULES)[number];

export const NUMBER_FIELDS: readonly NumberField[] = ["limit", "deadband", "on_delay_s", "off_delay_s", "window_s", "re_alarm_s"];

export function canHave(rule: RuleName, field: NumberField): boolean {
  if (field === "limit") return LIMITED.includes(rule);
  if (field === "window_s") return WITHIN_A_WINDOW.includes(rule);
  if (field === "deadband") return WITH_DEADBAND.includes(rule);
  return true;
}

export function ownOf(settings: RuleSettings, rule: RuleName): RuleChange | undefined {
  return (settings.rules ?? []).find((change) => change.rule === rule);
}

/** A sensor's rule goes, whole, before its type's: what is changed first takes along what the type says of it. */
export function changed(rules: SensorRules, settings: RuleSettings, rule: RuleName, part: Partial<RuleChange>): RuleSettings {
  const before = ownOf(settings, rule) ?? ownOf(rules.of_type, rule) ?? { rule };
  const next = { ...before, ...part } as RuleChange;
  const isSaid = Object.entries(next).some(([name, value]) => name !== "rule" && value !== null);
  const others = (settings.rules ?? []).filter((change) => change.rule !== rule);
  return { ...settings, rules: isSaid ? [...others, next] : others };
}

/** With this change of a rule in the place of what was set of it. */
export function withRule(settings: RuleSettings, change: RuleChange): RuleSettings {
  return { ...settings, rules: [...(settings.rules ?? []).filter((other) => other.rule !== change.rule), change] };
}

/** Each thing that is said, by rule; null: of the whole sensor. */
export function outline(settings: RuleSettings): [RuleName | null, string, string][] {
  const { rules = [], ...whole } = said(settings);
  const ofAll = Object.entries(whole).map(([field, value]): [null, string, string] => [null, field, String(value)]);
  const ofRules = rules.flatMap(({ rule, ...change }) => Object.entries(change).map(([field, value]): [RuleName, string, string] => [rule as RuleName, field, String(value)]));
  return [...ofAll, ...ofRules];
}

/** What is sent: without what is not said. */
export function said(settings: RuleSettings): RuleSettings {
  const spoken = <T extends object>(all: T) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== "")) as T;
  return { ...spoken(settings), rules: (settings.rules ?? []).map(spoken) };
}

export interface Difference {
  rule: RuleName | null;
  field: string;
  from: string | null;
  to: string | null;
}

/** Each thing that is set otherwise than before, beside what was set or holds. */
export function differences(rules: SensorRules, settings: RuleSettings): Difference[] {
  const found: Difference[] = [];
  const differ = (rule: RuleName | null, field: string, from: unknown, to: unknown) => {
    if (shown(from) !== shown(to)) found.push({ rule, field, from: shown(from), to: shown(to) });
  };
  for (const field of ["profile", "unit", "number_format"] as const) differ(null, field, rules.of_sensor[field], settings[field]);
  for (const rule of RULES) {
    const [before, after] = [ownOf(rules.of_sensor, rule), ownOf(settings, rule)];
    if (before === after) continue;
    const held = heldOf(rules.in_force, rule);
    const fields = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]) as Set<keyof RuleChange>;
    fields.delete("rule");
    for (const field of fields) {
      const was = before?.[field] ?? (field === "enabled" ? held !== undefined : held?.[field as keyof RuleInForce]);
      differ(rule, field, was, after === undefined ? null : (after[field] ?? null));
    }
  }
  return found;
}

/** What holds by itself, where that is known: of what is set of the sensor now it is not. */
export function heldWithoutOwn(rules: SensorRules, rule: RuleName, field: NumberField): number | null {
  return ownOf(rules.of_sensor, rule)?.[field] == null ? (heldOf(rules.in_force, rule)?.[field] ?? null) : null;
}

export function heldOf(inForce: readonly RuleInForce[], rule: RuleName): RuleInForce | undefined {
  return inForce.find((held) => held.rule === rule);
}

function shown(value: unknown): string | null {
  return value === null || value === undefined || value === "" ? null : String(value);
}

const UP: readonly string[] = ["high_high", "high"];
export const LIMITS = ["high_high", "high", "low", "low_low"] as const;
type LimitName = (typeof LIMITS)[number];

/** The limits that would hold, as far as the form says: of a rule that is switched off none. */
export function proposedLimits(rules: SensorRules, settings: RuleSettings): { rule: LimitName; at: number; priority: string }[] {
  return LIMITS.flatMap((rule) => {
    const own = ownOf(settings, rule);
    const held = heldOf(rules.in_force, rule);
    const at = own?.limit ?? heldWithoutOwn(rules, rule, "limit");
    return at === null || own?.enabled === false ? [] : [{ rule, at, priority: own?.priority ?? held?.priority ?? "high" }];
  });
}

/** How often the curve goes beyond one of the limits. */
export function excursions(line: Line, limits: readonly { rule: string; at: number }[]): number {
  let count = 0;
  for (const { rule, at } of limits) {
    let isBeyond = false;
    for (const value of line.values) {
      if (value === null) continue;
      const is = UP.includes(rule) ? value > at : value < at;
      if (is && !isBeyond) count += 1;
      isBeyond = is;
    }
  }
  return count;
}
