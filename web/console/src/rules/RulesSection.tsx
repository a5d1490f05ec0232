// The rules of a sensor: what holds and where it comes from, and changing it with what that would do in sight.
import { useState } from "preact/hooks";
import { put, Refused, remove, path } from "../api/http";
import type { Priority, RuleInForce, RuleSettings, SensorRules } from "../api/types";
import type { Limit } from "../chart/marks";
import type { Line } from "../chart/readings";
import { Symbol } from "../components/Symbol";
import { Time } from "../components/Time";
import { named, t } from "../i18n";
import { ruleWord, type RuleWord } from "../i18n/ruleWords";
import { say } from "../store/toasts";
import { differences, excursions, proposedLimits, said, type Difference } from "./form";
import { RuleForm } from "./RuleForm";

interface Props {
  rules: SensorRules;
  line: Line;
  held: (rules: SensorRules) => void;
  propose: (limits: Limit[]) => void;
}

export function RulesSection({ rules, line, held, propose }: Props) {
  const [settings, setSettings] = useState<RuleSettings | null>(null);
  const [problem, setProblem] = useState("");
  const [isSending, setSending] = useState(false);
  const change = (next: RuleSettings | null) => {
    setSettings(next);
    setProblem("");
    propose(next === null ? [] : proposedLimits(rules, next));
  };
  const send = (asking: () => Promise<SensorRules>) => {
    setSending(true);
    void asking()
      .then((found) => {
        change(null);
        held(found);
        say(ruleWord("inForce"));
      })
      .catch((error: unknown) => {
        const isForbidden = error instanceof Refused && error.status === 403;
        setProblem(isForbidden ? t("mayNot") : error instanceof Refused ? error.message : t("unreachable"));
      })
      .finally(() => setSending(false));
  };
  const address = path("rules", "sensor", rules.sensor_id);
  const newest = rules.versions[0];
  return (
    <section class="rules" aria-label={ruleWord("rules")}>
      <header>
        <h2>{ruleWord("rules")}</h2>
        {newest && (
          <small>
            {ruleWord("setBy", { name: newest.set_by_name })} <Time at={newest.set_at} withAge />
          </small>
        )}
        {settings === null && (
          <button type="button" onClick={() => change(rules.of_sensor)}>
            {ruleWord("edit")}
          </button>
        )}
      </header>
      {settings === null ? (
        <InForce rules={rules.in_force} />
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send(() => put<SensorRules>(address, said(settings)));
          }}
        >
          <RuleForm rules={rules} settings={settings} change={change} refused={problem} />
          <Changes rules={rules} settings={settings} line={line} />
          <p class="problem" role="alert">
            {problem}
          </p>
          <div class="dialog-acts">
            <button type="button" disabled={isSending || newest === undefined} onClick={() => send(() => remove<SensorRules>(address))}>
              {ruleWord("takeBack")}
            </button>
            <button type="button" onClick={() => change(null)}>
              {t("cancel")}
            </button>
            <button type="submit" class="primary" disabled={isSending || differences(rules, settings).length === 0}>
              {ruleWord("save")}
            </button>
          </div>
        </form>
      )}
    </section>
  );
}

function InForce({ rules }: { rules: readonly RuleInForce[] }) {
  return (
    <ul class="rules-held">
      {rules.map((rule) => (
        <li key={rule.rule} class={`priority-${rule.priority}`}>
          <Symbol priority={rule.priority} state="acknowledged" />
          <b>{named(rule.rule, "rule")}</b>
          <span>{rule.limit === null ? "" : `${rule.limit} ${rule.unit}`}</span>
          <small>{facts(rule)}</small>
          <small>{rule.source}</small>
        </li>
      ))}
    </ul>
  );
}

function facts(rule: RuleInForce): string {
  const numbers = (["deadband", "on_delay_s", "off_delay_s", "window_s", "re_alarm_s"] as const).flatMap((field) => (rule[field] ? [`${ruleWord(field)} ${rule[field]}`] : []));
  return [t(rule.priority as Priority), ...numbers, ...(rule.latched ? [ruleWord("latched")] : [])].join(" · ");
}

function Changes({ rules, settings, line }: { rules: SensorRules; settings: RuleSettings; line: Line }) {
  const found = differences(rules, settings);
  const [before, after] = [rules.of_sensor, settings].map((of) => excursions(line, proposedLimits(rules, of)));
  return (
    <section class="changes" aria-live="polite">
      <h3>{found.length === 0 ? ruleWord("nothingChanges") : ruleWord("whatChanges")}</h3>
      <ul>
        {found.map((difference) => (
          <li key={`${difference.rule} ${difference.field}`}>{spelled(difference)}</li>
        ))}
      </ul>
      {before !== after && <p>{ruleWord("onCurve", { before: before ?? 0, after: after ?? 0 })}</p>}
    </section>
  );
}

function spelled({ rule, field, from, to }: Difference): string {
  const what = rule === null ? "" : `${named(rule, "rule")} · `;
  return `${what}${ruleWord(field as RuleWord)}: ${from ?? "—"} → ${to ?? ruleWord("asType")}`;
}
