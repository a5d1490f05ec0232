// What hubs sent and had no effect: it waits for its facility or sensor, or was given up with a reason.
import type { DeadLetter, DeadLetterPage, Parked, ParkedPage } from "../api/pageTypes";
import type { Column } from "../components/Table";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { names } from "../store/plant";
import { Pager, usePages } from "./pages";
import { SetAsideTable } from "./SetAsideTable";

export function IntakePart() {
  const parked = usePages<ParkedPage>("/parked");
  const dead = usePages<DeadLetterPage>("/dead-letters");
  return (
    <>
      <section class="desk-part">
        <h2>
          {t("parkedRows")} <small>{parked.found?.total}</small>
        </h2>
        <p class="remark">{t("parkedHint")}</p>
        {parked.found !== null && (
          <SetAsideTable origin="parked" label={t("parkedRows")} columns={PARKED()} rows={parked.found.parked} empty={t("nothingWaits")} again={parked.again} />
        )}
        <Pager of={parked} />
      </section>
      <section class="desk-part">
        <h2>
          {t("deadLetters")} <small>{dead.found?.total}</small>
        </h2>
        <p class="remark">{t("deadLettersHint")}</p>
        {dead.found !== null && (
          <SetAsideTable origin="dead_letters" label={t("deadLetters")} columns={DEAD()} rows={dead.found.dead_letters} empty={t("none")} again={dead.again} />
        )}
        <Pager of={dead} />
      </section>
    </>
  );
}

const PARKED = (): Column<Parked>[] => [
  { label: t("since"), cell: (row) => <Time at={row.parked_at} withDay /> },
  { label: t("what"), cell: (row) => row.kind },
  { label: t("facility"), cell: (row) => place(row) },
  { label: t("sensor"), cell: (row) => row.sensor_id },
  { label: t("reason"), kind: "wide", cell: (row) => row.reason },
  { label: t("body"), cell: (row) => <Body text={row.body} /> },
];

const DEAD = (): Column<DeadLetter>[] => [
  { label: t("when"), cell: (row) => <Time at={row.recorded_at} withDay /> },
  { label: t("source"), cell: (row) => (row.queue === null ? row.source : `${row.source} ${row.queue}`) },
  { label: t("facility"), cell: (row) => place(row) },
  { label: t("sensor"), cell: (row) => row.sensor_id },
  { label: t("reason"), kind: "wide", cell: (row) => `${row.reason}${row.detail === "" ? "" : `: ${row.detail}`}` },
  { label: t("body"), cell: (row) => <Body text={row.body} /> },
];

function place({ facility_id: id }: { facility_id: string | null }): string {
  return id === null ? "" : (names.facility(id) ?? id);
}

function Body({ text }: { text: string }) {
  return (
    <details class="body">
      <summary>{t("show")}</summary>
      <pre>{text}</pre>
    </details>
  );
}
