// For the next shift: what stands, what is kept from people, what happened, and what this shift has to say.
import { get, type Query } from "../api/http";
import type { Handover, HandoverEntry } from "../api/pageTypes";
import { FacilityChoice } from "../components/FacilityChoice";
import { Moments } from "../components/Moments";
import { named, t, type Word } from "../i18n";
import { query, setQuery } from "../query";
import { useAsked } from "../store/asked";
import { contractTime } from "../times";
import { Entries } from "./Entries";
import { NoteForm } from "./NoteForm";
import { ReportActs } from "./ReportActs";
import { Scope } from "./Scope";

const HOURS = ["8", "12", "24"];
const HOUR_MS = 3_600_000;
const ADDRESS = "/reports/handover";
const KINDS: [HandoverEntry["kind"], Word, Word][] = [
  ["note", "notes", "noNotes"],
  ["stands", "whatStands", "nothingStands"],
  ["kept_back", "keptBack", "nothingKeptBack"],
  ["happened", "whatHappened", "nothingHappened"],
];

export function HandoverReport() {
  const facilityIds = query.value.getAll("facility");
  const [from, to] = [query.value.get("from") ?? "", query.value.get("to") ?? ""];
  const hours = query.value.get("hours") ?? "12";
  const asked = (): Query => {
    const start = from === "" && to === "" ? contractTime(Date.now() - Number(hours) * HOUR_MS) : from;
    return { facility_id: facilityIds, ...(start !== "" && { start_date: start }), ...(to !== "" && { end_date: to }) };
  };
  const { found, problem, again } = useAsked((signal) => get<Handover>(ADDRESS, asked(), signal), [query.value.toString()]);
  return (
    <>
      <div class="desk-bar">
        <FacilityChoice chosen={facilityIds} change={(chosen) => setQuery({ facility: chosen })} />
        <span class="chips" role="group" aria-label={t("range")}>
          {HOURS.map((choice) => (
            <label key={choice} class="chip">
              <input type="radio" name="hours" checked={from === "" && to === "" && choice === hours} onChange={() => setQuery({ hours: choice, from: "", to: "" })} />
              <span>{t("hours", { count: choice })}</span>
            </label>
          ))}
        </span>
        <Moments from={from} to={to} change={setQuery} />
        <ReportActs csv={{ address: ADDRESS, query: asked(), name: "handover" }} again={again} />
      </div>
      <p class="problem">{problem}</p>
      {found === null ? problem === "" && <p class="empty">{t("loading")}</p> : <Told report={found} facilityIds={facilityIds} />}
      <NoteForm facilityIds={facilityIds} written={again} />
    </>
  );
}

function Told({ report, facilityIds }: { report: Handover; facilityIds: readonly string[] }) {
  const counts = Object.entries(report.counts).filter(([name]) => name !== "active");
  return (
    <>
      <Scope start={report.start} end={report.end} facilityIds={facilityIds} />
      <ul class="tiles">
        <li class={report.counts.active > 0 ? "is-said" : ""}>
          <b>{report.counts.active}</b> {t("active")}
        </li>
        {counts.map(([name, count]) => (
          <li key={name} class={name === "unacknowledged" && count > 0 ? "is-said" : ""}>
            <b>{count}</b> {named(name, "state")}
          </li>
        ))}
      </ul>
      {KINDS.map(([kind, title, empty]) => (
        <Entries key={kind} title={t(title)} entries={report.entries.filter((entry) => entry.kind === kind)} empty={t(empty)} />
      ))}
    </>
  );
}
