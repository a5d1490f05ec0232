// What is searched for; all of it stands in the address.
import { Moments } from "../components/Moments";
import { named, t } from "../i18n";
import { RULE_NAMES } from "../i18n/rules";
import { TRANSITION_NAMES, transitionName } from "../i18n/transitions";
import { sensorLabel } from "../labels";
import { query, setQuery } from "../query";
import { facilities, sensors, sensorsOf } from "../store/plant";
import { searchIn, TEXT_MAX } from "./search";

interface ChoiceOf {
  label: string;
  all: string;
  value: string;
  options: readonly (readonly [string, string])[];
  change: (value: string) => void;
}

function One({ label, all, value, options, change }: ChoiceOf) {
  return (
    <select aria-label={label} value={value} onChange={(event) => change(event.currentTarget.value)}>
      <option value="">{all}</option>
      {options.map(([id, name]) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </select>
  );
}

export function HistoryFilters() {
  const search = searchIn(query.value);
  const place = search.facility || (sensors.value.get(search.sensor)?.facility_id ?? "");
  const instruments = (sensorsOf.value.get(place) ?? []).map((sensor) => [sensor.id, sensorLabel(sensor) ?? sensor.id] as const).sort((a, b) => a[1].localeCompare(b[1]));
  const places = [...facilities.value.values()].map((facility) => [facility.id, facility.name] as const);
  return (
    <div class="desk-bar" role="search">
      <input id="search" type="search" placeholder={`${t("search")}  /`} aria-label={t("search")} maxLength={TEXT_MAX} value={search.text} onInput={(event) => setQuery({ text: event.currentTarget.value })} />
      <One label={t("facilities")} all={t("allFacilities")} value={place} options={places} change={(facility) => setQuery({ facility, sensor: "" })} />
      {place !== "" && <One label={t("sensors")} all={t("allSensors")} value={search.sensor} options={instruments} change={(sensor) => setQuery({ facility: place, sensor })} />}
      <One label={t("rule")} all={t("allRules")} value={search.rule} options={RULE_NAMES.map((name) => [name, named(name, "rule")])} change={(rule) => setQuery({ rule })} />
      <One label={t("what")} all={t("allThatHappened")} value={search.transition} options={TRANSITION_NAMES.map((name) => [name, transitionName(name)])} change={(transition) => setQuery({ transition })} />
      <input type="search" class="person-field" placeholder={t("person")} aria-label={t("person")} maxLength={TEXT_MAX} value={search.by} onInput={(event) => setQuery({ by: event.currentTarget.value })} />
      <Moments from={search.from} to={search.to} change={setQuery} />
    </div>
  );
}
