// What would have been told with the change: alarms that came or went or moved, some by name, and the figures.
import { PRIORITIES, type ReplayDifference, type ReplayResult } from "../api/types";
import { Symbol } from "../components/Symbol";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { named, t } from "../i18n";
import { trialWord } from "../i18n/trialWords";
import { sensorLabel } from "../labels";
import { chartAt } from "../route";
import { names } from "../store/plant";
import { spelled } from "../store/ranges";

const NAMED_MAX = 8;
const KINDS = ["same", "added", "removed", "earlier", "later", "changed"] as const;

interface Row {
  name: string;
  before: number;
  after: number;
}

const COLUMNS = (): Column<Row>[] => [
  { label: trialWord("alarmsOf"), cell: (row) => row.name },
  { label: trialWord("before"), kind: "number", cell: (row) => row.before },
  { label: trialWord("after"), kind: "number", cell: (row) => <b>{row.after}</b> },
];

export function TrialResult({ result, sensorId }: { result: ReplayResult; sensorId: string }) {
  const { before, after } = result;
  const alarms = result.differences.filter((one) => one.is_alarm);
  const own = alarms.filter((one) => one.sensor_id === sensorId);
  const others = alarms.filter((one) => one.sensor_id !== sensorId);
  const rows = [
    { name: trialWord("all"), before: before.alarms, after: after.alarms },
    ...PRIORITIES.map((priority) => ({ name: t(priority), before: before.by_priority[priority] ?? 0, after: after.by_priority[priority] ?? 0 })),
  ];
  const isCut = result.differences_total > result.differences.length;
  return (
    <>
      {result.judged_from === null ? (
        <p>{trialWord("notJudged")}</p>
      ) : (
        <p>
          <b>{KINDS.flatMap((kind) => (result.alarms[kind] > 0 ? [`${result.alarms[kind]} ${trialWord(kind)}`] : [])).join(" · ")}</b>{" "}
          <small>
            {trialWord("judged")} <Time at={result.judged_from} withDay />
          </small>
        </p>
      )}
      {alarms.length === 0 && result.judged_from !== null && <p>{trialWord("nothingMoved")}</p>}
      {own.length > 0 && (
        <>
          <h3>{trialWord("ofSensor")}</h3>
          <Differences of={own} />
        </>
      )}
      {others.length > 0 && (
        <details>
          <summary>{trialWord("elsewhere", { count: others.length })}</summary>
          <Differences of={others} />
        </details>
      )}
      {isCut && <p class="remark">{trialWord("firstOnly", { count: result.differences.length, total: result.differences_total })}</p>}
      <Table label={trialWord("alarmsOf")} columns={COLUMNS()} rows={rows} keyOf={(row) => row.name} empty="" />
      {result.remarks.map((remark) => (
        <p key={remark} class="remark">
          {remark}
        </p>
      ))}
    </>
  );
}

function Differences({ of }: { of: readonly ReplayDifference[] }) {
  return (
    <ul class="trial-alarms">
      {of.slice(0, NAMED_MAX).map((one) => (
        <li key={`${one.alarm_id} ${one.stored_at} ${one.replayed_at}`} data-kind={one.kind}>
          <b>{trialWord(one.kind)}</b>
          <Symbol priority={one.priority} state={one.kind === "removed" ? "returned" : "unacknowledged"} />
          <span>{[nameOf(one.sensor_id), named(one.rule, "rule")].filter(Boolean).join(" · ")}</span>
          <Moment of={one} />
          <small>{one.seconds === null || one.seconds === 0 ? "" : spelled(Math.abs(one.seconds))}</small>
          <small>{one.message}</small>
        </li>
      ))}
      {of.length > NAMED_MAX && <li>{trialWord("andMore", { count: of.length - NAMED_MAX })}</li>}
    </ul>
  );
}

function nameOf(sensorId: string | null): string {
  const sensor = sensorId === null ? null : names.sensor(sensorId);
  return sensor === null ? (sensorId ?? "") : (sensorLabel(sensor) ?? sensor.id);
}

function Moment({ of }: { of: ReplayDifference }) {
  const at = of.replayed_at ?? of.stored_at;
  if (at === null) return <span />;
  if (of.sensor_id === null) return <Time at={at} withDay />;
  return (
    <a href={chartAt(of.sensor_id, at)}>
      <Time at={at} withDay />
    </a>
  );
}
