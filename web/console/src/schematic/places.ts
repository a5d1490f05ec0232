// Where in a facility a sensor stands: by words of its name, else by its type. What says neither stands in the line.
import type { Facility, Sensor } from "../api/types";

/** In the direction of the flow. */
export const PLACES = ["inlet", "well", "separation", "storage", "pumping", "compression", "treatment", "line", "outlet", "area"] as const;
export type Place = (typeof PLACES)[number];

const BY_NAME: readonly [RegExp, Place][] = [
  [/\b(gas alarm|gas detector|flame|smoke|leak|ambient|hall|area|room)\b/i, "area"],
  [/\b(inlet|intake|suction|feed|arrival|receiv\w*|incoming|berth|unloading)\b/i, "inlet"],
  [/\b(outlet|discharge|export|delivery|departure|outgoing|send-?out|loading)\b/i, "outlet"],
  [/\b(well\w*|choke|cavern|drill\w*|casing|tubing)\b/i, "well"],
  [/\b(separator|separation|scrubber|slug)\b/i, "separation"],
  [/\b(tank\w*|storage|vessel|sphere)\b/i, "storage"],
  [/\b(pump\w*)\b/i, "pumping"],
  [/\b(compressor\w*|turbine\w*|motor)\b/i, "compression"],
  [/\b(dryer|drying|dehydrat\w*|amine|treat\w*|sweeten\w*|vapori[sz]er\w*|heater|cooler)\b/i, "treatment"],
];

const BY_TYPE: Record<string, Place> = {
  GasDetection: "area",
  FlameDetection: "area",
  LeakDetection: "area",
  Noise: "area",
  Humidity: "area",
  ParticulateMatter: "area",
  LevelIndicator: "storage",
  Volume: "storage",
  PumpStatus: "pumping",
  CompressorStatus: "compression",
  Vibration: "compression",
  PowerConsumption: "compression",
  GasComposition: "treatment",
  LiquidComposition: "treatment",
  WaterContent: "treatment",
  OxygenContent: "treatment",
  HydrogenSulfideContent: "treatment",
  CarbonDioxideContent: "treatment",
  Pressure: "line",
  Temperature: "line",
  Flow: "line",
  Corrosion: "line",
  ValveStatus: "line",
};

/** What a place of a general kind is in a facility of a certain type. */
const IN_A: Record<string, Partial<Record<Place, Place>>> = {
  DrillingRig: { storage: "separation", line: "well" },
};

export function placeOf(sensor: Sensor, facility: Facility): Place {
  const named = BY_NAME.find(([words]) => words.test(sensor.name))?.[1];
  const place = named ?? BY_TYPE[sensor.type] ?? "line";
  return named === undefined ? (IN_A[facility.type]?.[place] ?? place) : place;
}

export function placed(sensors: readonly Sensor[], facility: Facility): Map<Place, Sensor[]> {
  const found = new Map<Place, Sensor[]>(PLACES.map((place) => [place, []]));
  for (const sensor of sensors) found.get(placeOf(sensor, facility))?.push(sensor);
  for (const [place, some] of found) if (some.length === 0) found.delete(place);
  return found;
}
