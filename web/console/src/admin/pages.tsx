// A long list of the server, a page at a time.
import { useState } from "preact/hooks";
import { get } from "../api/http";
import { t } from "../i18n";
import { useAsked, type Asked } from "../store/asked";

const PAGE_ROWS = 50;

export interface Paged<T> extends Asked<T> {
  skip: number;
  go: (skip: number) => void;
}

export function usePages<T extends { total: number }>(address: string): Paged<T> {
  const [skip, go] = useState(0);
  const asked = useAsked((signal) => get<T>(address, { skip, limit: PAGE_ROWS }, signal), [address, skip]);
  return { ...asked, skip, go };
}

export function Pager<T extends { total: number }>({ of }: { of: Paged<T> }) {
  const { found, skip, go, problem, isLoading, again } = of;
  if (problem !== "")
    return (
      <p class="problem">
        {problem}{" "}
        <button type="button" onClick={again}>
          {t("refresh")}
        </button>
      </p>
    );
  if (found === null || (found.total <= PAGE_ROWS && skip === 0)) return null;
  return (
    <p class="pager">
      <button type="button" disabled={skip === 0 || isLoading} onClick={() => go(Math.max(0, skip - PAGE_ROWS))}>
        {t("back")}
      </button>
      <span>{t("rowsOf", { from: Math.min(skip + 1, found.total), to: Math.min(skip + PAGE_ROWS, found.total), total: found.total })}</span>
      <button type="button" disabled={skip + PAGE_ROWS >= found.total || isLoading} onClick={() => go(skip + PAGE_ROWS)}>
        {t("further")}
      </button>
    </p>
  );
}
