// uPlot in the page: the line, what stands beside it, and dragging to zoom.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { language, named } from "../i18n";
import { theme } from "../store/preferences";
import type { Marks } from "./marks";
import { colour, paintBehind, paintLimits } from "./paint";
import type { Line } from "./readings";

interface Props {
  line: Line;
  marks: Marks;
  fromMs: number;
  toMs: number;
  label: string;
  onZoom: (fromMs: number, toMs: number) => void;
}

const HEIGHT_PX = 340;
const NARROW_PX = 240;

export function Chart(props: Props) {
  const own = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef(props);
  now.current = props;
  useEffect(() => {
    const box = own.current;
    if (box === null) return;
    const made = new uPlot(options(now, box), [[], []], box);
    plot.current = made;
    draw(made, now.current);
    const observer = new ResizeObserver(() => made.setSize(sizeOf(box)));
    observer.observe(box);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [theme.value, language.value]);
  useEffect(() => {
    if (plot.current !== null) draw(plot.current, props);
  }, [props.line, props.marks, props.fromMs, props.toMs]);
  return <div class="chart" ref={own} role="img" aria-label={props.label} />;
}

function draw(plot: uPlot, { line, fromMs, toMs }: Props): void {
  plot.batch(() => {
    plot.setData([line.seconds, line.values], false);
    plot.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
  });
  plot.redraw(true, true);
}

function sizeOf(box: HTMLElement): { width: number; height: number } {
  return { width: box.clientWidth, height: window.innerWidth < 700 ? NARROW_PX : HEIGHT_PX };
}

function options(now: { current: Props }, box: HTMLElement): uPlot.Options {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
  return {
    ...sizeOf(box),
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => range(low, high, now.current.marks) } },
    axes: [{ ...axis, values: timesOf }, { ...axis, size: 60 }],
    series: [{}, { stroke: colour("ink"), width: 1.5, spanGaps: false, points: { show: false } }],
    hooks: {
      drawClear: [(plot) => paintBehind(plot, now.current.marks, now.current.line)],
      draw: [(plot) => paintLimits(plot, now.current.marks, (rule) => named(rule, "rule"))],
      setSelect: [
        (plot) => {
          if (plot.select.width < 5) return;
          const at = (left: number) => plot.posToVal(left, "x") * 1000;
          now.current.onZoom(at(plot.select.left), at(plot.select.left + plot.select.width));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

const DAY_S = 86_400;

/** Of the viewer's zone: days where they matter, seconds where those do. */
function timesOf(_: uPlot, seconds: number[], _axis: number, _space: number, stepS: number): string[] {
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  const far: Intl.DateTimeFormatOptions = { month: "short", year: "numeric" };
  const shown = stepS >= 27 * DAY_S ? far : stepS >= DAY_S ? day : stepS < 60 ? { ...time, second: "2-digit" as const } : time;
  const words = new Intl.DateTimeFormat(language.value, shown);
  const days = new Intl.DateTimeFormat(language.value, day);
  let before = "";
  return seconds.map((second) => {
    const at = new Date(second * 1000);
    const today = days.format(at);
    const isNewDay = stepS < DAY_S && today !== before;
    before = today;
    return isNewDay ? `${words.format(at)}\n${today}` : words.format(at);
  });
}

/** Room for the readings, and for a limit that is near enough to matter. */
function range(low: number | null, high: number | null, marks: Marks): [number, number] {
  if (low === null || high === null) return [0, 1];
  const near = Math.max(high - low, Math.abs(high) * 0.05, 0.01);
  const beside = [...marks.limits, ...marks.proposed].map((limit) => limit.at).filter((at) => at > low - near && at < high + near);
  const [from, to] = [Math.min(low, ...beside), Math.max(high, ...beside)];
  const room = Math.max((to - from) * 0.08, near * 0.05);
  return [from - room, to + room];
}
