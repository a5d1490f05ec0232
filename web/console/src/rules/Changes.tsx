// What a change of rules sets otherwise, and a first look at what that means for the curve that is shown.
import type { RuleSettings, SensorRules } from "../api/types";
import type { Line } from "../chart/readings";
import { named } from "../i18n";
import { ruleWord, type RuleWord } from "../i18n/ruleWords";
import { differences, excursions, proposedLimits, type Difference } from "./form";

export function Changes({ rules, settings, line }: { rules: SensorRules; settings: RuleSettings; line: Line }) {
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
