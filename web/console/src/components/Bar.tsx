// Always on the screen: where one can go, how many alarms of each priority, what is kept from people, and whether the
// system itself can be believed.
import { PRIORITIES } from "../api/types";
import { t } from "../i18n";
import { addressOf, go, route } from "../route";
import { counts } from "../store/alarms";
import { filter } from "../store/list";
import { MorePages } from "./MorePages";
import { Settings } from "./Settings";
import { Symbol } from "./Symbol";
import { System } from "./System";

export function Bar() {
  return (
    <header class="bar">
      <a class="brand" aria-label={`GasInSight: ${t("overview")}`} href={addressOf({ page: "overview" })}>
        <img src="/static/favicon.svg" alt="" width="24" height="24" />
        <span>GasInSight</span>
      </a>
      <nav>
        <Tab page="overview" />
        <Tab page="alarms" />
        <MorePages />
      </nav>
      <Counts />
      <System />
      <Settings />
    </header>
  );
}

function Tab({ page }: { page: "overview" | "alarms" }) {
  return (
    <a href={addressOf({ page })} aria-current={route.value.page === page ? "page" : undefined}>
      {t(page)}
    </a>
  );
}

function Counts() {
  const found = counts.value;
  return (
    <ul class="counts">
      {PRIORITIES.map((priority, place) => (
        <li key={priority} class={found.priorities[place] ? `has-${priority}` : ""} data-priority={priority}>
          <button type="button" title={t(priority)} onClick={() => show({ priorities: new Set([priority]) })}>
            <Symbol priority={priority} state={found.priorities[place] ? "unacknowledged" : "acknowledged"} label={false} />
            <span class="count-word">{t(priority)}</span>
            <b>{found.priorities[place]}</b>
          </button>
        </li>
      ))}
      <Count word="unacknowledgedCount" count={found.unacknowledged} state="unacknowledged" />
      <Count word="shelvedCount" count={found.shelved} state="shelved" />
      <Count word="suppressedCount" count={found.suppressed} state="by_design" />
      <Count word="blindCount" count={found.blind} state="" />
    </ul>
  );
}

type CountWord = "unacknowledgedCount" | "shelvedCount" | "suppressedCount" | "blindCount";

function Count({ word, count, state }: { word: CountWord; count: number; state: string }) {
  return (
    <li class="count-plain" data-count={word}>
      <button type="button" onClick={() => show({ state })}>
        <span class="count-word">{t(word)}</span>
        <b>{count}</b>
      </button>
    </li>
  );
}

function show(wanted: { priorities?: ReadonlySet<string>; state?: string }): void {
  filter.value = { text: "", facilityId: "", state: "", priorities: new Set(), ...wanted };
  go({ page: "alarms" });
}
