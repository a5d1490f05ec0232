// How good the alarms themselves are: each figure beside its target, days as bars, and what is heard most.
import { get, type Query } from "../api/http";
import type { AlarmFigures, Figures, FiguresReport as MonthFigures, Measure, Offender } from "../api/pageTypes";
import { FacilityChoice } from "../components/FacilityChoice";
import { Symbol } from "../components/Symbol";
import { Table, type Column } from "../components/Table";
import { named, t, type Word } from "../i18n";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { query, setQuery } from "../query";
import { useAsked } from "../store/asked";
import { names } from "../store/plant";
import { spelled } from "../store/ranges";
import { DaysPicture } from "./DaysPicture";
import { MonthField } from "./MonthField";
import { ReportActs } from "./ReportActs";
import { Scope } from "./Scope";

const WINDOWS: Record<string, Word> = { "10m": "last10m", "24h": "last24h", "30d": "last30d" };

export function FiguresReport() {
  const facilityIds = query.value.getAll("facility");
  const month = query.value.get("month") ?? "";
  const window = query.value.get("window") ?? "30d";
  const of: Query = { facility_id: facilityIds };
  const ask = async (signal: AbortSignal): Promise<Figures | null> => {
    if (month !== "") return (await get<MonthFigures>("/reports/figures", { ...of, month }, signal)).figures;
    return (await get<AlarmFigures>("/alarm-figures", { ...of, window }, signal)).figures[0] ?? null;
  };
  const { found, problem, again } = useAsked(ask, [query.value.toString()]);
  const csv = month === "" ? null : { address: "/reports/figures", query: { ...of, month }, name: `figures-${month}` };
  return (
    <>
      <div class="desk-bar">
        <FacilityChoice chosen={facilityIds} change={(chosen) => setQuery({ facility: chosen })} />
        <span class="chips" role="group" aria-label={t("range")}>
          {Object.entries(WINDOWS).map(([choice, word]) => (
            <label key={choice} class="chip">
              <input type="radio" name="window" checked={month === "" && choice === window} onChange={() => setQuery({ window: choice, month: "" })} />
              <span>{t(word)}</span>
            </label>
          ))}
        </span>
        <MonthField month={month} change={(next) => setQuery({ month: next })} />
        <ReportActs csv={csv} again={again} />
      </div>
      <p class="problem">{problem}</p>
      {found === null ? problem === "" && <p class="empty">{t("loading")}</p> : <Measured figures={found} facilityIds={facilityIds} />}
    </>
  );
}

function Measured({ figures, facilityIds }: { figures: Figures; facilityIds: readonly string[] }) {
  return (
    <>
      <Scope start={figures.start} end={figures.end} facilityIds={facilityIds}>
        {t("activationsCount", { count: figures.tally.activations })}
      </Scope>
      <div class="desk-columns">
        <section class="desk-part">
          <h2>{t("alarmFigures")}</h2>
          <Table label={t("alarmFigures")} columns={MEASURES()} rows={figures.measures} keyOf={(one) => one.name} empty="" />
        </section>
        <section class="desk-part">
          <h2>{t("activationsADay")}</h2>
          <DaysPicture days={figures.days} />
          <dl class="facts">
            <Fact word="acknowledgedAfter" seconds={figures.acknowledged_after.p50_s} most={figures.acknowledged_after.p90_s} />
            <Fact word="stood" seconds={figures.stood.p50_s} most={figures.stood.p90_s} />
          </dl>
        </section>
      </div>
      <Worst title={t("heardMost")} rows={figures.offenders} />
      <Worst title={t("standsLong")} rows={figures.stale} />
    </>
  );
}

function Fact({ word, seconds, most }: { word: "acknowledgedAfter" | "stood"; seconds: number | null; most: number | null }) {
  return (
    <div>
      <dt>{t(word)}</dt>
      <dd>{seconds === null || most === null ? "—" : t("halfAndNine", { half: spelled(seconds), nine: spelled(most) })}</dd>
    </div>
  );
}

const MET: Record<string, Word> = { true: "met", false: "notMet", null: "nobodyKnows" };
const isShare = (one: Measure): boolean => one.name.endsWith("_share");
const percent = (value: number): string => `${Number((100 * value).toPrecision(3))} %`;

function valueOf(one: Measure): string {
  if (one.value === null) return "—";
  return isShare(one) ? percent(one.value) : String(Number(one.value.toPrecision(3)));
}

function targetOf(one: Measure): string {
  return isShare(one) ? one.target.replace(/\d\.\d+/g, (text) => percent(Number(text))) : one.target;
}

const MEASURES = (): Column<Measure>[] => [
  { label: t("figure"), kind: "wide", cell: (one) => measureName(one.name) },
  { label: t("value"), kind: "number", cell: (one) => <b class={one.met === false ? "is-missed" : ""}>{valueOf(one)}</b> },
  { label: t("target"), cell: targetOf },
  { label: t("targetMet"), cell: (one) => <span class={one.met === false ? "is-missed" : "is-soft"}>{t(MET[String(one.met)] ?? "nobodyKnows")}</span> },
];

const MEASURE_WORDS: Record<string, Word> = {
  per_10_min: "measurePer10Min",
  most_in_10_min: "measureMostIn10Min",
  flood_share: "measureFloodShare",
  stale_on_a_day: "measureStaleOnADay",
  chattering: "measureChattering",
  fleeting: "measureFleeting",
  top_ten_share: "measureTopTenShare",
  low_share: "measureLowShare",
  medium_share: "measureMediumShare",
  high_share: "measureHighShare",
};

function measureName(name: string): string {
  const word = MEASURE_WORDS[name];
  return word === undefined ? name.replaceAll("_", " ") : t(word);
}

function Worst({ title, rows }: { title: string; rows: readonly Offender[] }) {
  const columns: Column<Offender>[] = [
    { label: t("alarms"), cell: (one) => <Symbol priority={one.priority} state="acknowledged" /> },
    { label: t("facility"), cell: (one) => names.facility(one.facility_id) ?? one.facility_id },
    { label: t("point"), cell: pointOf },
    { label: t("rule"), kind: "wide", cell: (one) => named(one.rule, "rule") },
    { label: t("activations"), kind: "number", cell: (one) => one.activations },
    { label: t("share"), kind: "number", cell: (one) => percent(one.share) },
    { label: t("stood"), kind: "number", cell: (one) => spelled(one.standing_s) },
  ];
  return (
    <section class="desk-part">
      <h2>{title}</h2>
      <Table label={title} columns={columns} rows={rows} keyOf={(one) => `${one.facility_id} ${one.alarm_id}`} empty={t("none")} />
    </section>
  );
}

function pointOf({ sensor_id: id, sensor_name: name, alarm_id }: Offender) {
  if (id === null) return alarm_id;
  return <a href={addressOf({ page: "sensor", id })}>{sensorLabel({ id, name, type: names.sensor(id)?.type ?? null })}</a>;
}
