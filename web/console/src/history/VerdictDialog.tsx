// Whether an alert was right, which only people know. The last word holds; all of them stay in the journal.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { get, path } from "../api/http";
import type { AlarmWithHistory, JournalEntry, NewAlarmCommand } from "../api/types";
import { Dialog } from "../components/Dialog";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { act } from "../store/actions";
import { useAsked } from "../store/asked";
import { VERDICTS, verdictName } from "./verdicts";

const HISTORY_ROWS = 1_000;
export const judging = signal<JournalEntry | null>(null);

export function VerdictDialog({ judged }: { judged: () => void }) {
  const event = judging.value;
  return event === null ? null : <Judging key={event.id} event={event} judged={judged} />;
}

function Judging({ event, judged }: { event: JournalEntry; judged: () => void }) {
  const [verdict, setVerdict] = useState<NewAlarmCommand["verdict"]>(null);
  const [reason, setReason] = useState("");
  const query = { facility_id: event.facility_id, limit: HISTORY_ROWS };
  const { found } = useAsked((signal) => get<AlarmWithHistory>(path("alarms", event.alarm_id), query, signal), [event.id]);
  const before = found?.history.filter((row) => row.about_event_id === event.id) ?? [];
  const close = () => {
    judging.value = null;
  };
  const send = async (submitted: Event) => {
    submitted.preventDefault();
    close();
    await act([{ facility_id: event.facility_id, id: event.alarm_id }], { command: "verdict", verdict, event_id: event.id, reason });
    judged();
  };
  return (
    <Dialog title={t("judgeTitle")} onClose={close}>
      <form class="command-form" onSubmit={(submitted) => void send(submitted)}>
        <p>{event.message}</p>
        {before.map((row) => (
          <p key={row.id} class="remark">
            <Time at={row.event_time} withDay /> · {row.actor_name} · {verdictName(row.verdict ?? "")} {row.reason && <i>{row.reason}</i>}
          </p>
        ))}
        <fieldset>
          <legend>{t("verdict")}</legend>
          {VERDICTS.map((name) => (
            <label key={name} class="chip">
              <input type="radio" name="verdict" required checked={name === verdict} onChange={() => setVerdict(name)} />
              <span>{verdictName(name)}</span>
            </label>
          ))}
        </fieldset>
        <label class="field">
          {t("reason")}
          <input name="reason" value={reason} maxLength={1000} onInput={(typed) => setReason(typed.currentTarget.value)} />
        </label>
        <div class="dialog-acts">
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
          <button type="submit" class="primary" disabled={verdict === null}>
            {t("judge")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
