// Which rules held when, who set them and why; asked for when somebody unfolds it.
import { useState } from "preact/hooks";
import { get, path } from "../api/http";
import type { RulesThen } from "../api/types";
import { Time } from "../components/Time";
import { ruleWord } from "../i18n/ruleWords";
import { useAsked } from "../store/asked";
import { Outline } from "./Outline";

const ROWS = 20;

export function Versions({ sensorId, newest }: { sensorId: string; newest: number }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="versions" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{ruleWord("history")}</summary>
      {isOpen && <Listed sensorId={sensorId} newest={newest} />}
    </details>
  );
}

function Listed({ sensorId, newest }: { sensorId: string; newest: number }) {
  const [limit, setLimit] = useState(ROWS);
  const { found, problem } = useAsked((signal) => get<RulesThen[]>(path("rule-history", "sensor", sensorId), { limit }, signal), [sensorId, newest, limit]);
  if (problem !== "") return <p class="problem">{problem}</p>;
  if (found === null) return null;
  if (found.length === 0) return <p class="nothing">{ruleWord("nothingSet")}</p>;
  return (
    <>
      <ul>
        {found.map((one) => (
          <li key={one.version}>
            <b>
              <Time at={one.valid_from} withDay />
              {one.valid_to !== null && (
                <>
                  {` ${ruleWord("holdsUntil")} `}
                  <Time at={one.valid_to} withDay />
                </>
              )}
            </b>
            <span>
              <small>{ruleWord(one.sensor_id === null ? "ofType" : "ofThis")} </small>
              <Outline settings={one.settings} />
            </span>
            <small>{[ruleWord("filedBy", { name: one.set_by_name }), one.reason ?? ""].filter(Boolean).join(" · ")}</small>
          </li>
        ))}
      </ul>
      {found.length === limit && (
        <button type="button" onClick={() => setLimit(limit + ROWS)}>
          {ruleWord("olderVersions")}
        </button>
      )}
    </>
  );
}
