// Asked before set-aside input is deleted for good: why nobody wants it.
import { useState } from "preact/hooks";
import { Dialog } from "../components/Dialog";
import { t } from "../i18n";

const REASON_MAX = 1000;

interface Props {
  count: number;
  onClose: () => void;
  onYes: (reason: string) => void;
}

export function DiscardDialog({ count, onClose, onYes }: Props) {
  const [reason, setReason] = useState("");
  const send = (event: Event) => {
    event.preventDefault();
    onClose();
    onYes(reason.trim());
  };
  return (
    <Dialog title={t("discardRows", { count })} onClose={onClose}>
      <form class="command-form" onSubmit={send}>
        <p>{t("discardText")}</p>
        <label class="field">
          {t("reason")}
          <input name="reason" autocomplete="off" maxLength={REASON_MAX} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        <div class="dialog-acts">
          <button type="button" onClick={onClose}>
            {t("cancel")}
          </button>
          <button type="submit" class="danger" disabled={reason.trim() === ""}>
            {t("discard")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
