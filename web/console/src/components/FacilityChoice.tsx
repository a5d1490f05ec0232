import { t } from "../i18n";
import { facilities } from "../store/plant";
import { Choice } from "./Choice";

export function FacilityChoice({ chosen, change }: { chosen: readonly string[]; change: (chosen: string[]) => void }) {
  return <Choice label={t("facilities")} all={t("allFacilities")} options={[...facilities.value.values()]} chosen={chosen} change={change} />;
}
