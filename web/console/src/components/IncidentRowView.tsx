// Alarms that began together, as one row that unfolds; its first-out is what it shows.
import { named, t } from "../i18n";
import { sensorLabel } from "../labels";
import { names } from "../store/plant";
import { cursor, keysOf, selected, toggleOpen, toggleSelected } from "../store/list";
import { act } from "../store/actions";
import { present } from "../store/alarms";
import type { IncidentRow } from "../store/rows";
import type { Incident } from "../api/types";
import { Symbol } from "./Symbol";
import { Time } from "./Time";

export function IncidentRowView({ row, place }: { row: IncidentRow; place: number }) {
  const { incident } = row.of;
  const alarms = keysOf(row).flatMap((key) => present.value.get(key) ?? []);
  const open = alarms.filter((alarm) => !alarm.acknowledged);
  const counts = { alarms: incident.alarms, active: alarms.filter((alarm) => alarm.active).length, unacknowledged: open.length };
  const isSelected = keysOf(row).every((key) => selected.value.has(key));
  const state = open.length > 0 ? "unacknowledged" : counts.active > 0 ? "acknowledged" : "over";
  const first = incident.first_out;
  return (
    <div
      class={`alarm incident priority-${incident.priority} state-${state} ${cursor.value === row.key ? "is-cursor" : ""}`}
      role="row"
      aria-rowindex={place}
      aria-selected={isSelected}
      onClick={() => (cursor.value = row.key)}
    >
      <span class="pick" role="gridcell">
        <label>
          <input type="checkbox" tabIndex={-1} aria-label={t("incident")} checked={isSelected} onChange={() => toggleSelected(row)} />
        </label>
      </span>
      <span class="what" role="gridcell">
        <Symbol priority={incident.priority} state={state} label={false} />
        <span class="priority-word">{named(incident.priority, "priority")}</span>
      </span>
      <span class="where" role="gridcell">
        <button
          type="button"
          tabIndex={-1}
          class="unfold"
          aria-expanded={row.isOpen}
          title={t(row.isOpen ? "collapse" : "expand")}
          onClick={() => toggleOpen(row.key)}
        >
          <b>{t("incident")}</b> {incident.facility_name}
        </button>
        <small>{t("incidentCount", counts)}</small>
      </span>
      <span class="said" role="gridcell" title={first.message}>
        <em>{t("firstOut")}</em> <b>{firstLabel(first)}</b> {first.message}
      </span>
      <span class="since" role="gridcell">
        <Time at={incident.began} />
      </span>
      <span class="state" role="gridcell">
        {named(state, "state")}
      </span>
      <span class="act" role="gridcell">
        {open.length > 0 && (
          <button type="button" tabIndex={-1} onClick={() => void act(open, { command: "acknowledge" })}>
            {t("acknowledge")} ({open.length})
          </button>
        )}
      </span>
    </div>
  );
}

export function firstLabel(first: Incident["first_out"]): string {
  const type = first.sensor_id === null ? null : (names.sensor(first.sensor_id)?.type ?? null);
  return sensorLabel({ id: first.sensor_id, name: first.sensor_name, type }) ?? named(first.rule, "rule");
}
