// A priority as a shape: four that no two people confuse, whatever colours they see. Filled: nobody has acknowledged it;
// an outline: somebody has; dashed: it is over, or kept from people.
import { named } from "../i18n";

const SHAPES: Record<string, string> = {
  critical: "M7 1.5h6L18.5 7v6L13 18.5H7L1.5 13V7z",
  high: "M10 2 19 18H1z",
  medium: "M10 1.5 18.5 10 10 18.5 1.5 10z",
  low: "M10 2.5a7.5 7.5 0 1 0 .01 0z",
};
const MARKS: Record<string, string> = { critical: "M10 5v6.5M10 14v1.2", high: "M10 8v5M10 15v1" };

export function Symbol({ priority, state, label = true }: { priority: string; state: string; label?: boolean }) {
  const look = state === "unacknowledged" ? "full" : state === "acknowledged" ? "outline" : "dashed";
  return (
    <svg
      class={`symbol symbol-${priority} is-${look}`}
      viewBox="0 0 20 20"
      role="img"
      aria-label={label ? named(priority, "priority") : undefined}
      aria-hidden={!label}
    >
      <path class="symbol-shape" d={SHAPES[priority] ?? SHAPES.low} />
      {MARKS[priority] && <path class="symbol-mark" d={MARKS[priority]} />}
    </svg>
  );
}
