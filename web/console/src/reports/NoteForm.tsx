// A note for the next shift. It is never changed: a second one corrects the first.
import { useState } from "preact/hooks";
import { path, post } from "../api/http";
import { t } from "../i18n";
import { tried } from "../store/asked";
import { facilities } from "../store/plant";
import { say } from "../store/toasts";

const NOTE_MAX = 4_000;

export function NoteForm({ facilityIds, written }: { facilityIds: readonly string[]; written: () => void }) {
  const [note, setNote] = useState("");
  const [chosen, setChosen] = useState("");
  const [isBusy, setBusy] = useState(false);
  const choices = [...facilities.value.values()].filter((facility) => facilityIds.length === 0 || facilityIds.includes(facility.id));
  const facilityId = choices.some((facility) => facility.id === chosen) ? chosen : (choices[0]?.id ?? "");
  const send = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    const isWritten = await tried(() => post(path("shift-notes", facilityId), { note }));
    setBusy(false);
    if (!isWritten) return;
    setNote("");
    say(t("noteWritten"));
    written();
  };
  return (
    <form class="note-form desk-part" onSubmit={(event) => void send(event)}>
      <h2>{t("writeNote")}</h2>
      <select aria-label={t("facility")} value={facilityId} onChange={(event) => setChosen(event.currentTarget.value)}>
        {choices.map((facility) => (
          <option key={facility.id} value={facility.id}>
            {facility.name}
          </option>
        ))}
      </select>
      <textarea name="note" rows={3} maxLength={NOTE_MAX} required aria-label={t("notes")} placeholder={t("noteHint")} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      <button type="submit" class="primary" disabled={isBusy || facilityId === "" || note.trim() === ""}>
        {t("writeNote")}
      </button>
    </form>
  );
}
