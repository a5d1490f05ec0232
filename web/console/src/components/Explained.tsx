// Why an alert was raised, in the server's words and numbers, with what its rule says to do.
import type { JournalEntry, RuleInForce } from "../api/types";
import { named, t } from "../i18n";
import { transitionName } from "../i18n/transitions";
import { Symbol } from "./Symbol";
import { Time } from "./Time";

const VIEWS_MAX = 3;

function brief(value: number): string {
  return String(Number(value.toPrecision(5)));
}

export function Explained({ event, rule }: { event: JournalEntry; rule: RuleInForce | undefined }) {
  const why = event.explanation;
  const isBeginning = event.transition.startsWith("activated");
  return (
    <li class={`told ${isBeginning ? `priority-${event.priority}` : ""}`}>
      <p class="told-head">
        {isBeginning && <Symbol priority={event.priority} state="acknowledged" />}
        <Time at={event.event_time} withAge />
        <b>{named(event.rule, "rule")}</b>
        <span>{transitionName(event.transition)}</span>
        {event.actor_name && <small>{event.actor_name}</small>}
      </p>
      <p>{event.message}</p>
      {event.reason && <p class="told-reason">{event.reason}</p>}
      {isBeginning && why && (
        <dl>
          <Fact word="value" text={why.value === null ? null : `${brief(why.value)} ${why.unit ?? ""}`} />
          <Fact word="limit" text={why.limit === null ? null : brief(why.limit)} />
          <Fact word="expected" text={why.expected === null ? null : brief(why.expected)} />
          <Fact word="usual" text={why.band && `${brief(why.band[0])} – ${brief(why.band[1])}`} />
          <Fact word="why" text={why.views.slice(0, VIEWS_MAX).map((view) => view.says).join("; ") || null} />
          <Fact word="consequence" text={rule?.consequence ?? null} />
          <Fact word="response" text={rule?.response ?? null} />
        </dl>
      )}
    </li>
  );
}

type FactWord = "value" | "limit" | "expected" | "usual" | "why" | "consequence" | "response";

function Fact({ word, text }: { word: FactWord; text: string | null }) {
  if (text === null) return null;
  return (
    <div>
      <dt>{t(word)}</dt>
      <dd>{text}</dd>
    </div>
  );
}
