// A new key: for which facilities, for how long. It is shown this once.
import { useState } from "preact/hooks";
import { post } from "../api/http";
import type { KeyGrant, ShownApiKey } from "../api/pageTypes";
import { Choice } from "../components/Choice";
import { Dialog } from "../components/Dialog";
import { t } from "../i18n";
import { sentenceOf } from "../store/asked";
import { facilities } from "../store/plant";

const DAYS = [30, 90, 180, 365];

export function KeyDialog({ close, made }: { close: () => void; made: () => void }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState(90);
  const [viewed, setViewed] = useState<string[]>([]);
  const [edited, setEdited] = useState<string[]>([]);
  const [key, setKey] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const [isSending, setSending] = useState(false);
  const places = [...facilities.value.values()];
  const send = async (event: Event) => {
    event.preventDefault();
    const grants: KeyGrant[] = [
      ...edited.map((id) => ({ facility_id: id, permission_type: "Edit" as const })),
      ...viewed.filter((id) => !edited.includes(id)).map((id) => ({ facility_id: id, permission_type: "View" as const })),
    ];
    setSending(true);
    try {
      setKey((await post<ShownApiKey>("/api-keys", { name, days, facilities: grants })).key);
    } catch (error) {
      setProblem(sentenceOf(error));
      setSending(false);
      return;
    }
    made();
  };
  if (key !== null) return <ShownOnce keyText={key} close={close} />;
  return (
    <Dialog title={t("newKey")} onClose={close}>
      <form class="command-form" onSubmit={(event) => void send(event)}>
        <label class="field">
          {t("keyName")}
          <input name="name" value={name} required autofocus autocomplete="off" maxLength={200} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <div class="field">
          {t("mayView")}
          <Choice label={t("mayView")} all={t("none")} options={places} chosen={viewed} change={setViewed} />
        </div>
        <div class="field">
          {t("mayEdit")}
          <Choice label={t("mayEdit")} all={t("none")} options={places} chosen={edited} change={setEdited} />
        </div>
        <label class="field">
          {t("validFor")}
          <select name="days" value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            {DAYS.map((count) => (
              <option key={count} value={count}>
                {t("days", { count })}
              </option>
            ))}
          </select>
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <div class="dialog-acts">
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
          <button type="submit" class="primary" disabled={isSending || viewed.length + edited.length === 0}>
            {t("makeKey")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function ShownOnce({ keyText, close }: { keyText: string; close: () => void }) {
  return (
    <Dialog title={t("newKey")} onClose={close}>
      <p>{t("shownOnce")}</p>
      <p class="shown-key">
        <input readOnly value={keyText} aria-label={t("newKey")} onFocus={(event) => event.currentTarget.select()} />
      </p>
      <div class="dialog-acts">
        {window.isSecureContext && (
          <button type="button" onClick={() => void navigator.clipboard.writeText(keyText)}>
            {t("copy")}
          </button>
        )}
        <button type="button" class="primary" onClick={close}>
          {t("close")}
        </button>
      </div>
    </Dialog>
  );
}
