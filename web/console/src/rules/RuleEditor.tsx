// Changing a sensor's rules: what that would do, from when on, why, and what the server says to it.
import { useState } from "preact/hooks";
import { path, post, put, Refused, remove } from "../api/http";
import type { PlannedRules, RuleSettings, Sensor, SensorRules } from "../api/types";
import type { Line } from "../chart/readings";
import { t } from "../i18n";
import { ruleWord } from "../i18n/ruleWords";
import { localText, utcText } from "../store/ranges";
import { say } from "../store/toasts";
import { Changes } from "./Changes";
import { differences, said } from "./form";
import { RuleForm, TEXT_MAX } from "./RuleForm";
import { Trial } from "./Trial";

interface Props {
  sensor: Sensor;
  rules: SensorRules;
  settings: RuleSettings;
  line: Line;
  change: (settings: RuleSettings | null) => void;
  held: (rules: SensorRules) => void;
  planned: () => void;
}

export function RuleEditor({ sensor, rules, settings, line, change, held, planned }: Props) {
  const [reason, setReason] = useState("");
  const [from, setFrom] = useState("");
  const [problem, setProblem] = useState("");
  const [isSending, setSending] = useState(false);
  const address = path("rules", "sensor", sensor.id);
  const send = <T,>(asking: Promise<T>, done: (found: T) => void) => {
    setSending(true);
    void asking
      .then(done)
      .catch((error: unknown) => {
        const isForbidden = error instanceof Refused && error.status === 403;
        setProblem(isForbidden ? t("mayNot") : error instanceof Refused ? error.message : t("unreachable"));
      })
      .finally(() => setSending(false));
  };
  const inForce = (found: SensorRules) => {
    held(found);
    say(ruleWord("inForce"));
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const body = { ...said(settings), ...(reason !== "" && { reason }) };
    if (from === "") send(put<SensorRules>(address, body), inForce);
    else
      send(post<PlannedRules>(path("planned-rules", "sensor", sensor.id), { ...body, effective_from: from }), () => {
        planned();
        say(ruleWord("isPlanned"));
      });
  };
  return (
    <form onSubmit={submit}>
      <RuleForm
        rules={rules}
        settings={settings}
        change={(next) => {
          change(next);
          setProblem("");
        }}
        refused={problem}
      />
      <Changes rules={rules} settings={settings} line={line} />
      <Trial sensor={sensor} wanted={said(settings)} />
      <div class="rule-whole">
        <label class="field is-long">
          {ruleWord("reason")}
          <input name="reason" value={reason} maxLength={TEXT_MAX} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        <label class="field">
          {ruleWord("from")}
          <input type="datetime-local" name="effective_from" value={localText(from)} onInput={(event) => setFrom(utcText(event.currentTarget.value))} />
        </label>
      </div>
      <p class="problem" role="alert">
        {problem}
      </p>
      <div class="dialog-acts">
        <button type="button" disabled={isSending || rules.versions.length === 0} onClick={() => send(remove<SensorRules>(address), inForce)}>
          {ruleWord("takeBack")}
        </button>
        <button type="button" onClick={() => change(null)}>
          {t("cancel")}
        </button>
        <button type="submit" class="primary" disabled={isSending || (from === "" && differences(rules, settings).length === 0)}>
          {ruleWord(from === "" ? "save" : "plan")}
        </button>
      </div>
    </form>
  );
}
