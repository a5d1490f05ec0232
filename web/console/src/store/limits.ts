// The normal band of each type of a facility's sensors, from the rules in force; asked for once a facility is looked at.
import { signal } from "@preact/signals";
import { get, path } from "../api/http";
import type { FacilityRules, RuleInForce, Sensor } from "../api/types";

export interface Band {
  low: number | null;
  high: number | null;
  unit: string;
}

export const bands = signal<ReadonlyMap<string, ReadonlyMap<string, Band>>>(new Map());
const asked = new Set<string>();

export function wantBands(facilityId: string): void {
  if (asked.has(facilityId)) return;
  asked.add(facilityId);
  void get<FacilityRules>(path("rules", "facility", facilityId))
    .then((rules) => {
      const found = new Map(rules.types.map((of) => [of.sensor_type as string, bandOf(of.in_force)]));
      bands.value = new Map(bands.value).set(facilityId, found);
    })
    .catch(() => asked.delete(facilityId)); // away: whoever looks next asks again
}

export function bandOf(rules: readonly RuleInForce[]): Band {
  const of = (name: string) => rules.find((rule) => rule.rule === name);
  return { low: of("low")?.limit ?? null, high: of("high")?.limit ?? null, unit: rules.find((rule) => rule.unit)?.unit ?? "" };
}

/** Where a value stands in its band: -1 at the lower limit, 0 in the middle, 1 at the upper one. */
export function deviation(value: number, { low, high }: Band): number | null {
  if (low !== null && high !== null && high > low) return (2 * value - low - high) / (high - low);
  if (high !== null && high !== 0) return 1 + (value - high) / Math.abs(high);
  if (low !== null && low !== 0) return -1 + (value - low) / Math.abs(low);
  return null;
}

export function latestNumber(sensor: Sensor): number | null {
  return numberOf(sensor.latest?.data);
}

export function numberOf(data: string | undefined): number | null {
  const text = data?.trim();
  const value = text ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}

export interface Deviating {
  sensor: Sensor;
  value: number;
  band: Band;
  by: number;
}

/** Of each type of sensors the one that is furthest from normal, the furthest first. */
export function keyValues(sensors: readonly Sensor[], of: ReadonlyMap<string, Band> | undefined): Deviating[] {
  const furthest = new Map<string, Deviating>();
  for (const sensor of sensors) {
    const band = of?.get(sensor.type);
    const value = latestNumber(sensor);
    const by = band === undefined || value === null ? null : deviation(value, band);
    if (band === undefined || value === null || by === null) continue;
    const known = furthest.get(sensor.type);
    if (known === undefined || Math.abs(by) > Math.abs(known.by)) furthest.set(sensor.type, { sensor, value, band, by });
  }
  return [...furthest.values()].sort((a, b) => Math.abs(b.by) - Math.abs(a.by));
}
