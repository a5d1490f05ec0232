import { Actions } from "../components/Actions";
import { AlarmList } from "../components/AlarmList";
import { Filters } from "../components/Filters";

export function AlarmsPage() {
  return (
    <main class="alarms-page">
      <Filters />
      <AlarmList />
      <Actions />
    </main>
  );
}
