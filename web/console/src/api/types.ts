// The shapes of the wire contract that the console uses, by short names.
import type { components } from "./schema";

type Shapes = components["schemas"];

export type AlarmNow = Shapes["AlarmNow"];
export type AlarmWithHistory = Shapes["AlarmWithHistory"];
export type AlarmFrame = Shapes["AlarmFrame"];
export type AlarmCommandState = Shapes["AlarmCommandState"];
export type NewAlarmCommand = Shapes["NewAlarmCommand"];
export type AlarmProposal = Shapes["AlarmProposal"];
export type AlarmProposals = Shapes["AlarmProposals"];
export type Facility = Shapes["Facility"];
export type FacilityRules = Shapes["FacilityRules"];
export type Grid = Shapes["Grid"];
export type Incident = Shapes["Incident"];
export type Incidents = Shapes["Incidents"];
export type IncidentWithMembers = Shapes["IncidentWithMembers"];
export type Journal = Shapes["Journal"];
export type JournalEntry = Shapes["JournalEntry"];
export type NewReplay = Shapes["NewReplay"];
export type PlannedRules = Shapes["PlannedRules"];
export type Readiness = Shapes["Readiness"];
export type ReadingFrame = Shapes["ReadingFrame"];
export type Replay = Shapes["Replay"];
export type ReplayDifference = Shapes["ReplayDifference"];
export type ReplayResult = Shapes["ReplayResult"];
export type ReplayWithResults = Shapes["ReplayWithResults"];
export type RuleChange = Shapes["RuleChange"];
export type RuleInForce = Shapes["RuleInForce"];
export type RulesThen = Shapes["RulesThen"];
export type RuleSettings = Shapes["RuleSettings"];
export type Sensor = Shapes["Sensor"];
export type SensorDetection = Shapes["SensorDetection"];
export type SensorRules = Shapes["SensorRules"];
export type TokenPair = Shapes["TokenPair"];
export type User = Shapes["User"];

export const PRIORITIES = ["critical", "high", "medium", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

export function rank(priority: string): number {
  const place = PRIORITIES.indexOf(priority as Priority);
  return place < 0 ? PRIORITIES.length : place;
}
