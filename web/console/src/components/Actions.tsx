// What can be done with what is selected, or with the row under the cursor.
import { t } from "../i18n";
import { act, underWay } from "../store/actions";
import { chosen, cursor, selected } from "../store/list";
import { askFor } from "./CommandDialog";

export function acknowledgeChosen(): void {
  void act(
    chosen().filter((alarm) => !alarm.acknowledged),
    { command: "acknowledge" },
  );
  selected.value = new Set();
}

function unshelveChosen(): void {
  void act(
    chosen().filter((alarm) => alarm.suppression === "shelved"),
    { command: "unshelve" },
  );
  selected.value = new Set();
}

export function Actions() {
  cursor.value;
  const alarms = chosen();
  const isNothing = alarms.length === 0;
  return (
    <div class="actions">
      <span aria-live="polite">{selected.value.size > 0 ? t("selected", { count: selected.value.size }) : ""}</span>
      <button type="button" class="primary" disabled={isNothing} onClick={acknowledgeChosen}>
        {t("acknowledge")} <kbd>a</kbd>
      </button>
      <button type="button" disabled={isNothing} onClick={() => askFor("shelve", chosen())}>
        {t("shelve")} <kbd>s</kbd>
      </button>
      {alarms.some((alarm) => alarm.suppression === "shelved") && (
        <button type="button" onClick={unshelveChosen}>
          {t("unshelve")}
        </button>
      )}
      <button type="button" disabled={isNothing} onClick={() => askFor("comment", chosen())}>
        {t("comment")} <kbd>c</kbd>
      </button>
      {underWay.value > 0 && <progress aria-label={t("loading")} />}
    </div>
  );
}
