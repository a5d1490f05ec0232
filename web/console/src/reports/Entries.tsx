// Lines of a report: where, what, how long, by whom and why.
import type { HandoverEntry, MonthlyEntry } from "../api/pageTypes";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { named, t } from "../i18n";
import { transitionName } from "../i18n/transitions";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { names } from "../store/plant";
import { spelled } from "../store/ranges";

type Entry = HandoverEntry | MonthlyEntry;

export function Entries({ title, entries, empty }: { title: string; entries: readonly Entry[]; empty: string }) {
  return (
    <section class="desk-part">
      <h2>
        {title} <small>{entries.length}</small>
      </h2>
      <Table label={title} columns={columnsOf(entries)} rows={entries} keyOf={(_, place) => place} empty={empty} />
    </section>
  );
}

/** Columns that say nothing of any line are left out. */
function columnsOf(entries: readonly Entry[]): Column<Entry>[] {
  const lasts = entries.some((entry) => entry.kind !== "happened" && entry.kind !== "note");
  const all: (Column<Entry> | false)[] = [
    { label: t("since"), cell: (entry) => <Time at={entry.since} withDay /> },
    entries.some((entry) => entry.until !== null) && { label: t("until"), cell: (entry) => entry.until !== null && <Time at={entry.until} withDay /> },
    lasts && { label: t("lasted"), kind: "number", cell: (entry) => spelled(entry.seconds) },
    { label: t("facility"), cell: (entry) => entry.facility_name ?? names.facility(entry.facility_id) ?? entry.facility_id },
    entries.some((entry) => entry.alarm_id ?? entry.sensor_id) && { label: t("point"), cell: pointOf },
    { label: t("what"), kind: "wide", cell: saidOf },
    entries.some((entry) => entry.by) && { label: t("by"), cell: (entry) => entry.by },
    entries.some((entry) => entry.why) && { label: t("reason"), cell: (entry) => entry.why },
  ];
  return all.filter((column) => column !== false);
}

function pointOf(entry: Entry) {
  const id = entry.sensor_id;
  if (id === null) return entry.sensor_name ?? ruleOf(entry.alarm_id);
  const label = sensorLabel({ id, name: entry.sensor_name, type: names.sensor(id)?.type ?? null });
  return <a href={addressOf({ page: "sensor", id })}>{label}</a>;
}

function ruleOf(alarmId: string | null): string {
  return alarmId === null ? "" : named(alarmId.split(":").at(-1) ?? alarmId, "rule");
}

/** The server puts a word of the contract first, `acknowledged: too high`: that one is said in the viewer's language. */
function saidOf(entry: Entry) {
  if (entry.kind === "note") return <span class="note">{entry.what}</span>;
  const [first = "", ...rest] = entry.what.split(": ");
  const word = first.replaceAll(" ", "_");
  const said = entry.kind === "happened" ? transitionName(word) : named(word, "state");
  return rest.length === 0 ? (said === word ? first : said) : (
    <>
      <b>{said}</b> {rest.join(": ")}
    </>
  );
}
