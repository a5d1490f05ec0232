// What a viewer chose of looks and sound, kept in this browser.
import { effect, signal, type Signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

function kept<T extends string>(name: string, choices: readonly T[], first: T): Signal<T> {
  const key = `gasinsight.${name}`;
  const found = localStorage.getItem(key) as T | null;
  const value = signal<T>(found !== null && choices.includes(found) ? found : first);
  effect(() => localStorage.setItem(key, value.value));
  return value;
}

export const theme = kept<Theme>("theme", ["system", "light", "dark"], "system");
export const sound = kept<"on" | "muted">("sound", ["on", "muted"], "on");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
