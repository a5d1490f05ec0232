// Everything that happened, searched from the newest back; verdicts are given here.
import { useEffect, useRef, useState } from "preact/hooks";
import { PageHead } from "../components/PageHead";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { query, setQuery } from "../query";
import { sentenceOf } from "../store/asked";
import { HistoryFilters } from "./HistoryFilters";
import { HistoryRow } from "./HistoryRow";
import { goneOn, NOTHING, rowOf, searchIn, type Found } from "./search";
import { VerdictDialog } from "./VerdictDialog";

const TYPING_MS = 300;

export function HistoryPage() {
  const [found, setFound] = useState<Found | null>(null);
  const [problem, setProblem] = useState("");
  const [isLooking, setLooking] = useState(true);
  const [times, setTimes] = useState(0);
  const asked = query.value.toString();
  const event = Number(query.value.get("event") ?? "");
  const looking = useRef(new AbortController());
  /** Whatever was looked for before is given up. */
  const look = async (from: Found): Promise<void> => {
    looking.current.abort();
    const { signal } = (looking.current = new AbortController());
    setLooking(true);
    try {
      setFound(await (event > 0 ? rowOf(event, signal) : goneOn(searchIn(query.value), from, signal)));
      setProblem("");
    } catch (error) {
      if (signal.aborted) return;
      setProblem(sentenceOf(error));
    }
    setLooking(false);
  };
  useEffect(() => {
    const timer = window.setTimeout(() => void look(NOTHING), found === null || event > 0 ? 0 : TYPING_MS);
    return () => {
      window.clearTimeout(timer);
      looking.current.abort();
    };
  }, [asked, times]);
  return (
    <main class="desk">
      <PageHead title={t("history")} />
      {event > 0 ? (
        <p class="desk-bar">
          <button type="button" onClick={() => setQuery({ event: "" })}>
            {t("wholeHistory")}
          </button>
        </p>
      ) : (
        <HistoryFilters />
      )}
      <p class="problem">{problem}</p>
      <ul class="history" aria-label={t("history")} aria-busy={isLooking}>
        {found?.rows.map((row) => (
          <HistoryRow key={row.id} event={row} verdict={found.verdicts.get(row.id) ?? null} />
        ))}
      </ul>
      {found?.rows.length === 0 && !isLooking && <p class="nothing">{t("nothingFound")}</p>}
      {found !== null && event === 0 && <FurtherBack found={found} isLooking={isLooking} goOn={() => void look(found)} />}
      <VerdictDialog judged={() => setTimes((count) => count + 1)} />
    </main>
  );
}

function FurtherBack({ found, isLooking, goOn }: { found: Found; isLooking: boolean; goOn: () => void }) {
  return (
    <p class="further">
      {found.next === null || found.lookedBackTo === null ? (
        t("allLookedAt")
      ) : (
        <>
          {t("lookedBackTo")} <Time at={found.lookedBackTo} withDay />
          <button type="button" disabled={isLooking} onClick={goOn}>
            {t("lookFurther")}
          </button>
        </>
      )}
      {isLooking && <progress aria-label={t("loading")} />}
    </p>
  );
}
