// A month of UTC. Browsers without a field for months take its text, 2026-11.
import { t } from "../i18n";

export function MonthField({ month, change }: { month: string; change: (month: string) => void }) {
  return (
    <label class="month">
      {t("month")}
      <input type="month" value={month} pattern="[0-9]{4}-(0[1-9]|1[0-2])" placeholder="2026-11" onChange={(event) => change(event.currentTarget.value)} />
    </label>
  );
}
