// Which data set, of whom, from when to when, which columns, as what kind of file.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { post } from "../api/http";
import type { ExportJob, NewExport } from "../api/pageTypes";
import { Choice } from "../components/Choice";
import { FacilityChoice } from "../components/FacilityChoice";
import { Moments } from "../components/Moments";
import { t, type Word } from "../i18n";
import { sensorLabel } from "../labels";
import { tried } from "../store/asked";
import { sensorsOf } from "../store/plant";
import { COLUMNS, type DataSet } from "./columns";

const DATA_SETS: Record<DataSet, Word> = {
  records: "dataRecords",
  rollups: "dataRollups",
  alarms: "dataAlarms",
  alerts: "dataAlerts",
  sensors: "sensors",
  facilities: "facilities",
  detection: "dataDetection",
};
const FORMATS: Record<NewExport["format"], string> = { parquet: "Parquet", csv: "CSV", arrow: "Arrow", ndjson: "NDJSON" };
const KEEP_HOURS = [24, 72, 168];

interface Wanted {
  dataset: DataSet;
  facilities: string[];
  sensors: string[];
  from: string;
  to: string;
  columns: string[];
  format: NewExport["format"];
  keepHours: number;
}

const FIRST: Wanted = { dataset: "records", facilities: [], sensors: [], from: "", to: "", columns: [], format: "parquet", keepHours: 24 };

export function dataSetName(name: DataSet): string {
  return t(DATA_SETS[name]);
}

export function ExportForm({ begun }: { begun: () => void }) {
  const [wanted, setWanted] = useState(FIRST);
  const [isBusy, setBusy] = useState(false);
  const change = (part: Partial<Wanted>) => setWanted((before) => ({ ...before, ...part }));
  const send = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    if (await tried(() => post<ExportJob>("/export-jobs", bodyOf(wanted)))) begun();
    setBusy(false);
  };
  return (
    <form class="desk-part export-form" onSubmit={(event) => void send(event)}>
      <Field word="dataSet">
        <select name="dataset" aria-label={t("dataSet")} value={wanted.dataset} onChange={(event) => change({ dataset: event.currentTarget.value as DataSet, columns: [] })}>
          {Object.entries(DATA_SETS).map(([name, word]) => (
            <option key={name} value={name}>
              {t(word)}
            </option>
          ))}
        </select>
      </Field>
      <Field word="facilities">
        <FacilityChoice chosen={wanted.facilities} change={(facilities) => change({ facilities, sensors: [] })} />
      </Field>
      <Field word="sensors">
        <Choice label={t("sensors")} all={t("allSensors")} options={sensorOptions(wanted.facilities)} chosen={wanted.sensors} change={(sensors) => change({ sensors })} />
      </Field>
      <Field word="columns">
        <Choice label={t("columns")} all={t("allColumns")} options={COLUMNS[wanted.dataset].map((name) => ({ id: name, name }))} chosen={wanted.columns} change={(columns) => change({ columns })} />
      </Field>
      <Field word="range">
        <Moments from={wanted.from} to={wanted.to} change={change} />
      </Field>
      <Field word="fileFormat">
        <span class="chips">
          {Object.entries(FORMATS).map(([name, spelling]) => (
            <label key={name} class="chip">
              <input type="radio" name="format" value={name} checked={wanted.format === name} onChange={() => change({ format: name as NewExport["format"] })} />
              <span>{spelling}</span>
            </label>
          ))}
        </span>
      </Field>
      <Field word="keepFor">
        <select aria-label={t("keepFor")} value={wanted.keepHours} onChange={(event) => change({ keepHours: Number(event.currentTarget.value) })}>
          {KEEP_HOURS.map((hours) => (
            <option key={hours} value={hours}>
              {t("hours", { count: hours })}
            </option>
          ))}
        </select>
      </Field>
      <button type="submit" class="primary" disabled={isBusy}>
        {t("makeFile")}
      </button>
    </form>
  );
}

function Field({ word, children }: { word: Word; children: ComponentChildren }) {
  return (
    <div class="field">
      <span>{t(word)}</span>
      {children}
    </div>
  );
}

function sensorOptions(facilityIds: readonly string[]) {
  const places = facilityIds.length === 0 ? [...sensorsOf.value.keys()] : facilityIds;
  return places.flatMap((id) => sensorsOf.value.get(id) ?? []).map((sensor) => ({ id: sensor.id, name: `${sensorLabel(sensor)} · ${sensor.id}` }));
}

function bodyOf(wanted: Wanted): NewExport {
  return {
    dataset: wanted.dataset,
    facility_ids: wanted.facilities,
    sensor_ids: wanted.sensors,
    start_date: wanted.from || null,
    end_date: wanted.to || null,
    columns: COLUMNS[wanted.dataset].filter((name) => wanted.columns.includes(name)),
    format: wanted.format,
    keep_hours: wanted.keepHours,
  };
}
