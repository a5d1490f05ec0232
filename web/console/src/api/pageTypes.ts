// The shapes of the contract that the pages of history, reports, exports and administration use.
import type { components } from "./schema";

type Shapes = components["schemas"];

export type AlarmFigures = Shapes["AlarmFigures"];
export type ApiKey = Shapes["ApiKey"];
export type ApiKeyPage = Shapes["ApiKeyPage"];
export type AuditEntry = Shapes["AuditEntry"];
export type AuditPage = Shapes["AuditPage"];
export type Channel = Shapes["Channel"];
export type DeadLetter = Shapes["DeadLetter"];
export type DeadLetterPage = Shapes["DeadLetterPage"];
export type Discarded = Shapes["Discarded"];
export type ExportJob = Shapes["ExportJob"];
export type Figures = Shapes["Figures"];
export type FiguresReport = Shapes["FiguresReport"];
export type Handover = Shapes["Handover"];
export type HandoverEntry = Shapes["HandoverEntry"];
export type KeyGrant = Shapes["KeyGrant"];
export type Measure = Shapes["Measure"];
export type MonthlyEntry = Shapes["MonthlyEntry"];
export type MonthlyReport = Shapes["MonthlyReport"];
export type NewSubscription = Shapes["NewSubscription"];
export type NewExport = Shapes["NewExport"];
export type NewUser = Shapes["NewUser"];
export type Notification = Shapes["Notification"];
export type NotificationPage = Shapes["NotificationPage"];
export type Notifications = Shapes["Notifications"];
export type Offender = Shapes["Offender"];
export type Parked = Shapes["Parked"];
export type ParkedPage = Shapes["ParkedPage"];
export type Permission = Shapes["Permission"];
export type RedrivePage = Shapes["RedrivePage"];
export type Redriven = Shapes["Redriven"];
export type ShownApiKey = Shapes["ShownApiKey"];
export type Subscription = Shapes["Subscription"];
export type UserPage = Shapes["UserPage"];
