// Activations of each UTC day as bars; a day with a flood stands out.
import type { Figures } from "../api/pageTypes";
import { t } from "../i18n";

const WIDTH = 640;
const HEIGHT = 160;
const FOOT = 18;
const LEFT = 34;
const LABELS_MAX = 10;

export function DaysPicture({ days }: { days: Figures["days"] }) {
  const most = Math.max(1, ...days.map((day) => day.activations));
  const step = (WIDTH - LEFT) / days.length;
  const every = Math.ceil(days.length / LABELS_MAX);
  return (
    <svg class="days" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={t("activationsADay")}>
      <path class="days-ground" d={`M${LEFT} ${HEIGHT - FOOT}H${WIDTH}M${LEFT} 8H${WIDTH}`} />
      <text class="days-text is-right" x={LEFT - 6} y="12">
        {most}
      </text>
      <text class="days-text is-right" x={LEFT - 6} y={HEIGHT - FOOT}>
        0
      </text>
      {days.map((day, place) => {
        const high = ((HEIGHT - FOOT - 8) * day.activations) / most;
        return (
          <g key={day.day}>
            <title>{`${day.day}: ${day.activations}`}</title>
            <rect class={day.flood_s > 0 ? "days-bar is-flood" : "days-bar"} x={LEFT + place * step + step * 0.15} width={Math.min(step * 0.7, 40)} y={HEIGHT - FOOT - high} height={high} />
            {place % every === 0 && (
              <text class="days-text" x={LEFT + place * step + step * 0.15} y={HEIGHT - 4}>
                {day.day.slice(5)}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}
