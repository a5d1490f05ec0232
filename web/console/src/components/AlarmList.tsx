// The list: only the rows in sight are drawn, and none moves under the pointer.
import { useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { isKnown, present } from "../store/alarms";
import { cursor, insert, isHeld, shown, waiting } from "../store/list";
import { AlarmRowView } from "./AlarmRowView";
import { IncidentRowView } from "./IncidentRowView";

const BESIDE = 6;
const WIDE = matchMedia("(min-width: 56rem)");
const heightOfRow = (): number => (WIDE.matches ? 44 : 112);

export function AlarmList() {
  const own = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800, row: heightOfRow() });
  const look = () => {
    const list = own.current;
    if (list !== null) setView({ top: list.scrollTop, height: list.clientHeight, row: heightOfRow() });
  };
  useLayoutEffect(() => {
    look();
    const observer = new ResizeObserver(look);
    if (own.current !== null) observer.observe(own.current);
    return () => {
      observer.disconnect();
      isHeld.value = false;
    };
  }, []);
  useSignalEffect(() => {
    const key = cursor.value;
    const place = shown.peek().findIndex((row) => row.key === key);
    if (place >= 0 && own.current !== null) reveal(own.current, place * heightOfRow(), heightOfRow());
  });
  const rows = shown.value;
  const from = Math.max(0, Math.floor(view.top / view.row) - BESIDE);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / view.row) + BESIDE);
  return (
    <section class="list-frame" onPointerEnter={() => (isHeld.value = true)} onPointerLeave={() => (isHeld.value = false)}>
      <Waiting />
      <div class="list" ref={own} role="grid" tabIndex={0} aria-label={t("alarms")} aria-rowcount={rows.length} onScroll={look}>
        {rows.length === 0 && <Empty />}
        <div class="list-whole" role="presentation" style={{ height: `${rows.length * view.row}px` }}>
          {rows.slice(from, to).map((row, place) => (
            <div key={row.key} class="list-row" role="presentation" style={{ top: `${(from + place) * view.row}px` }}>
              {row.kind === "alarm" ? <AlarmRowView row={row} place={from + place + 1} /> : <IncidentRowView row={row} place={from + place + 1} />}
            </div>
          ))}
        </div>
      </div>
    </section>
  );
}

function Empty() {
  if (!isKnown.value) return <p class="empty">{t("loading")}</p>;
  return <p class="empty">{t(present.value.size === 0 ? "nothingWrong" : "nothingFound")}</p>;
}

function Waiting() {
  const { come, gone } = waiting.value;
  const said = [come > 0 && t("newRows", { count: come }), gone > 0 && t("changedRows", { count: gone })].filter(Boolean);
  return (
    <p class="waiting" aria-live="polite">
      {isHeld.value && said.length > 0 && (
        <button type="button" onClick={insert}>
          {said.join(" · ")} — {t("insertRows")}
        </button>
      )}
    </p>
  );
}

function reveal(list: HTMLElement, top: number, height: number): void {
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
}
