// The rules that hold, and where each comes from.
import type { Priority, RuleInForce } from "../api/types";
import { Symbol } from "../components/Symbol";
import { named, t } from "../i18n";
import { ruleWord } from "../i18n/ruleWords";

export function InForce({ rules }: { rules: readonly RuleInForce[] }) {
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
