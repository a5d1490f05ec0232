// Any number of a long list, folded: none chosen means all.
import { useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { useFolding } from "./folding";

export interface Option {
  id: string;
  name: string;
}

interface Props {
  label: string;
  all: string;
  options: readonly Option[];
  chosen: readonly string[];
  change: (chosen: string[]) => void;
}

const SHOWN_MAX = 100;

export function Choice({ label, all, options, chosen, change }: Props) {
  const own = useRef<HTMLDetailsElement>(null);
  const [text, setText] = useState("");
  useFolding(own);
  const found = options.filter((option) => option.name.toLowerCase().includes(text.toLowerCase()));
  const names = options.filter((option) => chosen.includes(option.id)).map((option) => option.name);
  const said = chosen.length === 0 ? all : names.length === 1 ? (names[0] ?? "") : t("chosenCount", { count: chosen.length });
  const toggle = (id: string) => change(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return (
    <details class="choice" ref={own}>
      <summary aria-label={`${label}: ${said}`}>{said}</summary>
      <div class="choice-list">
        <input type="search" placeholder={t("search")} aria-label={t("search")} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        {chosen.length > 0 && (
          <button type="button" class="quiet" onClick={() => change([])}>
            {all}
          </button>
        )}
        {found.slice(0, SHOWN_MAX).map((option) => (
          <label key={option.id}>
            <input type="checkbox" checked={chosen.includes(option.id)} onChange={() => toggle(option.id)} />
            <span>{option.name}</span>
          </label>
        ))}
        {found.length > SHOWN_MAX && <small>{t("searchForMore", { count: found.length - SHOWN_MAX })}</small>}
      </div>
    </details>
  );
}
