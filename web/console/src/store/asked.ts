// An answer of the server for as long as a component shows it, with what went wrong in words.
import { useEffect, useState } from "preact/hooks";
import { Refused } from "../api/http";
import { t } from "../i18n";
import { say } from "./toasts";

export interface Asked<T> {
  found: T | null;
  problem: string;
  isLoading: boolean;
  again: () => void;
}

/** Asked anew when one of `by` changes; what was found before stays on the screen until then. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, by: readonly unknown[]): Asked<T> {
  const [found, setFound] = useState<T | null>(null);
  const [problem, setProblem] = useState("");
  const [isLoading, setLoading] = useState(true);
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const asking = new AbortController();
    setLoading(true);
    ask(asking.signal)
      .then((answer) => {
        setFound(answer);
        setProblem("");
        setLoading(false);
      })
      .catch((error: unknown) => {
        if (asking.signal.aborted) return;
        setProblem(sentenceOf(error));
        setLoading(false);
      });
    return () => asking.abort();
  }, [...by, times]);
  return { found, problem, isLoading, again: () => setTimes((count) => count + 1) };
}

export function sentenceOf(error: unknown): string {
  return error instanceof Refused ? error.message : t("unreachable");
}

/** Whether it was done; why not is said. */
export async function tried(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    say(sentenceOf(error), "problem");
    return false;
  }
}
