// The keys, in a dialog.
import { signal } from "@preact/signals";
import { t, type Word } from "../i18n";
import { Dialog } from "./Dialog";

const KEYS: [string, Word][] = [
  ["↑ ↓  j k", "helpMove"],
  ["x", "helpSelect"],
  ["Enter", "helpOpen"],
  ["a", "helpAcknowledge"],
  ["s", "helpShelve"],
  ["c", "helpComment"],
  ["n", "helpInsert"],
  ["/", "helpSearch"],
  ["m", "helpMute"],
  ["1 – 5", "helpPages"],
  ["?", "helpHelp"],
];

export const isHelpOpen = signal(false);

export function Help() {
  if (!isHelpOpen.value) return null;
  const close = () => {
    isHelpOpen.value = false;
  };
  return (
    <Dialog title={t("helpTitle")} onClose={close}>
      <dl class="keys">
        {KEYS.map(([key, word]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(word)}</dd>
          </div>
        ))}
      </dl>
      <div class="dialog-acts">
        <button type="button" class="primary" onClick={close}>
          {t("close")}
        </button>
      </div>
    </Dialog>
  );
}
