import { t } from "../i18n";
import { moved, SPANS, zoomed, type Range } from "../chart/range";

export function RangeControls({ range, change }: { range: Range; change: (range: Range) => void }) {
  return (
    <div class="range" role="group" aria-label={t("range")} title={t("chartHint")}>
      {SPANS.map(([name, spanMs]) => (
        <button key={name} type="button" aria-pressed={range.spanMs === spanMs && range.endMs === null} onClick={() => change({ spanMs, endMs: null })}>
          {name}
        </button>
      ))}
      <span class="range-moves">
        <button type="button" aria-label={t("earlier")} onClick={() => change(moved(range, -0.5, Date.now()))}>
          ←
        </button>
        <button type="button" aria-label={t("later")} disabled={range.endMs === null} onClick={() => change(moved(range, 0.5, Date.now()))}>
          →
        </button>
        <button type="button" aria-label={t("zoomIn")} onClick={() => change(zoomed(range, 0.5, Date.now()))}>
          +
        </button>
        <button type="button" aria-label={t("zoomOut")} onClick={() => change(zoomed(range, 2, Date.now()))}>
          −
        </button>
        <button type="button" aria-pressed={range.endMs === null} onClick={() => change({ ...range, endMs: null })}>
          {t("toNow")}
        </button>
      </span>
    </div>
  );
}
