// Said large while the line is lost: what is on the screen may no longer be so.
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { isKnown, line, lostAt } from "../store/alarms";
import { say } from "../store/toasts";

export function LineLost() {
  const wasLost = useRef(false);
  const isLost = line.value !== "live" && isKnown.value && lostAt.value !== null;
  useEffect(() => {
    if (wasLost.current && !isLost && line.value === "live") say(t("lineBack"));
    wasLost.current = isLost;
  }, [isLost]);
  if (!isLost) return null;
  const time = new Date(lostAt.value ?? 0).toLocaleTimeString();
  return (
    <p class="line-lost" role="alert">
      {t("lineLost", { time })}
    </p>
  );
}
