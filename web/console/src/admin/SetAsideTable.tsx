// Rows that were set aside: chosen, sent through the engine again, or deleted with a reason.
import { useState } from "preact/hooks";
import { get, post } from "../api/http";
import type { Discarded, Redriven, RedrivePage } from "../api/pageTypes";
import { Table, type Column } from "../components/Table";
import { t } from "../i18n";
import { tried } from "../store/asked";
import { say } from "../store/toasts";
import { DiscardDialog } from "./DiscardDialog";

const LOOK_MS = 500;
const LOOKS_MAX = 20;

interface Props<T> {
  origin: "dead_letters" | "parked";
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  empty: string;
  again: () => void;
}

export function SetAsideTable<T extends { id: number }>({ origin, label, columns, rows, empty, again }: Props<T>) {
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [isDeleting, setDeleting] = useState(false);
  const [isUnderWay, setUnderWay] = useState(false);
  const ids = rows.map((row) => row.id).filter((id) => chosen.has(id));
  const toggle = (id: number) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const act = async (work: () => Promise<void>) => {
    setUnderWay(true);
    await tried(work);
    setUnderWay(false);
    setChosen(new Set());
    again();
  };
  const check: Column<T> = {
    label: t("choose"),
    cell: (row) => <input type="checkbox" aria-label={t("chooseRow", { id: row.id })} checked={chosen.has(row.id)} onChange={() => toggle(row.id)} />,
  };
  return (
    <>
      {rows.length > 0 && (
        <p class="desk-bar">
          <button type="button" onClick={() => setChosen(new Set(ids.length === rows.length ? [] : rows.map((row) => row.id)))}>
            {ids.length === rows.length ? t("chooseNone") : t("choosePage")}
          </button>
          <button type="button" class="primary" disabled={ids.length === 0 || isUnderWay} onClick={() => void act(() => redrive(origin, ids))}>
            {t("redrive")}
          </button>
          <button type="button" disabled={ids.length === 0 || isUnderWay} onClick={() => setDeleting(true)}>
            {t("discard")}
          </button>
          <span class="is-soft">{t("chosenCount", { count: ids.length })}</span>
        </p>
      )}
      <Table label={label} columns={[check, ...columns]} rows={rows} keyOf={(row) => row.id} empty={empty} />
      {isDeleting && <DiscardDialog count={ids.length} onClose={() => setDeleting(false)} onYes={(reason) => void act(() => discard(origin, ids, reason))} />}
    </>
  );
}

async function redrive(origin: string, ids: readonly number[]): Promise<void> {
  const asked = await post<Redriven>("/redrives", { origin, ids });
  let states: string[] = [];
  for (let look = 0; look < LOOKS_MAX; look++) {
    const page = await get<RedrivePage>("/redrives", { redrive_id: asked.redrive_id, limit: ids.length });
    states = page.redrives.map((row) => row.state);
    if (!states.includes("waiting")) break;
    await new Promise((resolve) => window.setTimeout(resolve, LOOK_MS));
  }
  const count = (state: string) => states.filter((one) => one === state).length;
  const again = count("refused") + count("parked");
  say(t("redriven", { done: count("done"), again, left: asked.left.length, waiting: count("waiting") }), again + asked.left.length > 0 ? "problem" : "news");
}

async function discard(origin: string, ids: readonly number[], reason: string): Promise<void> {
  const gone = await post<Discarded>("/discards", { origin, ids, reason });
  say(t("discarded", { count: gone.deleted }));
}
