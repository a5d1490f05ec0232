// What a report is about, which must stand on its paper too.
import type { ComponentChildren } from "preact";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { names } from "../store/plant";

interface Props {
  start: string;
  end: string;
  facilityIds: readonly string[];
  children?: ComponentChildren;
}

export function Scope({ start, end, facilityIds, children }: Props) {
  const places = facilityIds.map((id) => names.facility(id) ?? id).join(", ");
  return (
    <p class="desk-range">
      <Time at={start} withDay /> – <Time at={end} withDay /> · {places === "" ? t("allFacilities") : places}
      {children !== undefined && <> · {children}</>}
    </p>
  );
}
