// Which page is shown: the part of the address behind the #, so that the server knows one page only.
import { signal } from "@preact/signals";

export type Route =
  | { page: "overview" }
  | { page: "alarms" }
  | { page: "history" }
  | { page: "exports" }
  | { page: "reports"; id: string }
  | { page: "admin"; id: string }
  | { page: "facility"; id: string }
  | { page: "sensor"; id: string };

function parsed(hash: string): Route {
  const [page, id] = (hash.split("?")[0] ?? "").replace(/^#\/?/, "").split("/");
  if (page === "alarms" || page === "history" || page === "exports") return { page };
  if (page === "reports") return { page, id: id || "handover" };
  if (page === "admin") return { page, id: id || "users" };
  if ((page === "facility" || page === "sensor") && id) return { page, id: decodeURIComponent(id) };
  return { page: "overview" };
}

export const route = signal<Route>(parsed(location.hash));
window.addEventListener("hashchange", () => {
  route.value = parsed(location.hash);
});

export function addressOf(wanted: Route): string {
  if (wanted.page === "overview") return "#/";
  return "id" in wanted ? `#/${wanted.page}/${encodeURIComponent(wanted.id)}` : `#/${wanted.page}`;
}

/** A sensor's chart around a moment. */
export function chartAt(sensorId: string, at: string): string {
  return `${addressOf({ page: "sensor", id: sensorId })}?at=${encodeURIComponent(at)}`;
}

export function go(wanted: Route): void {
  location.hash = addressOf(wanted);
}
