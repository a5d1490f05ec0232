// One alarm of the list.
import type { AlarmNow } from "../api/types";
import { named, t } from "../i18n";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { act } from "../store/actions";
import { alarmOf, cursor, selected, toggleSelected } from "../store/list";
import type { AlarmRow } from "../store/rows";
import { Symbol } from "./Symbol";
import { Time } from "./Time";

export function AlarmRowView({ row, place }: { row: AlarmRow; place?: number }) {
  const { alarm, isGone } = alarmOf(row);
  const classes = ["alarm", `priority-${alarm.priority}`, `state-${alarm.state}`];
  if (row.isMember) classes.push("is-member");
  if (isGone) classes.push("is-gone");
  if (cursor.value === row.key) classes.push("is-cursor");
  return (
    <div class={classes.join(" ")} role="row" aria-rowindex={place} aria-selected={selected.value.has(row.key)} onClick={() => (cursor.value = row.key)}>
      <span class="pick" role="gridcell">
        <label>
          <input type="checkbox" tabIndex={-1} aria-label={alarm.message ?? alarm.id} checked={selected.value.has(row.key)} onChange={() => toggleSelected(row)} />
        </label>
      </span>
      <span class="what" role="gridcell">
        <Symbol priority={alarm.priority} state={isGone ? "normal" : alarm.state} label={false} />
        <span class="priority-word">{named(alarm.priority, "priority")}</span>
      </span>
      <span class="where" role="gridcell">
        <a tabIndex={-1} href={linkOf(alarm)}>
          {labelOf(alarm) ?? alarm.facility_name ?? alarm.facility_id}
        </a>
        <small>{alarm.sensor_id === null ? "" : (alarm.facility_name ?? alarm.facility_id)}</small>
      </span>
      <span class="said" role="gridcell" title={alarm.message ?? ""}>
        <b>{named(alarm.rule, "rule")}</b> {alarm.message}
        {alarm.assignee && <small> → {alarm.assignee}</small>}
        {alarm.suppression_reason && <small> ({alarm.suppression_reason})</small>}
      </span>
      <span class="since" role="gridcell">
        <Time at={alarm.since} />
      </span>
      <span class="state" role="gridcell">
        {named(isGone ? "normal" : alarm.state, "state")}
      </span>
      <span class="act" role="gridcell">
        {!alarm.acknowledged && !isGone && (
          <button type="button" tabIndex={-1} onClick={() => void act([alarm], { command: "acknowledge" })}>
            {t("acknowledge")}
          </button>
        )}
      </span>
    </div>
  );
}

export function labelOf(alarm: AlarmNow): string | null {
  return sensorLabel({ id: alarm.sensor_id, name: alarm.sensor_name, type: alarm.sensor_type });
}

export function linkOf(alarm: AlarmNow): string {
  return alarm.sensor_id === null
    ? addressOf({ page: "facility", id: alarm.facility_id })
    : addressOf({ page: "sensor", id: alarm.sensor_id });
}
