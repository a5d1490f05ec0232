// One facility at a glance: what is wrong, with the way straight to the sensor, and how far its key values are off.
import { useEffect } from "preact/hooks";
import { PRIORITIES } from "../api/types";
import { named, t } from "../i18n";
import { typeName } from "../i18n/types";
import { addressOf } from "../route";
import { bands, keyValues, wantBands } from "../store/limits";
import { facilities, sensorsOf } from "../store/plant";
import { lookOf, type Standing } from "../store/standing";
import { labelOf, linkOf } from "./AlarmRowView";
import { Deviation } from "./Deviation";
import { Symbol } from "./Symbol";
import { Age } from "./Time";

const VALUES_MAX = 6;
const VALUES_MAX_OF_FEW = 9;
const FEW = 6;

export function FacilityCard({ of }: { of: Standing }) {
  const { facility, counts, worst } = of;
  useEffect(() => wantBands(facility.id), [facility.id]);
  const look = lookOf(of);
  return (
    <article class={`card ${look === null ? "is-calm" : `priority-${look.priority}`}`} data-facility={facility.id}>
      <header>
        <h3>
          <a href={addressOf({ page: "facility", id: facility.id })}>{facility.name}</a>
        </h3>
        <span class="card-counts">
          {PRIORITIES.map((priority, place) =>
            counts[place] ? (
              <span key={priority} title={t(priority)}>
                <Symbol priority={priority} state={look?.state ?? "acknowledged"} /> {counts[place]}
              </span>
            ) : null,
          )}
          {look === null && <small>{t("noAlarms")}</small>}
        </span>
      </header>
      {worst.length > 0 && (
        <ul class="card-alarms">
          {worst.map((alarm) => (
            <li key={alarm.id} class={`state-${alarm.state}`}>
              <a href={linkOf(alarm)} title={alarm.message ?? ""}>
                <Symbol priority={alarm.priority} state={alarm.state} label={false} />
                <span>
                  <b>{labelOf(alarm) ?? facility.name}</b> {named(alarm.rule, "rule")}
                  {alarm.value !== null && <> {Number(alarm.value.toPrecision(5))}</>}
                </span>
                <small>
                  <Age at={alarm.since} />
                </small>
              </a>
            </li>
          ))}
        </ul>
      )}
      <KeyValues facilityId={facility.id} />
    </article>
  );
}

function KeyValues({ facilityId }: { facilityId: string }) {
  const values = keyValues(sensorsOf.value.get(facilityId) ?? [], bands.value.get(facilityId)).slice(0, facilities.value.size <= FEW ? VALUES_MAX_OF_FEW : VALUES_MAX);
  return (
    <ul class="key-values" aria-label={t("deviation")}>
      {values.map(({ sensor, value, band, by }) => (
        <li key={sensor.type}>
          <a href={addressOf({ page: "sensor", id: sensor.id })}>
            <small>{typeName(sensor.type)}</small>
            <Deviation by={by} value={value} band={band} />
          </a>
        </li>
      ))}
    </ul>
  );
}
