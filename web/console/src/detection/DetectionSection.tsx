// How anomalies of a sensor are looked for: what holds, what came of it, and changing it.
import { useEffect, useState } from "preact/hooks";
import { get, path, put, Refused, remove } from "../api/http";
import type { JournalEntry, SensorDetection } from "../api/types";
import { NumberField } from "../components/NumberField";
import { t } from "../i18n";
import { detectionWord } from "../i18n/detection";
import { ruleWord } from "../i18n/ruleWords";
import { say } from "../store/toasts";

const FIELDS = ["budget_days", "warming_readings", "physical_low", "physical_high"] as const;
type Changes = Partial<Record<(typeof FIELDS)[number], number> & { is_on: boolean }>;

export function DetectionSection({ sensorId, journal }: { sensorId: string; journal: readonly JournalEntry[] }) {
  const [found, setFound] = useState<SensorDetection | null>(null);
  const [changes, setChanges] = useState<Changes | null>(null);
  const [problem, setProblem] = useState("");
  const address = path("detection", "sensor", sensorId);
  useEffect(() => {
    void get<SensorDetection>(address)
      .then(setFound)
      .catch(() => undefined); // away: the bar says so
  }, [address]);
  if (found === null) return null;
  const stop = () => {
    setChanges(null);
    setProblem("");
  };
  const send = (asking: Promise<SensorDetection>) =>
    void asking
      .then((held) => {
        setFound(held);
        stop();
        say(ruleWord("inForce"));
      })
      .catch((error: unknown) => {
        const isForbidden = error instanceof Refused && error.status === 403;
        setProblem(isForbidden ? t("mayNot") : error instanceof Refused ? error.message : t("unreachable"));
      });
  const isOwn = Object.values(found.of_sensor).some((value) => value !== null);
  return (
    <section class="rules" aria-label={detectionWord("detection")}>
      <header>
        <h2>{detectionWord("detection")}</h2>
        {changes === null && (
          <button type="button" onClick={() => setChanges({})}>
            {ruleWord("edit")}
          </button>
        )}
      </header>
      {changes === null ? (
        <Held found={found} journal={journal} />
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send(put<SensorDetection>(address, changes));
          }}
        >
          <div class="rule-whole">
            <label class="field is-check">
              <input type="checkbox" checked={changes.is_on ?? found.in_force.is_on} onChange={(event) => setChanges({ ...changes, is_on: event.currentTarget.checked })} />
              {detectionWord("is_on")}
            </label>
            {FIELDS.map((field) => (
              <label key={field} class="field">
                {detectionWord(field)}
                <NumberField required value={changes[field] ?? found.in_force[field]} change={(value) => value !== null && setChanges(withNumber(changes, found, field, value))} />
              </label>
            ))}
          </div>
          <p class="problem" role="alert">
            {problem}
          </p>
          <div class="dialog-acts">
            <button type="button" disabled={!isOwn} onClick={() => send(remove<SensorDetection>(address))}>
              {ruleWord("takeBack")}
            </button>
            <button type="button" onClick={stop}>
              {t("cancel")}
            </button>
            <button type="submit" class="primary" disabled={Object.keys(changes).length === 0}>
              {ruleWord("save")}
            </button>
          </div>
        </form>
      )}
    </section>
  );
}

/** The two ends of the physical range are set together or not at all. */
function withNumber(changes: Changes, { in_force }: SensorDetection, field: (typeof FIELDS)[number], value: number): Changes {
  const range = field.startsWith("physical") ? { physical_low: changes.physical_low ?? in_force.physical_low, physical_high: changes.physical_high ?? in_force.physical_high } : {};
  return { ...changes, ...range, [field]: value };
}

function Held({ found, journal }: { found: SensorDetection; journal: readonly JournalEntry[] }) {
  const anomalies = journal.filter((event) => event.rule === "anomaly");
  const count = anomalies.filter((event) => event.transition.startsWith("activated")).length;
  const wrong = anomalies.filter((event) => event.transition === "verdict" && event.verdict === "false").length;
  return (
    <>
      <p>{found.in_force.is_on ? detectionWord("summary", { ...found.in_force, is_on: "" }) : detectionWord("isOff")}</p>
      <p>
        <small>{detectionWord("effect", { count, wrong })}</small>
      </p>
    </>
  );
}
