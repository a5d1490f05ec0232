// What sensors are called on the screen: hubs name them by their ids, which say nothing to people.
export function spaced(type: string): string {
  return type.replace(/([a-z])([A-Z])/g, (_, end: string, begin: string) => `${end} ${begin.toLowerCase()}`);
}

interface Named {
  id: string | null;
  name: string | null;
  type: string | null;
}

export function sensorLabel({ id, name, type }: Named): string | null {
  if (id === null) return null;
  if (name !== null && name !== `Sensor ${id}`) return name;
  return type === null ? (name ?? id) : `${spaced(type)} ${id.slice(0, 4)}`;
}
