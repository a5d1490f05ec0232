// Marks on the canvas, in the page's colours.
import type uPlot from "uplot";
import type { Line } from "./readings";
import type { Limit, Marks } from "./marks";

/** The worse, the higher, so that nobody needs the colour; of several at once each is seen, since the highest is drawn first. */
const STRIP_PX: Record<string, number> = { critical: 9, high: 7, medium: 5, low: 3 };
const strip = ({ priority }: { priority: string }) => STRIP_PX[priority] ?? 3;
const HELD_DASH = [6, 4];
const PROPOSED_DASH = [2, 3];

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function paintBehind(plot: uPlot, marks: Marks, line: Line): void {
  const { ctx, bbox } = plot;
  const x = (second: number) => plot.valToPos(second, "x", true);
  const y = (value: number) => plot.valToPos(value, "y", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const [from, to] of holes(line)) {
    ctx.fillStyle = colour("hole");
    ctx.fillRect(x(from), bbox.top, x(to) - x(from), bbox.height);
  }
  for (const { fromS, toS, priority } of [...marks.spans].sort((one, other) => strip(other) - strip(one))) {
    ctx.globalAlpha = 0.16;
    ctx.fillStyle = colour(priority);
    ctx.fillRect(x(fromS), bbox.top, Math.max(2, x(toS) - x(fromS)), bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillRect(x(fromS), bbox.top, Math.max(2, x(toS) - x(fromS)), strip({ priority }) * devicePixelRatio);
  }
  for (const { fromS, toS, low, high } of marks.expected) {
    ctx.fillStyle = colour("expected");
    ctx.fillRect(x(fromS), y(high), Math.max(2, x(toS) - x(fromS)), y(low) - y(high));
  }
  ctx.restore();
}

/** The limits that hold, dashed; those that somebody is about to set, dotted and in the colour of what is chosen. */
export function paintLimits(plot: uPlot, marks: Marks, named: (rule: string) => string): void {
  const { ctx, bbox } = plot;
  const isSame = (limit: Limit) => marks.limits.some(({ rule, at }) => rule === limit.rule && at === limit.at);
  const proposed = marks.proposed.filter((limit) => !isSame(limit));
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  const held = marks.limits.map((limit) => ({ ...limit, dash: HELD_DASH, width: 1, word: named(limit.rule) }));
  const wanted = proposed.map((limit) => ({ ...limit, priority: "accent", dash: PROPOSED_DASH, width: 2, word: `→ ${named(limit.rule)}` }));
  for (const { word, at, priority, dash, width } of [...held, ...wanted]) {
    const top = plot.valToPos(at, "y", true);
    if (top < bbox.top || top > bbox.top + bbox.height) continue;
    ctx.strokeStyle = colour(priority);
    ctx.lineWidth = width * devicePixelRatio;
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, top);
    ctx.lineTo(bbox.left + bbox.width, top);
    ctx.stroke();
    ctx.fillStyle = colour("soft");
    ctx.fillText(`${word} ${at}`, bbox.left + 6 * devicePixelRatio, top - 4 * devicePixelRatio);
  }
  ctx.restore();
}

function holes(line: Line): [number, number][] {
  return line.values.flatMap((value, place): [number, number][] => {
    const [before, after] = [line.seconds[place - 1], line.seconds[place + 1]];
    return value === null && before !== undefined && after !== undefined ? [[before, after]] : [];
  });
}
