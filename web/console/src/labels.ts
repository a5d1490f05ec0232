// What sensors are called on the screen: hubs name them by their ids, which say nothing to people.
import { typeName } from "./i18n/types";

interface Named {
  id: string | null;
  name: string | null;
  type: string | null;
}

export function sensorLabel({ id, name, type }: Named): string | null {
  if (id === null) return null;
  if (name !== null && name !== `Sensor ${id}`) return name;
  return type === null ? (name ?? id) : `${typeName(type)} ${id.slice(0, 4)}`;
}
