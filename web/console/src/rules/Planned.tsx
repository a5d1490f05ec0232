// Changes of rules that shall hold later, of the sensor and of its type, in the order in which they will.
import { get, path, remove, withQuery } from "../api/http";
import type { PlannedRules, Sensor } from "../api/types";
import { Time } from "../components/Time";
import { ruleWord } from "../i18n/ruleWords";
import { tried, useAsked } from "../store/asked";
import { say } from "../store/toasts";
import { Outline } from "./Outline";

export function Planned({ sensor, by }: { sensor: Sensor; by: number }) {
  const { found, again } = useAsked((signal) => get<PlannedRules[]>(path("planned-rules", "sensor", sensor.id), {}, signal), [sensor.id, by]);
  if (found === null || found.length === 0) return null;
  const withdraw = async (one: PlannedRules) => {
    const isDone = await tried(() => remove(withQuery(path("planned-rules", String(one.id)), { facility_id: sensor.facility_id })));
    if (isDone) say(ruleWord("isWithdrawn"));
    again();
  };
  return (
    <section class="planned" aria-label={ruleWord("planned")}>
      <h3>{ruleWord("planned")}</h3>
      <ul>
        {found.map((one) => (
          <li key={one.id}>
            <b>
              {ruleWord("holdsFrom")} <Time at={one.effective_from} withDay />
            </b>
            <span>
              {one.sensor_id === null && <small>{ruleWord("ofType")} </small>}
              <Outline settings={one.settings} /> <small>{[ruleWord("filedBy", { name: one.set_by_name }), one.reason ?? ""].filter(Boolean).join(" · ")}</small>
              {one.refusal !== null && <p class="problem">{`${ruleWord("willNotHold")}: ${one.refusal}`}</p>}
            </span>
            <button type="button" onClick={() => void withdraw(one)}>
              {ruleWord("withdraw")}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
