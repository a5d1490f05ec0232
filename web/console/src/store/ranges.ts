// From when to when, as people choose it: in the viewer's zone on the screen, UTC in addresses.
import { contractTime } from "../times";

const MINUTE_MS = 60_000;

/** As a field for a local moment wants it; empty for nothing. */
export function localText(utcText: string): string {
  if (utcText === "") return "";
  const at = new Date(hasZone(utcText) ? utcText : `${utcText}Z`);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 16);
}

function hasZone(text: string): boolean {
  return /(Z|[+-]\d\d:?\d\d)$/.test(text) || !text.includes("T");
}

export function utcText(local: string): string {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : contractTime(at.getTime());
}

export function spelled(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${Math.round(seconds)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours === 0) return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function sizeText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(0)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
