// Whether what is on the screen can be believed: the line, and the parts of the server with their lag.
import { t } from "../i18n";
import { line } from "../store/alarms";
import { health } from "../store/health";

export function System() {
  const { readiness, isReached, lagS } = health.value;
  const isLive = line.value === "live";
  const bad = Object.entries(readiness?.checks ?? {}).filter(([, check]) => !check.ready);
  const problem = !isReached ? t("unreachable") : bad.map(([part, check]) => `${part} ${check.detail}`).join("; ");
  const said = problem === "" ? t("systemWorks") : t("systemProblem", { detail: problem });
  return (
    <p class={`system ${problem === "" && isLive ? "" : "is-troubled"}`} title={said} data-line={line.value}>
      <span class="system-dot" aria-hidden="true" />
      <span class="system-line">{isLive ? t("lineLive") : t("lineConnecting")}</span>
      <span class="system-said">{problem === "" ? "" : said}</span>
      {lagS !== null && (
        <span class="system-lag">
          {t("lag")} {lagS < 10 ? lagS.toFixed(1) : Math.round(lagS)} s
        </span>
      )}
    </p>
  );
}
