// Asked before what cannot be taken back.
import { useState } from "preact/hooks";
import { Dialog } from "../components/Dialog";
import { t } from "../i18n";

interface Props {
  title: string;
  text: string;
  act: string;
  /** What must be typed first, of what is gone for good. */
  typed?: string;
  onClose: () => void;
  onYes: () => void;
}

export function Confirm({ title, text, act, typed, onClose, onYes }: Props) {
  const [written, setWritten] = useState("");
  const send = (event: Event) => {
    event.preventDefault();
    onClose();
    onYes();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="command-form" onSubmit={send}>
        <p>{text}</p>
        {typed !== undefined && (
          <label class="field">
            {t("typeToConfirm", { name: typed })}
            <input name="confirm" autocomplete="off" value={written} onInput={(event) => setWritten(event.currentTarget.value)} />
          </label>
        )}
        <div class="dialog-acts">
          <button type="button" onClick={onClose}>
            {t("cancel")}
          </button>
          <button type="submit" class="danger" disabled={typed !== undefined && written !== typed}>
            {act}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
