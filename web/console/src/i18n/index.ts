// The console's words in the viewer's language. A word that a dictionary lacks does not compile.
import { effect, signal } from "@preact/signals";
import { de } from "./de";
import { en, type Word } from "./en";
import { uk } from "./uk";

const DICTIONARIES = { en, de, uk };
const KEY = "gasinsight.language";

export type Language = keyof typeof DICTIONARIES;
export type { Word };
export const LANGUAGES: Record<Language, string> = { en: "English", de: "Deutsch", uk: "Українська" };

function isLanguage(text: string | null | undefined): text is Language {
  return text !== null && text !== undefined && text in DICTIONARIES;
}

function first(): Language {
  const chosen = localStorage.getItem(KEY);
  if (isLanguage(chosen)) return chosen;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find(isLanguage) ?? "en";
}

export const language = signal<Language>(first());

export function choose(wanted: Language): void {
  localStorage.setItem(KEY, wanted);
  language.value = wanted;
}

effect(() => {
  document.documentElement.lang = language.value;
});

export function t(word: Word, values: Record<string, string | number> = {}): string {
  return withValues(DICTIONARIES[language.value][word], values);
}

/** Of words that stand beside what they are about: in the viewer's language. */
export function filled(word: Record<Language, string>, values: Record<string, string | number> = {}): string {
  return withValues(word[language.value], values);
}

function withValues(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

const RULES: Record<string, Word> = { high: "rule_high", low: "rule_low" };

/** What the contract names, as people say it; what is new to the console stays as it is. */
export function named(name: string, kind: "rule" | "state" | "priority"): string {
  const word = kind === "rule" ? (RULES[name] ?? name) : name;
  return word in en ? t(word as Word) : name;
}
