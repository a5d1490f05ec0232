// A sensor: its value now, the chart with all that explains it, its alarms with what can be done, and what happened.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, path } from "../api/http";
import type { Journal, JournalEntry, Sensor, SensorRules } from "../api/types";
import { Chart } from "../chart/Chart";
import { limitsOf, spansOf, type Limit } from "../chart/marks";
import { around, between, moved, zoomed, type Range } from "../chart/range";
import { useLine } from "../chart/useLine";
import { AlarmRowView } from "../components/AlarmRowView";
import { askFor } from "../components/CommandDialog";
import { Explained } from "../components/Explained";
import { RangeControls } from "../components/RangeControls";
import { Age } from "../components/Time";
import { DetectionSection } from "../detection/DetectionSection";
import { named, t } from "../i18n";
import { sensorLabel } from "../labels";
import { query } from "../query";
import { addressOf } from "../route";
import { RulesSection } from "../rules/RulesSection";
import { present } from "../store/alarms";
import { now } from "../store/clock";
import { bandOf } from "../store/limits";
import { facilities, sensors } from "../store/plant";
import { keyOf } from "../store/reducer";
import { moment } from "../times";

const HOUR_MS = 3_600_000;
const TOLD_MAX = 30;
const JOURNAL_ROWS = 500;
const NO_RULES: SensorRules["in_force"] = [];

export function SensorPage({ id }: { id: string }) {
  const sensor = sensors.value.get(id);
  if (sensor === undefined) return <p class="empty">{t(sensors.value.size === 0 ? "loading" : "notFound")}</p>;
  return <Found key={sensor.id} sensor={sensor} />;
}

function Found({ sensor }: { sensor: Sensor }) {
  const [range, setRange] = useState<Range>({ spanMs: HOUR_MS, endMs: null });
  const { line, newest, isLoading } = useLine(sensor, range);
  const alarms = [...present.value.values()].filter((alarm) => alarm.sensor_id === sensor.id);
  const { rules, setRules, journal } = useStory(sensor.id, range, alarms.map((alarm) => alarm.last_event_id).join());
  useChartKeys(range, setRange);
  const frame = useRef<HTMLElement>(null);
  useMomentOfAddress((atMs) => {
    setRange(around(atMs, HOUR_MS, Date.now()));
    frame.current?.scrollIntoView({ block: "nearest" });
  });
  const toMs = range.endMs ?? now.value;
  const inForce = rules?.in_force ?? NO_RULES;
  const [proposed, propose] = useState<Limit[]>([]);
  const marks = useMemo(() => ({ limits: limitsOf(inForce), proposed, ...spansOf(journal, toMs / 1000) }), [inForce, proposed, journal, toMs]);
  return (
    <main class="sensor-page">
      <header class="page-head">
        <a href={addressOf({ page: "facility", id: sensor.facility_id })}>{facilities.value.get(sensor.facility_id)?.name}</a>
        <h1>{sensorLabel(sensor)}</h1>
        <p>{sensor.name}</p>
        <Value data={newest?.data ?? sensor.latest?.data} at={newest?.tracked_at ?? sensor.latest?.tracked_at} unit={bandOf(inForce).unit} />
      </header>
      <section class="chart-frame" ref={frame} aria-busy={isLoading}>
        <RangeControls range={range} change={setRange} />
        <Chart line={line} marks={marks} fromMs={toMs - range.spanMs} toMs={toMs} label={t("chartLabel", { name: sensor.name })} onZoom={(from, to) => setRange(between(from, to))} />
        {!isLoading && line.seconds.length === 0 && <p class="empty">{t("noReadings")}</p>}
      </section>
      {alarms.length > 0 && (
        <section class="short-list" aria-label={t("alarms")}>
          {alarms.map((alarm) => (
            <div key={alarm.id} class="with-acts">
              <div class="alone" role="grid" aria-label={named(alarm.rule, "rule")}>
                <AlarmRowView row={{ kind: "alarm", key: keyOf(alarm.facility_id, alarm.id), alarm, isMember: false }} />
              </div>
              <button type="button" onClick={() => askFor("shelve", [alarm])}>
                {t("shelve")}
              </button>
              <button type="button" onClick={() => askFor("comment", [alarm])}>
                {t("comment")}
              </button>
            </div>
          ))}
        </section>
      )}
      {rules !== null && <RulesSection sensor={sensor} rules={rules} line={line} held={setRules} propose={propose} />}
      <DetectionSection sensorId={sensor.id} journal={journal} />
      <section class="story" aria-label={t("whatHappened")}>
        <h2>{t("whatHappened")}</h2>
        <ul>
          {journal.slice(0, TOLD_MAX).map((event) => (
            <Explained key={event.id} event={event} rule={inForce.find((rule) => rule.rule === event.rule)} />
          ))}
        </ul>
      </section>
    </main>
  );
}

function Value({ data, at, unit }: { data: string | undefined; at: string | undefined; unit: string }) {
  return (
    <p class="value-now">
      <b>{data ?? "—"}</b> {unit} {at !== undefined && <Age at={at} />}
    </p>
  );
}

/** Rules and journal of what is shown; anew when one of the alarms has moved. */
function useStory(sensorId: string, range: Range, moves: string) {
  const [rules, setRules] = useState<SensorRules | null>(null);
  const [journal, setJournal] = useState<JournalEntry[]>([]);
  useEffect(() => {
    void get<SensorRules>(path("rules", "sensor", sensorId))
      .then(setRules)
      .catch(() => undefined); // away: the bar says so
  }, [sensorId]);
  useEffect(() => {
    const asking = new AbortController();
    const query = { sensor_id: sensorId, order: "desc", limit: JOURNAL_ROWS };
    const until: { end_date?: string } = range.endMs === null ? {} : { end_date: new Date(range.endMs).toISOString() };
    void get<Journal>("/journal", { ...query, ...until }, asking.signal)
      .then((found) => setJournal(found.journal))
      .catch(() => undefined); // away, or asked anew
    return () => asking.abort();
  }, [sensorId, range.endMs, moves]);
  return { rules, setRules, journal };
}

/** `?at=` of a link to a moment, also while the page stands. */
function useMomentOfAddress(show: (atMs: number) => void): void {
  const at = query.value.get("at");
  useEffect(() => {
    const atMs = at === null ? Number.NaN : moment(at);
    if (!Number.isNaN(atMs)) show(atMs);
  }, [at]);
}

function useChartKeys(range: Range, change: (range: Range) => void): void {
  useEffect(() => {
    const keys: Record<string, () => Range> = {
      ArrowLeft: () => moved(range, -0.25, Date.now()),
      ArrowRight: () => moved(range, 0.25, Date.now()),
      "+": () => zoomed(range, 0.5, Date.now()),
      "-": () => zoomed(range, 2, Date.now()),
      "0": () => ({ ...range, endMs: null }),
    };
    const listen = (event: KeyboardEvent) => {
      const on = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || on.matches("input, select, textarea")) return;
      const next = keys[event.key];
      if (next !== undefined) change(next());
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, [range]);
}
