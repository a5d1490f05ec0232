// The rules of a sensor: what holds and where it comes from, what is planned, what held before, and changing it.
import { useState } from "preact/hooks";
import { get, path } from "../api/http";
import type { AlarmProposal, RuleSettings, Sensor, SensorRules } from "../api/types";
import type { Limit } from "../chart/marks";
import type { Line } from "../chart/readings";
import { Time } from "../components/Time";
import { tried } from "../store/asked";
import { ruleWord } from "../i18n/ruleWords";
import { trialWord } from "../i18n/trialWords";
import { Calming } from "./Calming";
import { ownOf, proposedLimits, RULES, withRule } from "./form";
import { InForce } from "./InForce";
import { Planned } from "./Planned";
import { RuleEditor } from "./RuleEditor";
import { Versions } from "./Versions";

interface Props {
  sensor: Sensor;
  rules: SensorRules;
  line: Line;
  held: (rules: SensorRules) => void;
  propose: (limits: Limit[]) => void;
}

export function RulesSection({ sensor, rules, line, held, propose }: Props) {
  const [settings, setSettings] = useState<RuleSettings | null>(null);
  const [isCalming, setCalming] = useState(false);
  const [timesPlanned, setTimesPlanned] = useState(0);
  const change = (next: RuleSettings | null, beside: SensorRules = rules) => {
    setSettings(next);
    propose(next === null ? [] : proposedLimits(beside, next));
  };
  const fill = ({ rule, rules: proposed }: AlarmProposal) => {
    const name = RULES.find((known) => known === rule);
    const own = proposed === null || name === undefined ? undefined : ownOf(proposed, name);
    if (own !== undefined) change(withRule(settings ?? rules.of_sensor, own));
  };
  /** What is sent replaces all that is set, so it begins with what is set by now. */
  const begin = async () => {
    const isRead = await tried(async () => {
      const found = await get<SensorRules>(path("rules", "sensor", sensor.id));
      held(found);
      change(found.of_sensor, found);
    });
    if (isRead) setTimesPlanned(timesPlanned + 1);
  };
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
          <button type="button" onClick={() => void begin()}>
            {ruleWord("edit")}
          </button>
        )}
      </header>
      {isCalming ? (
        <Calming sensor={sensor} fill={fill} close={() => setCalming(false)} />
      ) : (
        <button type="button" class="quiet calm" onClick={() => setCalming(true)}>
          {trialWord("calm")}
        </button>
      )}
      {settings === null ? (
        <InForce rules={rules.in_force} />
      ) : (
        <RuleEditor
          sensor={sensor}
          rules={rules}
          settings={settings}
          line={line}
          change={(next) => change(next)}
          held={(found) => {
            change(null);
            held(found);
          }}
          planned={() => {
            change(null);
            setTimesPlanned(timesPlanned + 1);
          }}
        />
      )}
      <Planned sensor={sensor} by={timesPlanned} />
      <Versions sensorId={sensor.id} newest={newest?.version ?? 0} />
    </section>
  );
}
