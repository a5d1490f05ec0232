// Two moments in the viewer's zone; either may be left out.
import { t } from "../i18n";
import { localText, utcText } from "../store/ranges";

interface Props {
  from: string;
  to: string;
  change: (moments: { from: string; to: string }) => void;
}

export function Moments({ from, to, change }: Props) {
  return (
    <span class="moments">
      <label>
        {t("from")}
        <input type="datetime-local" value={localText(from)} onChange={(event) => change({ from: utcText(event.currentTarget.value), to })} />
      </label>
      <label>
        {t("to")}
        <input type="datetime-local" value={localText(to)} onChange={(event) => change({ from, to: utcText(event.currentTarget.value) })} />
      </label>
    </span>
  );
}
