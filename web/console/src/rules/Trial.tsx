// The proof of a change: the kept log of the facility is lived again with it, by the engine.
import { useState } from "preact/hooks";
import type { RuleSettings, Sensor } from "../api/types";
import { t } from "../i18n";
import { trialWord } from "../i18n/trialWords";
import { contractTime } from "../times";
import { TrialResult } from "./TrialResult";
import { isUnderWay, useReplay, type Followed } from "./useReplay";

const DAY_MS = 86_400_000;

export function Trial({ sensor, wanted }: { sensor: Sensor; wanted: RuleSettings }) {
  const { replay, problem, isStarting, start, cancel } = useReplay();
  const [asked, setAsked] = useState("");
  const proposed = JSON.stringify(wanted);
  const isBusy = replay !== null && isUnderWay(replay);
  const tryOn = (days: number) => {
    const now = Date.now();
    const none = { facility_id: null, detection: null, groups: null };
    const proposal = { ...none, sensor_id: sensor.id, rules: { ...wanted, sensor_type: null } };
    setAsked(proposed);
    void start(sensor.facility_id, { start_date: contractTime(now - days * DAY_MS), end_date: contractTime(now), settings: "today", proposals: [proposal] });
  };
  return (
    <section class="trial" aria-label={trialWord("trial")}>
      <p class="desk-bar">
        <button type="button" disabled={isBusy || isStarting} onClick={() => tryOn(1)}>
          {trialWord("tryDay")}
        </button>
        <button type="button" disabled={isBusy || isStarting} onClick={() => tryOn(7)}>
          {trialWord("tryWeek")}
        </button>
        {isBusy && (
          <>
            <progress aria-label={trialWord("trial")} value={replay.progress} max={1} />
            <small>{replay.state === "queued" ? trialWord("queued") : trialWord("running", { count: replay.readings })}</small>
            <button type="button" onClick={cancel}>
              {t("cancel")}
            </button>
          </>
        )}
      </p>
      <div aria-live="polite">
        {problem !== "" && <p class="problem">{problem}</p>}
        {replay !== null && !isBusy && <Ended replay={replay} sensorId={sensor.id} isOfOther={asked !== proposed} />}
      </div>
    </section>
  );
}

function Ended({ replay, sensorId, isOfOther }: { replay: Followed; sensorId: string; isOfOther: boolean }) {
  const part = replay.parts?.[0];
  return (
    <>
      {isOfOther && <p class="is-missed">{trialWord("ofOther")}</p>}
      {replay.state === "cancelled" && <p>{trialWord("cancelled")}</p>}
      {replay.state === "failed" && <p class="problem">{[trialWord("failed"), part?.problem ?? ""].filter(Boolean).join(": ")}</p>}
      {part?.result && <TrialResult result={part.result} sensorId={sensorId} />}
    </>
  );
}
