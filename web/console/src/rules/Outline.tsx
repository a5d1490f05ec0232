// What settings say, in a line.
import type { RuleSettings } from "../api/types";
import { named } from "../i18n";
import { ruleWord, type RuleWord } from "../i18n/ruleWords";
import { outline } from "./form";

export function Outline({ settings }: { settings: RuleSettings }) {
  const found = outline(settings);
  if (found.length === 0) return <span class="is-soft">{ruleWord("nothingSet")}</span>;
  return <span>{found.map(([rule, field, value]) => `${rule === null ? "" : `${named(rule, "rule")} · `}${ruleWord(field as RuleWord)}: ${value}`).join("; ")}</span>;
}
