// A facility: its alarms, and each sensor's latest value with its quality, age and distance from normal.
import { useEffect } from "preact/hooks";
import type { AlarmNow, ReadingFrame, Sensor } from "../api/types";
import { rank } from "../api/types";
import { AlarmRowView } from "../components/AlarmRowView";
import { Deviation } from "../components/Deviation";
import { Symbol } from "../components/Symbol";
import { Age } from "../components/Time";
import { t } from "../i18n";
import { typeName } from "../i18n/types";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { Schematic } from "../schematic/Schematic";
import { present } from "../store/alarms";
import { bands, deviation, numberOf, wantBands } from "../store/limits";
import { useLive } from "../store/live";
import { facilities, sensorsOf } from "../store/plant";
import { keyOf } from "../store/reducer";

const ALARMS_MAX = 50;
/** Bits of a reading's flags that say not to trust it: no number, beyond any instrument, two at a time, a wrong clock. */
const DOUBTFUL = 2 | 4 | 128 | 256 | 512;

export function FacilityPage({ id }: { id: string }) {
  useEffect(() => wantBands(id), [id]);
  const live = useLive(id);
  const facility = facilities.value.get(id);
  if (facility === undefined) return <p class="empty">{t(facilities.value.size === 0 ? "loading" : "notFound")}</p>;
  const alarms = [...present.value.values()].filter((alarm) => alarm.facility_id === id).sort((a, b) => rank(a.priority) - rank(b.priority) || b.last_event_id - a.last_event_id);
  const worst = new Map<string, AlarmNow>();
  for (const alarm of [...alarms].reverse()) if (alarm.sensor_id !== null) worst.set(alarm.sensor_id, alarm);
  const order = (sensor: Sensor) => rank(worst.get(sensor.id)?.priority ?? "");
  const sensors = [...(sensorsOf.value.get(id) ?? [])].sort((a, b) => order(a) - order(b) || a.type.localeCompare(b.type));
  return (
    <main class="facility-page">
      <header class="page-head">
        <a href={addressOf({ page: "overview" })}>{t("overview")}</a>
        <h1>{facility.name}</h1>
        <p>
          {typeName(facility.type)} · {facility.location.address ?? `${facility.location.latitude}, ${facility.location.longitude}`}
        </p>
      </header>
      {alarms.length > 0 && (
        <div class="short-list" role="grid" aria-label={t("alarms")}>
          {alarms.slice(0, ALARMS_MAX).map((alarm) => (
            <AlarmRowView key={alarm.id} row={{ kind: "alarm", key: keyOf(id, alarm.id), alarm, isMember: false }} />
          ))}
        </div>
      )}
      <Schematic facility={facility} sensors={sensors} live={live.value} worst={worst} bands={bands.value.get(id)} />
      <section class="sensors" aria-label={t("sensors")}>
        {sensors.map((sensor) => (
          <SensorTile key={sensor.id} sensor={sensor} frame={live.value.get(sensor.id)} alarm={worst.get(sensor.id)} />
        ))}
      </section>
    </main>
  );
}

function SensorTile({ sensor, frame, alarm }: { sensor: Sensor; frame: ReadingFrame | undefined; alarm: AlarmNow | undefined }) {
  const data = frame?.data ?? sensor.latest?.data;
  const at = frame?.tracked_at ?? sensor.latest?.tracked_at;
  const band = bands.value.get(sensor.facility_id)?.get(sensor.type);
  const value = numberOf(data);
  const by = band && value !== null ? deviation(value, band) : null;
  const isDoubtful = data !== undefined && (value === null || ((sensor.latest?.flags ?? 0) & DOUBTFUL) !== 0);
  return (
    <a class={`sensor-tile ${alarm ? `priority-${alarm.priority} state-${alarm.state}` : "is-calm"}`} href={addressOf({ page: "sensor", id: sensor.id })}>
      <span class="sensor-name">
        {alarm && <Symbol priority={alarm.priority} state={alarm.state} />}
        <span title={sensorLabel(sensor) ?? sensor.id}>{sensorLabel(sensor)}</span>
      </span>
      <span class="sensor-value">
        <b>{data ?? "—"}</b> <small>{band?.unit}</small>
      </span>
      {by !== null && value !== null && band && <Deviation by={by} value={value} band={band} />}
      <small class="sensor-foot">
        {data === undefined ? t("noReading") : isDoubtful ? t("flagged") : t("good")}
        {at !== undefined && (
          <>
            {" · "}
            <Age at={at} />
          </>
        )}
      </small>
    </a>
  );
}
