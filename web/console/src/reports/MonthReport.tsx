// What control rooms look through each month: points off scan or silent, alarms inhibited, false alarms.
import { get, type Query } from "../api/http";
import type { MonthlyEntry, MonthlyReport } from "../api/pageTypes";
import { FacilityChoice } from "../components/FacilityChoice";
import { t, type Word } from "../i18n";
import { query, setQuery } from "../query";
import { useAsked } from "../store/asked";
import { Entries } from "./Entries";
import { MonthField } from "./MonthField";
import { ReportActs } from "./ReportActs";
import { Scope } from "./Scope";

const ADDRESS = "/reports/monthly";
const KINDS: [MonthlyEntry["kind"], Word][] = [
  ["off_scan", "offScan"],
  ["not_reporting", "notReporting"],
  ["inhibited", "inhibited"],
  ["false_alarm", "falseAlarms"],
];

export function MonthReport() {
  const facilityIds = query.value.getAll("facility");
  const month = query.value.get("month") ?? "";
  const asked: Query = { facility_id: facilityIds, ...(month !== "" && { month }) };
  const { found, problem, again } = useAsked((signal) => get<MonthlyReport>(ADDRESS, asked, signal), [query.value.toString()]);
  return (
    <>
      <div class="desk-bar">
        <FacilityChoice chosen={facilityIds} change={(chosen) => setQuery({ facility: chosen })} />
        <MonthField month={month === "" ? (found?.month ?? "") : month} change={(next) => setQuery({ month: next })} />
        <ReportActs csv={{ address: ADDRESS, query: asked, name: `monthly-${found?.month ?? ""}` }} again={again} />
      </div>
      <p class="problem">{problem}</p>
      {found === null ? (
        problem === "" && <p class="empty">{t("loading")}</p>
      ) : (
        <>
          <Scope start={found.start} end={found.end} facilityIds={facilityIds} />
          {KINDS.map(([kind, title]) => (
            <Entries key={kind} title={t(title)} entries={found.entries.filter((entry) => entry.kind === kind)} empty={t("none")} />
          ))}
          {found.remarks.map((remark) => (
            <p key={remark} class="remark">
              {remark}
            </p>
          ))}
        </>
      )}
    </>
  );
}
