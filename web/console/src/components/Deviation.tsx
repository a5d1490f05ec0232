// A value as its distance from normal: the band in the middle, the mark where the value stands, grey until it leaves it.
import { t } from "../i18n";
import type { Band } from "../store/limits";

const HALF = 1.6;

export function Deviation({ by, value, band }: { by: number; value: number; band: Band }) {
  const at = 50 + (50 * Math.max(-HALF, Math.min(HALF, by))) / HALF;
  const edge = 50 / HALF;
  const isOut = Math.abs(by) > 1;
  const side = by > 1 ? t("above") : by < -1 ? t("below") : "";
  const limits = `${band.low ?? "…"} – ${band.high ?? "…"} ${band.unit}`;
  return (
    <svg class={`deviation ${isOut ? "is-out" : ""}`} viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label={`${value} ${band.unit} ${side} (${limits})`}>
      <title>{`${value} ${band.unit} (${limits})`}</title>
      <path class="deviation-track" d="M0 7H100" />
      <path class="deviation-band" d={`M${50 - edge} 7H${50 + edge}`} />
      <path class="deviation-middle" d="M50 3V11" />
      <path class="deviation-mark" d={`M${at} 1V13`} />
    </svg>
  );
}
