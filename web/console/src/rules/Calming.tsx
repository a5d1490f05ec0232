// What would bring a sensor's alarms to their targets, what that would have cost, and a button that fills it in.
import { get } from "../api/http";
import type { AlarmProposal, AlarmProposals, Sensor } from "../api/types";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { named, t } from "../i18n";
import { ruleWord } from "../i18n/ruleWords";
import { trialWord, type TrialWord } from "../i18n/trialWords";
import { chartAt } from "../route";
import { useAsked } from "../store/asked";

const UNTOLD_NAMED_MAX = 3;

interface Props {
  sensor: Sensor;
  fill: (proposal: AlarmProposal) => void;
  close: () => void;
}

export function Calming({ sensor, fill, close }: Props) {
  const query = { facility_id: [sensor.facility_id], sensor_id: [sensor.id] };
  const { found, problem, isLoading } = useAsked((signal) => get<AlarmProposals>("/alarm-proposals", query, signal), [sensor.id]);
  return (
    <section class="calming" aria-label={trialWord("calming")} aria-busy={isLoading} aria-live="polite">
      <div class="calming-head">
        <h3>{trialWord("calming")}</h3>
        <button type="button" onClick={close}>
          {t(isLoading ? "cancel" : "close")}
        </button>
      </div>
      {isLoading && <p class="remark">{trialWord("looking")}</p>}
      {problem !== "" && <p class="problem">{problem}</p>}
      {found?.proposals.length === 0 && <p>{trialWord("atTarget")}</p>}
      {found?.proposals.map((proposal) => (
        <Proposal key={proposal.alarm_id} proposal={proposal} fill={() => fill(proposal)} />
      ))}
    </section>
  );
}

interface Row {
  name: string;
  now: number | string;
  then: number | string;
}

const COLUMNS = (): Column<Row>[] => [
  { label: "", cell: (row) => row.name },
  { label: trialWord("now"), kind: "number", cell: (row) => row.now },
  { label: trialWord("proposed"), kind: "number", cell: (row) => <b>{row.then}</b> },
];

function Proposal({ proposal, fill }: { proposal: AlarmProposal; fill: () => void }) {
  const name = named(proposal.rule, "rule");
  return (
    <article>
      <h4>
        {name} <small>{`${trialWord("told")}: ${proposal.in_journal.activations}`}</small>
      </h4>
      {proposal.outcome !== "proposed" && <p>{trialWord(`outcome_${proposal.outcome}` as TrialWord)}</p>}
      {proposal.outcome === "proposed" && (
        <>
          <Table label={name} columns={COLUMNS()} rows={rowsOf(proposal)} keyOf={(row) => row.name} empty="" />
          <Costs of={proposal} />
          <button type="button" class="primary" onClick={fill}>
            {trialWord("fill")}
          </button>
        </>
      )}
    </article>
  );
}

function rowsOf({ now, proposed, before, after }: AlarmProposal): Row[] {
  const settings = (["deadband", "on_delay_s", "off_delay_s"] as const).map((field) => ({ name: ruleWord(field), now: now?.[field] ?? "—", then: proposed?.[field] ?? "—" }));
  const loads = (["activations", "fleeting"] as const).map((field) => ({
    name: trialWord(field === "activations" ? "told" : "fleeting"),
    now: `${before?.[field] ?? "—"}${field === "activations" && before?.is_chattering ? ` (${trialWord("chatters")})` : ""}`,
    then: `${after?.[field] ?? "—"}${field === "activations" && after?.is_chattering ? ` (${trialWord("chatters")})` : ""}`,
  }));
  return [...settings, ...loads];
}

function Costs({ of }: { of: AlarmProposal }) {
  const slowest = of.delay?.max_s ?? 0;
  return (
    <ul>
      {of.meets_target === false && <li class="is-missed">{trialWord("missesTarget")}</li>}
      <li>
        {trialWord("trueEvents", { count: of.true_events ?? 0 })}
        {slowest > 0 && `, ${trialWord("toldLater", { seconds: slowest })}`}
      </li>
      {of.untold_count !== null && of.untold_count > 0 && (
        <li>
          {`${trialWord("untold", { count: of.untold_count })} `}
          {of.sensor_id !== null &&
            of.untold.slice(0, UNTOLD_NAMED_MAX).map(({ began }) => (
              <a key={began} href={chartAt(of.sensor_id ?? "", began)}>
                <Time at={began} />
              </a>
            ))}
        </li>
      )}
    </ul>
  );
}
