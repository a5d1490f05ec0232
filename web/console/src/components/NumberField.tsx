// A number as people type it: what stands in the field is theirs until it is a number, also "-" or "0." on the way.
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";

interface Props {
  label?: string;
  value: number | null;
  change: (value: number | null) => void;
  placeholder?: string;
  disabled?: boolean;
  required?: boolean;
}

export function NumberField({ label, value, change, placeholder, disabled = false, required = false }: Props) {
  const [text, setText] = useState(spelled(value));
  useEffect(() => {
    if (numberIn(text) !== value) setText(spelled(value)); // somebody else has set it
  }, [value]);
  const take = (field: HTMLInputElement) => {
    const said = numberIn(field.value);
    setText(field.value);
    field.setCustomValidity(said === undefined ? t("noNumber") : "");
    if (said !== undefined) change(said);
  };
  return (
    <input
      class="number"
      inputMode="decimal"
      autocomplete="off"
      aria-label={label}
      value={text}
      placeholder={placeholder}
      disabled={disabled}
      required={required}
      onInput={(event) => take(event.currentTarget)}
    />
  );
}

function spelled(value: number | null): string {
  return value === null ? "" : String(value);
}

/** Undefined: it is none. A comma is as good as a point. */
function numberIn(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  const value = Number(text.trim().replace(",", "."));
  return Number.isFinite(value) ? value : undefined;
}
