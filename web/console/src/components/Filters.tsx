import { PRIORITIES } from "../api/types";
import { named, t } from "../i18n";
import { filter, sortBy } from "../store/list";
import { facilities } from "../store/plant";
import type { Filter, SortBy } from "../store/rows";
import { Symbol } from "./Symbol";

const STATES = ["unacknowledged", "acknowledged", "returned_unacknowledged", "latched", "shelved", "by_design", "out_of_service"];
const SORTS = { priority: "byPriority", time: "byTime", facility: "byFacility" } as const;

function change(part: Partial<Filter>): void {
  filter.value = { ...filter.value, ...part };
}

function togglePriority(priority: string): void {
  const next = new Set(filter.value.priorities);
  if (!next.delete(priority)) next.add(priority);
  change({ priorities: next });
}

export function Filters() {
  const { text, facilityId, state, priorities } = filter.value;
  return (
    <div class="filters" role="search">
      <input id="search" type="search" placeholder={`${t("search")}  /`} aria-label={t("search")} value={text} onInput={(event) => change({ text: event.currentTarget.value })} />
      <span class="chips">
        {PRIORITIES.map((priority) => (
          <label key={priority} class="chip">
            <input type="checkbox" checked={priorities.has(priority)} onChange={() => togglePriority(priority)} />
            <span>
              <Symbol priority={priority} state="acknowledged" label={false} /> {t(priority)}
            </span>
          </label>
        ))}
      </span>
      <select aria-label={t("facilities")} value={facilityId} onChange={(event) => change({ facilityId: event.currentTarget.value })}>
        <option value="">{t("allFacilities")}</option>
        {[...facilities.value.values()].map((facility) => (
          <option key={facility.id} value={facility.id}>
            {facility.name}
          </option>
        ))}
      </select>
      <select aria-label={t("state")} value={state} onChange={(event) => change({ state: event.currentTarget.value })}>
        <option value="">{t("allStates")}</option>
        {STATES.map((name) => (
          <option key={name} value={name}>
            {named(name, "state")}
          </option>
        ))}
      </select>
      <label class="sort">
        {t("sortBy")}
        <select value={sortBy.value} onChange={(event) => (sortBy.value = event.currentTarget.value as SortBy)}>
          {Object.entries(SORTS).map(([name, word]) => (
            <option key={name} value={name}>
              {t(word)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
