// Exports that were asked for, the newest first: how far, to fetch, to end or to take away.
import { path, remove } from "../api/http";
import type { ExportJob } from "../api/pageTypes";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { language, t } from "../i18n";
import { tried } from "../store/asked";
import { download } from "../store/download";
import { names } from "../store/plant";
import { sizeText } from "../store/ranges";
import { dataSetName } from "./ExportForm";

export function Jobs({ jobs, changed }: { jobs: readonly ExportJob[]; changed: () => void }) {
  const end = (job: ExportJob) => void tried(() => remove(path("export-jobs", job.id))).then(changed);
  const columns: Column<ExportJob>[] = [
    { label: t("dataSet"), kind: "short", cell: (job) => <b>{dataSetName(job.dataset)}</b> },
    { label: t("fileFormat"), cell: (job) => job.format },
    { label: t("facilities"), kind: "wide", cell: ofWhom },
    { label: t("state"), cell: (job) => <State job={job} /> },
    { label: t("rows"), kind: "number", cell: (job) => job.rows.toLocaleString(language.value) },
    { label: t("size"), kind: "number", cell: (job) => sizeText(job.bytes) },
    { label: t("made"), cell: (job) => <Time at={job.created_at} /> },
    { label: t("keptUntil"), cell: (job) => <Time at={job.expires_at} withDay /> },
    {
      label: "",
      kind: "acts",
      cell: (job) => (
        <>
          {job.state === "done" && (
            <button type="button" class="primary" onClick={() => void download(path("export-files", job.id), "*/*", fileName(job))}>
              {t("fetchFile")}
            </button>
          )}
          <button type="button" onClick={() => end(job)}>
            {t(job.state === "running" ? "cancel" : "takeAway")}
          </button>
        </>
      ),
    },
  ];
  return (
    <section class="desk-part">
      <h2>{t("yourFiles")}</h2>
      <Table label={t("yourFiles")} columns={columns} rows={jobs} keyOf={(job) => job.id} empty={t("noFiles")} />
    </section>
  );
}

function State({ job }: { job: ExportJob }) {
  if (job.state === "done") return <>{t("jobDone")}</>;
  if (job.state === "failed") return <span class="is-missed">{t("jobFailed", { detail: job.problem ?? "" })}</span>;
  return job.rows_expected === null ? (
    <progress aria-label={t("jobRunning")} />
  ) : (
    <progress aria-label={t("jobRunning")} value={job.rows} max={Math.max(job.rows_expected, job.rows, 1)} />
  );
}

function ofWhom(job: ExportJob): string {
  const places = job.facility_ids.map((id) => names.facility(id) ?? id);
  const shown = places.length > 3 ? t("chosenCount", { count: places.length }) : places.join(", ");
  return job.sensor_ids.length === 0 ? shown : `${shown} · ${t("sensorsCount", { count: job.sensor_ids.length })}`;
}

function fileName(job: ExportJob): string {
  return `${job.dataset}-${job.created_at.slice(0, 19).replaceAll(":", "")}.${job.format}`;
}
