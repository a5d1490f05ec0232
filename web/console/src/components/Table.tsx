// Rows under headings; on a telephone each row is a card that names its cells.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { t } from "../i18n";

export interface Column<T> {
  label: string;
  cell: (row: T) => ComponentChildren;
  kind?: "number" | "short" | "wide" | "acts";
}

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T, place: number) => string | number;
  empty: string;
}

const SHOWN_MAX = 200;

export function Table<T>({ label, columns, rows, keyOf, empty }: Props<T>) {
  const [shownMax, setShownMax] = useState(SHOWN_MAX);
  if (rows.length === 0) return <p class="nothing">{empty}</p>;
  return (
    <>
      <table class="table" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.label} scope="col" class={column.kind ? `is-${column.kind}` : ""}>
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shownMax).map((row, place) => (
            <tr key={keyOf(row, place)}>
              {columns.map((column) => (
                <td key={column.label} data-label={column.label} class={column.kind ? `is-${column.kind}` : ""}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shownMax && (
        <p class="pager">
          {t("rowsOf", { from: 1, to: shownMax, total: rows.length })}
          <button type="button" onClick={() => setShownMax(rows.length)}>
            {t("showAll", { count: rows.length })}
          </button>
        </p>
      )}
    </>
  );
}
