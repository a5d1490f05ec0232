// Keys that work wherever no text is being written.
import { acknowledgeChosen } from "./components/Actions";
import { linkOf } from "./components/AlarmRowView";
import { askFor } from "./components/CommandDialog";
import { isHelpOpen } from "./components/Help";
import { toggleSound } from "./components/Settings";
import { go, route } from "./route";
import { chosen, cursor, insert, moveCursor, selected, shown, toggleOpen, toggleSelected } from "./store/list";

const ANYWHERE: Record<string, () => void> = {
  "1": () => go({ page: "overview" }),
  "2": () => go({ page: "alarms" }),
  "3": () => go({ page: "reports", id: "handover" }),
  "4": () => go({ page: "history" }),
  "5": () => go({ page: "exports" }),
  "/": () => document.getElementById("search")?.focus(),
  m: toggleSound,
  "?": () => (isHelpOpen.value = true),
};

const IN_THE_LIST: Record<string, () => void> = {
  ArrowDown: () => moveCursor(1),
  ArrowUp: () => moveCursor(-1),
  j: () => moveCursor(1),
  k: () => moveCursor(-1),
  PageDown: () => moveCursor(10),
  PageUp: () => moveCursor(-10),
  Home: () => moveCursor(-Infinity),
  End: () => moveCursor(Infinity),
  x: () => withRow(toggleSelected),
  Enter: open,
  a: acknowledgeChosen,
  s: () => askFor("shelve", chosen()),
  c: () => askFor("comment", chosen()),
  n: insert,
  Escape: () => (selected.value = new Set()),
};

function withRow(act: (row: (typeof shown.value)[number]) => void): void {
  const row = shown.value.find((one) => one.key === cursor.value);
  if (row !== undefined) act(row);
}

function open(): void {
  withRow((row) => {
    if (row.kind === "incident") toggleOpen(row.key);
    else location.hash = linkOf(row.alarm);
  });
}

export function listenToKeys(): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null) return;
    const on = event.target as HTMLElement;
    if (on.matches("input:not([type=checkbox]), select, textarea")) {
      if (event.key === "Escape") on.blur();
      return;
    }
    if (event.key === "Enter" && on.matches("a, button, summary, input")) return;
    const act = (route.value.page === "alarms" ? IN_THE_LIST[event.key] : undefined) ?? ANYWHERE[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
}
