// What people may say of an alert.
import type { NewAlarmCommand } from "../api/types";
import { t, type Word } from "../i18n";

type Verdict = NonNullable<NewAlarmCommand["verdict"]>;

const WORDS: Record<Verdict, Word> = { true: "verdictTrue", false: "verdictFalse", expected: "verdictExpected" };

export const VERDICTS = Object.keys(WORDS) as Verdict[];

export function verdictName(verdict: string): string {
  const word = (WORDS as Record<string, Word>)[verdict];
  return word === undefined ? verdict : t(word);
}
