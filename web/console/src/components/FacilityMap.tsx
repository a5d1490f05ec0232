// Facilities where they are, drawn from their coordinates alone: grey dots until something is wrong.
import { addressOf } from "../route";
import { t } from "../i18n";
import { lookOf, type Standing } from "../store/standing";
import { placedNames, type NamePlace } from "./mapNames";

const WIDTH = 640;
const HEIGHT = 420;
const MARGIN = 70;
const NAMED_MAX = 24;
const NAME_LETTERS_MAX = 28;

interface Place {
  x: number;
  y: number;
}

/** Longitudes shrink with the latitude; beyond that a plane is true enough for one operator's plants. */
function projection(standings: readonly Standing[]): (of: Standing) => Place {
  const places = standings.map(({ facility }) => facility.location);
  const middle = (Math.min(...places.map((at) => at.latitude)) + Math.max(...places.map((at) => at.latitude))) / 2;
  const shrink = Math.max(0.1, Math.cos((middle * Math.PI) / 180));
  const xs = places.map((at) => at.longitude * shrink);
  const ys = places.map((at) => -at.latitude);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((WIDTH - 2 * MARGIN) / Math.max(right - left, 0.01), (HEIGHT - 2 * MARGIN) / Math.max(bottom - top, 0.01));
  return ({ facility: { location } }) => ({
    x: WIDTH / 2 + (location.longitude * shrink - (left + right) / 2) * scale,
    y: HEIGHT / 2 + (-location.latitude - (top + bottom) / 2) * scale,
  });
}

export function FacilityMap({ standings }: { standings: readonly Standing[] }) {
  if (standings.length === 0) return null;
  return (
    <svg class="map" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-label={t("map")}>
      <path class="map-grid" d={grid()} />
      {placed(standings, projection(standings)).map(({ of, at, name }) => (
        <Mark key={of.facility.id} of={of} at={at} name={name} />
      ))}
    </svg>
  );
}

/** The worst drawn last, but named first: the name of one that needs nobody gives way. */
function placed(standings: readonly Standing[], at: (of: Standing) => Place) {
  const isNamed = (of: Standing) => standings.length <= NAMED_MAX || lookOf(of) !== null;
  const marks = standings.map((of) => ({ ...at(of), name: isNamed(of) ? shortName(of) : "", isBold: lookOf(of) !== null }));
  const names = placedNames(marks, WIDTH, HEIGHT);
  return standings.map((of, place) => ({ of, at: marks[place] as Place, name: isNamed(of) ? (names[place] ?? null) : null })).reverse();
}

function shortName({ facility: { name } }: Standing): string {
  return name.length > NAME_LETTERS_MAX ? `${name.slice(0, NAME_LETTERS_MAX - 1)}…` : name;
}

function grid(): string {
  const lines: string[] = [];
  for (let x = 80; x < WIDTH; x += 80) lines.push(`M${x} 0V${HEIGHT}`);
  for (let y = 60; y < HEIGHT; y += 60) lines.push(`M0 ${y}H${WIDTH}`);
  return lines.join("");
}

const SHAPES: Record<string, string> = {
  critical: "M-5-12H5L12-5V5L5 12H-5L-12 5V-5z",
  high: "M0-13 13 10H-13z",
  medium: "M0-12 12 0 0 12-12 0z",
  low: "M0-10a10 10 0 1 0 .01 0z",
};

const LOOKS: Record<string, string> = { unacknowledged: "full", acknowledged: "outline" };

function Mark({ of, at, name }: { of: Standing; at: Place; name: NamePlace | null }) {
  const look = lookOf(of);
  const total = of.counts.reduce((sum, count) => sum + count, 0);
  return (
    <a href={addressOf({ page: "facility", id: of.facility.id })} aria-label={of.facility.name}>
      <title>{of.facility.name}</title>
      <g class={look === null ? "map-mark" : `map-mark symbol-${look.priority} is-${LOOKS[look.state] ?? "dashed"}`} transform={`translate(${at.x} ${at.y})`}>
        {look === null ? <circle class="map-calm" r="6" /> : <path class="symbol-shape" d={SHAPES[look.priority] ?? SHAPES.low} />}
        {total > 0 && (
          <text class="map-count" y="5">
            {total}
          </text>
        )}
        {name?.isFar && <path class="map-lead" d={`M0 ${Math.sign(name.dy) * 14}V${name.dy - (name.dy > 0 ? 13 : -5)}`} />}
        {name !== null && (
          <text class={`map-name is-${name.anchor}`} x={name.dx} y={name.dy}>
            {shortName(of)}
          </text>
        )}
      </g>
    </a>
  );
}
