// What a page was asked for, kept in the address so that it can be sent to somebody.
import { signal } from "@preact/signals";

function asked(): URLSearchParams {
  return new URLSearchParams(location.hash.split("?")[1] ?? "");
}

export const query = signal(asked());
window.addEventListener("hashchange", () => {
  query.value = asked();
});

/** Empty values leave the address. It replaces where one is: going back leads to the page before. */
export function setQuery(changes: Record<string, string | readonly string[]>): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of typeof value === "string" ? [value] : value) if (one !== "") next.append(name, one);
  }
  const place = location.hash.split("?")[0] ?? "";
  history.replaceState(null, "", next.size === 0 ? place : `${place}?${next.toString()}`);
  query.value = next;
}
