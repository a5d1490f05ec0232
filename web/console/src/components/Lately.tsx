// What happened last, whether or not it still matters; each row leads to itself in the history.
import { named, t } from "../i18n";
import { transitionName } from "../i18n/transitions";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { lately } from "../store/lately";
import { facilities, sensors } from "../store/plant";
import type { JournalEntry } from "../api/types";
import { Symbol } from "./Symbol";
import { Time } from "./Time";

export function Lately() {
  return (
    <section class="lately" aria-label={t("whatHappened")}>
      <header>
        <h2>{t("whatHappened")}</h2>
        <a href={addressOf({ page: "history" })}>{t("history")}</a>
      </header>
      {lately.value.length === 0 && <p class="nothing">{t("nothingHappened")}</p>}
      <ul>
        {lately.value.map((event) => (
          <li key={event.id}>
            <a href={`${addressOf({ page: "history" })}?event=${event.id}`} title={event.message}>
              {event.transition === "activated" ? <Symbol priority={event.priority} state="acknowledged" label={false} /> : <i class="lately-dot" />}
              <small>
                <Time at={event.event_time} />
              </small>
              <span>
                <b>{placeOf(event)}</b> {named(event.rule, "rule")} {transitionName(event.transition)}
              </span>
              <small>{event.actor_name ?? ""}</small>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function placeOf(event: JournalEntry): string {
  const sensor = event.sensor_id === null ? undefined : sensors.value.get(event.sensor_id);
  return (sensor && sensorLabel(sensor)) ?? facilities.value.get(event.facility_id)?.name ?? event.facility_id;
}
