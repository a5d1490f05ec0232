// Facilities where they are, drawn from their coordinates alone: grey dots until something is wrong.
import { addressOf } from "../route";
import { t } from "../i18n";
import { lookOf, type Standing } from "../store/standing";

const WIDTH = 640;
const HEIGHT = 420;
const MARGIN = 70;
const SIDE = 130;
const NAMED_MAX = 24;

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
      {placed(standings, projection(standings)).map(({ of, at, isAbove }) => (
        <Mark key={of.facility.id} of={of} at={at} isAbove={isAbove} isNamed={standings.length <= NAMED_MAX || lookOf(of) !== null} />
      ))}
    </svg>
  );
}

const NAME_WIDE = 150;
const NAME_HIGH = 34;

/** The worst drawn last; the name of one beside a worse one goes above it, so that both can be read. */
function placed(standings: readonly Standing[], at: (of: Standing) => Place) {
  const found: { of: Standing; at: Place; isAbove: boolean }[] = [];
  for (const of of standings) {
    const own = at(of);
    const isAbove = found.some(
      (one) => !one.isAbove && Math.abs(one.at.x - own.x) < NAME_WIDE && Math.abs(one.at.y - own.y) < NAME_HIGH,
    );
    found.push({ of, at: own, isAbove });
  }
  return found.reverse();
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

function Mark({ of, at, isAbove, isNamed }: { of: Standing; at: Place; isAbove: boolean; isNamed: boolean }) {
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
        {isNamed && (
          <text class={`map-name ${at.x < SIDE ? "is-left" : at.x > WIDTH - SIDE ? "is-right" : ""}`} y={isAbove ? -18 : 28}>
            {of.facility.name}
          </text>
        )}
      </g>
    </a>
  );
}
