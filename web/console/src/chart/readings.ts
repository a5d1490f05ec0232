// The readings of a range as a chart draws them: as many points as it has room for, and a hole where the sensor was silent.
import { get, path } from "../api/http";
import type { Grid, Sensor } from "../api/types";
import { contractTime, moment } from "../times";

const POINTS = 2_000;
const SILENT_INTERVALS = 5;
const SILENT_POINTS = 4;

export interface Line {
  seconds: number[];
  values: (number | null)[];
}

export function intervalS(sensor: Sensor): number {
  const match = /^(\d+)([ST])$/.exec(sensor.expected_freq);
  return match === null ? 60 : Number(match[1]) * (match[2] === "T" ? 60 : 1);
}

export async function readLine(sensor: Sensor, fromMs: number, toMs: number, signal: AbortSignal): Promise<Line> {
  const query = { start_date: contractTime(fromMs), end_date: contractTime(toMs), max_points: POINTS, downsample: "minmax" };
  const { records } = await get<Grid>(path("sensor-records", sensor.id), query, signal);
  const silentS = silence(sensor, fromMs, toMs);
  const line: Line = { seconds: [], values: [] };
  for (const record of records) append(line, moment(record.tracked_at) / 1000, numberIn(record.data), silentS);
  return line;
}

/** From one point to the next, after which the line breaks: points of a long range are far apart by themselves. */
export function silence(sensor: Sensor, fromMs: number, toMs: number): number {
  return Math.max(SILENT_INTERVALS * intervalS(sensor), (SILENT_POINTS * 2 * (toMs - fromMs)) / 1000 / POINTS);
}

export function append(line: Line, second: number, value: number | null, silentS: number): void {
  const last = line.seconds.at(-1);
  if (last !== undefined && second <= last) return;
  if (last !== undefined && second - last > silentS) {
    line.seconds.push((last + second) / 2);
    line.values.push(null);
  }
  line.seconds.push(second);
  line.values.push(value);
}

export function numberIn(text: string | null): number | null {
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
