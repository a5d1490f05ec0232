// Facilities and sensors by id: who is called what, and where.
import { computed, signal } from "@preact/signals";
import { get } from "../api/http";
import type { Facility, Sensor } from "../api/types";

const EVERY = 1_000_000;

export const facilities = signal<ReadonlyMap<string, Facility>>(new Map());
export const sensors = signal<ReadonlyMap<string, Sensor>>(new Map());
export const sensorsOf = computed(() => {
  const found = new Map<string, Sensor[]>();
  for (const sensor of sensors.value.values()) {
    const some = found.get(sensor.facility_id);
    if (some === undefined) found.set(sensor.facility_id, [sensor]);
    else some.push(sensor);
  }
  return found;
});

export async function loadPlant(): Promise<void> {
  const [places, instruments] = await Promise.all([
    get<Facility[]>("/facilities", { limit: EVERY }),
    get<Sensor[]>("/sensors", { limit: EVERY, latest: "true" }),
  ]);
  facilities.value = new Map(places.map((facility) => [facility.id, facility]));
  sensors.value = new Map(instruments.map((sensor) => [sensor.id, sensor]));
}

export const names = {
  facility: (id: string) => facilities.value.get(id)?.name ?? null,
  sensor: (id: string) => sensors.value.get(id) ?? null,
};

const AGAIN_MS = 5_000;
const EACH_MS = 10;
let timer: number | undefined;

/** Load, and look again every few seconds, of a large plant less often: latest values age, and hubs make new sensors. */
export function followPlant(): void {
  const look = async (): Promise<void> => {
    await loadPlant().catch(() => undefined); // away: the bar says so, and the next look comes
    if (timer !== undefined) timer = window.setTimeout(() => void look(), Math.max(AGAIN_MS, sensors.peek().size * EACH_MS));
  };
  window.clearTimeout(timer);
  timer = 0;
  void look();
}

export function ignorePlant(): void {
  window.clearTimeout(timer);
  timer = undefined;
}
