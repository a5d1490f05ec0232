// What stands at a place, drawn as flow sheets draw it.
import type { Place } from "./places";

const SHAPES: Record<Place, string> = {
  inlet: "M8 12l16 16V12L8 28z",
  well: "M10 32L20 8l10 24M14 22h12M20 8v28",
  separation: "M10 14h20a6 6 0 0 1 0 12H10a6 6 0 0 1 0-12zM14 20h12",
  storage: "M8 34V12q12-8 24 0v22zM8 24h24",
  pumping: "M20 10a10 10 0 1 0 .01 0zM20 10h14M12 30l-4 5h24l-4-5",
  compression: "M8 10l24 5v10L8 30z",
  treatment: "M14 6h12v28H14zM14 14h12M14 20h12M14 26h12",
  line: "M6 16h28M6 24h28M12 12v16M28 12v16",
  outlet: "M16 12v16l16-16v16z",
  area: "M20 5l12 5v10q0 10-12 15Q8 30 8 20V10z",
};

export function PlaceIcon({ place, priority }: { place: Place; priority: string | undefined }) {
  return (
    <svg class={`place-icon ${priority === undefined ? "" : `has-${priority}`}`} viewBox="0 0 40 40" aria-hidden="true">
      <path d={SHAPES[place]} />
    </svg>
  );
}
