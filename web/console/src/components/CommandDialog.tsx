// What a command needs to be told: a reason, and of shelving for how long.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { AlarmNow } from "../api/types";
import { t } from "../i18n";
import { act } from "../store/actions";
import { selected } from "../store/list";
import { contractTime } from "../times";
import { Dialog } from "./Dialog";

const MINUTES = [15, 30, 60, 120, 240, 480];

export const asking = signal<{ command: "shelve" | "comment"; alarms: AlarmNow[] } | null>(null);

export function askFor(command: "shelve" | "comment", alarms: AlarmNow[]): void {
  if (alarms.length > 0) asking.value = { command, alarms };
}

function spell(minutes: number): string {
  return minutes < 60 ? t("minutes", { count: minutes }) : t("hours", { count: minutes / 60 });
}

export function CommandDialog() {
  const [minutes, setMinutes] = useState(60);
  const [reason, setReason] = useState("");
  const asked = asking.value;
  if (asked === null) return null;
  const { command, alarms } = asked;
  const close = () => {
    asking.value = null;
    setReason("");
  };
  const send = (event: Event) => {
    event.preventDefault();
    const until = contractTime(Date.now() + minutes * 60_000);
    void act(alarms, command === "shelve" ? { command, reason, until } : { command, reason });
    selected.value = new Set();
    close();
  };
  const title = t(command === "shelve" ? "shelveTitle" : "commentTitle", { count: alarms.length });
  return (
    <Dialog title={title} onClose={close}>
      <form class="command-form" onSubmit={send}>
        {command === "shelve" && (
          <fieldset>
            <legend>{t("howLong")}</legend>
            {MINUTES.map((choice) => (
              <label key={choice} class="chip">
                <input type="radio" name="minutes" checked={choice === minutes} onChange={() => setMinutes(choice)} />
                <span>{spell(choice)}</span>
              </label>
            ))}
          </fieldset>
        )}
        <label class="field">
          {command === "shelve" ? t("reason") : t("comment")}
          <input
            name="reason"
            value={reason}
            maxLength={1000}
            required
            autofocus
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
        <div class="dialog-acts">
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
          <button type="submit" class="primary">
            {t(command)}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
