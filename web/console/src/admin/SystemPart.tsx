// Whether each part works, and which commands do what this page cannot.
import { Table, type Column } from "../components/Table";
import { t, type Word } from "../i18n";
import { health } from "../store/health";

interface Part {
  name: string;
  ready: boolean;
  detail: string;
}

const COLUMNS = (): Column<Part>[] => [
  { label: t("part"), cell: (part) => <b>{part.name}</b> },
  { label: t("state"), cell: (part) => <span class={part.ready ? "is-soft" : "is-missed"}>{t(part.ready ? "works" : "worksNot")}</span> },
  { label: t("details"), kind: "wide", cell: (part) => part.detail },
];

/** No route does these: they concern the machines and the database that the server runs on. */
const COMMANDS: [string, Word][] = [
  ["gasinsight status", "commandStatus"],
  ["gasinsight drain NODE", "commandDrain"],
  ["gasinsight drain NODE --undo", "commandUndrain"],
  ["gasinsight db maintain --dry-run", "commandMaintain"],
  ["gasinsight settings", "commandSettings"],
  ["gasinsight backup", "commandBackup"],
  ["gasinsight doctor", "commandDoctor"],
];

export function SystemPart() {
  const parts = Object.entries(health.value.readiness?.checks ?? {}).map(([name, check]) => ({ name, ...check }));
  return (
    <>
      <section class="desk-part">
        <h2>{t("system")}</h2>
        <Table label={t("system")} columns={COLUMNS()} rows={parts} keyOf={(part) => part.name} empty={t(health.value.isReached ? "loading" : "unreachable")} />
      </section>
      <section class="desk-part">
        <h2>{t("commands")}</h2>
        <p class="remark">{t("commandsHint")}</p>
        <dl class="commands">
          {COMMANDS.map(([command, word]) => (
            <div key={command}>
              <dt>
                <code>{command}</code>
              </dt>
              <dd>{t(word)}</dd>
            </div>
          ))}
        </dl>
      </section>
    </>
  );
}
