// One row of the journal: when, where, what, who; with a link to itself, and on an alert what people said of it.
import type { JournalEntry } from "../api/types";
import { Symbol } from "../components/Symbol";
import { Time } from "../components/Time";
import { named, t } from "../i18n";
import { transitionName } from "../i18n/transitions";
import { addressOf } from "../route";
import { names } from "../store/plant";
import { labelOf } from "./search";
import { judging } from "./VerdictDialog";
import { verdictName } from "./verdicts";

export function HistoryRow({ event, verdict }: { event: JournalEntry; verdict: string | null }) {
  const isBeginning = event.transition.startsWith("activated");
  const facility = names.facility(event.facility_id) ?? event.facility_id;
  const where = event.sensor_id === null ? addressOf({ page: "facility", id: event.facility_id }) : addressOf({ page: "sensor", id: event.sensor_id });
  return (
    <li class={`happened ${isBeginning ? `priority-${event.priority}` : ""}`} data-event={event.id}>
      <a class="happened-at" href={`${addressOf({ page: "history" })}?event=${event.id}`} title={t("linkToThis")}>
        <Time at={event.event_time} withDay />
      </a>
      <span class="happened-what">
        {isBeginning && <Symbol priority={event.priority} state="acknowledged" />}
        <b>{named(event.rule, "rule")}</b> {transitionName(event.transition)}
        {event.verdict != null && <>: {verdictName(event.verdict)}</>}
      </span>
      <span class="happened-where">
        <a href={where}>{labelOf(event) ?? facility}</a>
        {event.sensor_id !== null && <small>{facility}</small>}
      </span>
      <span class="happened-said">
        {event.message}
        {event.reason && <i> {event.reason}</i>}
        {event.assignee && <> → {event.assignee}</>}
        {event.work_order && <small> {event.work_order}</small>}
      </span>
      <span class="happened-by">{event.actor_name}</span>
      <span class="happened-act">
        {event.transition === "activated" && (
          <button type="button" aria-label={t("judge")} onClick={() => (judging.value = event)}>
            {verdict === null ? t("judge") : verdictName(verdict)}
          </button>
        )}
      </span>
    </li>
  );
}
