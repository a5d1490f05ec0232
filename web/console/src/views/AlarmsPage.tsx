import { Actions } from "../components/Actions";
import { AlarmList } from "../components/AlarmList";
import { Filters } from "../components/Filters";
import { t } from "../i18n";

export function AlarmsPage() {
  return (
    <main class="alarms-page">
      <h1 class="unseen">{t("alarms")}</h1>
      <Filters />
      <AlarmList />
      <Actions />
    </main>
  );
}
