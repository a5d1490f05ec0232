// A replay on the server, followed until it has ended; it goes when whoever asked for it looks at it no more.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, path, post, Refused, remove, withQuery } from "../api/http";
import type { NewReplay, Replay, ReplayWithResults } from "../api/types";
import { sentenceOf } from "../store/asked";

const LOOK_MS = 1_000;

export type Followed = Replay & Partial<ReplayWithResults>;

export function isUnderWay(replay: Replay): boolean {
  return replay.state === "queued" || replay.state === "running";
}

export interface Replaying {
  replay: Followed | null;
  problem: string;
  start: (facilityId: string, body: NewReplay) => Promise<boolean>;
  cancel: () => void;
}

export function useReplay(): Replaying {
  const [replay, setReplay] = useState<Followed | null>(null);
  const [problem, setProblem] = useState("");
  const newest = useRef<Followed | null>(null);
  newest.current = replay;
  useEffect(() => () => void forgotten(newest.current), []);
  useEffect(() => {
    if (replay === null || !isUnderWay(replay)) return;
    const looking = new AbortController();
    const timer = window.setTimeout(() => {
      get<ReplayWithResults>(path("replays", replay.id), {}, looking.signal)
        .then((found) => {
          setReplay(found);
          setProblem("");
        })
        .catch((error: unknown) => {
          if (looking.signal.aborted) return;
          setProblem(sentenceOf(error));
          setReplay(error instanceof Refused ? null : { ...replay }); // away: looked for again
        });
    }, LOOK_MS);
    return () => {
      window.clearTimeout(timer);
      looking.abort();
    };
  }, [replay]);
  const start = async (facilityId: string, body: NewReplay) => {
    setProblem("");
    try {
      await forgotten(replay);
      setReplay(await post<Replay>(withQuery("/replays", { facility_id: facilityId }), body));
      return true;
    } catch (error) {
      setReplay(null);
      setProblem(sentenceOf(error));
      return false;
    }
  };
  const cancel = () => {
    if (replay === null) return;
    void remove<Replay>(path("replays", replay.id))
      .then(setReplay)
      .catch((error: unknown) => setProblem(sentenceOf(error)));
  };
  return { replay, problem, start, cancel };
}

/** What is under way is cancelled first, and then forgotten like what has ended. */
async function forgotten(replay: Followed | null): Promise<void> {
  if (replay === null) return;
  const address = path("replays", replay.id);
  try {
    if (isUnderWay(replay)) await remove(address);
    await remove(address);
  } catch {
    // away, or gone already: the server forgets it by itself
  }
}
