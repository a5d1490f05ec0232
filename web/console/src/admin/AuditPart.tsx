// Who changed what, the newest first; the log cannot be changed.
import type { AuditEntry, AuditPage } from "../api/pageTypes";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { download } from "../store/download";
import { Pager, usePages } from "./pages";

export function AuditPart() {
  const paged = usePages<AuditPage>("/audit");
  const columns: Column<AuditEntry>[] = [
    { label: t("when"), cell: (entry) => <Time at={entry.at} withDay /> },
    { label: t("by"), cell: (entry) => entry.actor_name },
    { label: t("what"), cell: (entry) => <b>{entry.action}</b> },
    { label: t("about"), cell: (entry) => entry.subject },
    { label: t("changes"), kind: "wide", cell: (entry) => <Changes entry={entry} /> },
    { label: t("networkAddress"), cell: (entry) => entry.address },
  ];
  return (
    <section class="desk-part">
      <p class="desk-bar">
        <button type="button" onClick={paged.again}>
          {t("refresh")}
        </button>
        <button type="button" onClick={() => void download("/audit", "text/csv", "audit.csv")}>
          CSV
        </button>
        <small>{t("auditHint")}</small> <code>gasinsight audit verify</code>
      </p>
      {paged.found !== null && <Table label={t("audit")} columns={columns} rows={paged.found.entries} keyOf={(entry) => entry.id} empty={t("none")} />}
      <Pager of={paged} />
    </section>
  );
}

function Changes({ entry }: { entry: AuditEntry }) {
  const { before, after } = entry;
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return (
    <div>
      {fields.map((name) => (
        <span key={name} class="changed">
          <small>{name}</small> {before && name in before && <s>{text(before[name])}</s>} {after && name in after && text(after[name])}
        </span>
      ))}
    </div>
  );
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
