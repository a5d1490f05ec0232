// Incidents that are not over, the newest first: what was first, and how much of it is left to do.
import { named, t } from "../i18n";
import { addressOf } from "../route";
import { incidents } from "../store/incidents";
import { firstLabel } from "./IncidentRowView";
import { Symbol } from "./Symbol";
import { Age } from "./Time";

const SHOWN_MAX = 4;

export function IncidentStrip() {
  const open = incidents.value.slice(0, SHOWN_MAX);
  if (open.length === 0) return null;
  return (
    <section class="incidents" aria-label={t("incidents")}>
      {open.map(({ incident }) => (
        <a
          key={incident.id}
          class={`incident-card priority-${incident.priority}`}
          href={
            incident.first_out.sensor_id === null
              ? addressOf({ page: "facility", id: incident.facility_id })
              : addressOf({ page: "sensor", id: incident.first_out.sensor_id })
          }
        >
          <Symbol priority={incident.priority} state={incident.state} />
          <span>
            <b>
              {t("incident")} · {incident.facility_name}
            </b>
            <small>
              {t("firstOut")}: {firstLabel(incident.first_out)} {named(incident.first_out.rule, "rule")} · <Age at={incident.began} />
            </small>
            <small>{t("incidentCount", { alarms: incident.alarms, active: incident.active, unacknowledged: incident.unacknowledged })}</small>
          </span>
        </a>
      ))}
    </section>
  );
}
