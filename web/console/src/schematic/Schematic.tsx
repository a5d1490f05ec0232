// A facility as its gas flows: each place with what matters there most, grey until something is wrong.
import type { AlarmNow, Facility, ReadingFrame, Sensor } from "../api/types";
import { rank } from "../api/types";
import { Deviation } from "../components/Deviation";
import { Symbol } from "../components/Symbol";
import { placeName, placeWord } from "../i18n/places";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { deviation, numberOf, type Band } from "../store/limits";
import { PlaceIcon } from "./PlaceIcon";
import { placed, type Place } from "./places";

const SHOWN_MAX = 5;

interface Props {
  facility: Facility;
  sensors: readonly Sensor[];
  live: ReadonlyMap<string, ReadingFrame>;
  worst: ReadonlyMap<string, AlarmNow>;
  bands: ReadonlyMap<string, Band> | undefined;
}

interface Seen {
  sensor: Sensor;
  data: string | undefined;
  alarm: AlarmNow | undefined;
  band: Band | undefined;
  value: number | null;
  by: number | null;
}

export function Schematic({ facility, sensors, live, worst, bands }: Props) {
  const places = placed(sensors, facility);
  if (places.size < 2) return null; // nothing flows from one place to another: the tiles say it all
  const seen = (sensor: Sensor): Seen => {
    const data = live.get(sensor.id)?.data ?? sensor.latest?.data;
    const value = numberOf(data);
    const band = bands?.get(sensor.type);
    return { sensor, data, alarm: worst.get(sensor.id), band, value, by: band && value !== null ? deviation(value, band) : null };
  };
  return (
    <section class="schematic" aria-label={placeWord("schematic")}>
      <ol class="flow">
        {[...places].filter(([place]) => place !== "area").map(([place, some]) => (
          <Station key={place} place={place} sensors={some.map(seen)} />
        ))}
      </ol>
      {places.has("area") && (
        <ul class="flow-area">
          <Station place="area" sensors={places.get("area")!.map(seen)} />
        </ul>
      )}
    </section>
  );
}

/** First what has an alarm, then what is far from normal; what has no band to be judged by comes last. */
function urgency(a: Seen, b: Seen): number {
  return rank(a.alarm?.priority ?? "") - rank(b.alarm?.priority ?? "") || Math.abs(b.by ?? 0) - Math.abs(a.by ?? 0) || a.sensor.type.localeCompare(b.sensor.type);
}

function Station({ place, sensors }: { place: Place; sensors: Seen[] }) {
  const order = [...sensors].sort(urgency);
  const shown = order.slice(0, SHOWN_MAX);
  const priority = shown[0]?.alarm?.priority;
  return (
    <li class="station">
      <PlaceIcon place={place} priority={priority} />
      <h2>{placeName(place)}</h2>
      <ul>
        {shown.map(({ sensor, data, alarm, band, value, by }) => (
          <li key={sensor.id}>
            <a class={`tap ${alarm ? `priority-${alarm.priority}` : ""}`} href={addressOf({ page: "sensor", id: sensor.id })}>
              {alarm && <Symbol priority={alarm.priority} state={alarm.state} />}
              <span class="tap-name" title={sensorLabel(sensor) ?? sensor.id}>
                {sensorLabel(sensor)}
              </span>
              <b>
                {data ?? "—"} <small>{band?.unit}</small>
              </b>
              {by !== null && value !== null && band && <Deviation by={by} value={value} band={band} />}
            </a>
          </li>
        ))}
      </ul>
      {order.length > shown.length && <small>{placeWord("more", { count: order.length - shown.length })}</small>}
    </li>
  );
}
