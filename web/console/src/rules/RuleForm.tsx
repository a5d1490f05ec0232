// The form in which a sensor's rules are changed; what holds by itself stands behind each empty field.
import { PRIORITIES, type Priority, type RuleSettings, type SensorRules } from "../api/types";
import { NumberField } from "../components/NumberField";
import { named, t } from "../i18n";
import { ruleWord } from "../i18n/ruleWords";
import { canHave, changed, heldOf, heldWithoutOwn, NUMBER_FIELDS, ownOf, RULES, TEXT_FIELDS, type RuleName } from "./form";

const PROFILES = ["hub", "ambient_safety", "gas_quality"] as const;
const FORMATS = ["point", "comma"] as const;
export const TEXT_MAX = 200;

interface Props {
  rules: SensorRules;
  settings: RuleSettings;
  change: (settings: RuleSettings) => void;
  /** The rule that the server's sentence is about. */
  refused: string;
}

export function RuleForm({ rules, settings, change, refused }: Props) {
  return (
    <>
      <div class="rule-whole">
        <label class="field">
          {ruleWord("profile")}
          <select value={settings.profile ?? ""} onChange={(event) => change({ ...settings, profile: PROFILES.find((name) => name === event.currentTarget.value) ?? null })}>
            <option value="">{ruleWord("asType")}</option>
            {PROFILES.map((name) => (
              <option key={name} value={name}>
                {name.replace("_", " ")}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          {ruleWord("unit")}
          <input value={settings.unit ?? ""} maxLength={32} placeholder={rules.in_force.find((rule) => rule.unit)?.unit ?? ""} onInput={(event) => change({ ...settings, unit: event.currentTarget.value || null })} />
        </label>
        <label class="field">
          {ruleWord("number_format")}
          <select value={settings.number_format ?? ""} onChange={(event) => change({ ...settings, number_format: FORMATS.find((name) => name === event.currentTarget.value) ?? null })}>
            <option value="">{ruleWord("asType")}</option>
            {FORMATS.map((name) => (
              <option key={name} value={name}>
                {ruleWord(name)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="rule-table-frame">
        <table class="rule-table">
          <thead>
            <tr>
              <th scope="col">{ruleWord("rule")}</th>
              <th scope="col">{ruleWord("priority")}</th>
              {NUMBER_FIELDS.map((field) => (
                <th key={field} scope="col">
                  {ruleWord(field)}
                </th>
              ))}
              <th scope="col">{ruleWord("latched")}</th>
            </tr>
          </thead>
          <tbody>
            {RULES.map((rule) => (
              <RuleRow key={rule} rule={rule} rules={rules} settings={settings} change={change} refused={refused} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function RuleRow({ rule, rules, settings, change, refused }: Props & { rule: RuleName }) {
  const own = ownOf(settings, rule);
  const held = heldOf(rules.in_force, rule);
  const set = (part: Parameters<typeof changed>[3]) => change(changed(rules, settings, rule, part));
  const name = named(rule, "rule");
  const isOn = own?.enabled ?? (held !== undefined || own !== undefined);
  return (
    <>
      <tr class={refused.split(/\W+/).includes(rule) ? "is-refused" : own === undefined ? "" : "is-own"}>
        <th scope="row">
          <label>
            <input type="checkbox" checked={isOn} onChange={(event) => set({ enabled: event.currentTarget.checked })} /> {name}
          </label>
        </th>
        <td>
          <select aria-label={`${name}: ${ruleWord("priority")}`} value={own?.priority ?? ""} disabled={!isOn} onChange={(event) => set({ priority: (event.currentTarget.value || null) as Priority | null })}>
            <option value="">{held === undefined ? "—" : t(held.priority as Priority).toLowerCase()}</option>
            {PRIORITIES.map((priority) => (
              <option key={priority} value={priority}>
                {t(priority)}
              </option>
            ))}
          </select>
        </td>
        {NUMBER_FIELDS.map((field) => (
          <td key={field}>
            {canHave(rule, field) && (
              <NumberField
                label={`${name}: ${ruleWord(field)}`}
                value={own?.[field] ?? null}
                placeholder={String(heldWithoutOwn(rules, rule, field) ?? "—")}
                disabled={!isOn}
                change={(value) => set({ [field]: value })}
              />
            )}
          </td>
        ))}
        <td>
          <input type="checkbox" aria-label={`${name}: ${ruleWord("latched")}`} checked={own?.latched ?? held?.latched ?? false} disabled={!isOn} onChange={(event) => set({ latched: event.currentTarget.checked })} />
        </td>
      </tr>
      {own !== undefined && isOn && (
        <tr class="rule-texts">
          <td colSpan={NUMBER_FIELDS.length + 3}>
            <details>
              <summary>{`${name}: ${ruleWord("texts")}`}</summary>
              {TEXT_FIELDS.map((field) => (
                <label key={field} class="field">
                  {ruleWord(field)}
                  <input value={own[field] ?? ""} maxLength={TEXT_MAX} placeholder={held?.[field] ?? ""} onInput={(event) => set({ [field]: event.currentTarget.value || null })} />
                </label>
              ))}
            </details>
          </td>
        </tr>
      )}
    </>
  );
}
