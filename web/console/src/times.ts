// Times of the contract (UTC, without a suffix) in the viewer's zone, and as ages.
import { language } from "./i18n";

export function moment(text: string): number {
  return Date.parse(`${text.replace("Z", "").slice(0, 23)}Z`);
}

export function contractTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function shortTime(text: string, nowMs: number): string {
  const at = new Date(moment(text));
  const isToday = at.toDateString() === new Date(nowMs).toDateString();
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return isToday
    ? at.toLocaleTimeString(language.value, time)
    : at.toLocaleString(language.value, { month: "short", day: "numeric", ...time });
}

/** With its day, also where that is today: for what is read later, on paper. */
export function dayTime(text: string): string {
  const shown: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" };
  return new Date(moment(text)).toLocaleString(language.value, shown);
}

export function utc(text: string): string {
  return `${text.replace("T", " ").replace("Z", "").slice(0, 19)} UTC`;
}

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];

export function age(text: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - moment(text)) / 1000));
  const [length, unit] = STEPS.find(([step]) => seconds >= step) ?? [1, "second" as const];
  const words = new Intl.RelativeTimeFormat(language.value, { numeric: "always", style: "narrow" });
  return words.format(-Math.floor(seconds / length), unit);
}
