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
  /** Asked for, and not answered yet. */
  isStarting: boolean;
  start: (facilityId: string, body: NewReplay) => Promise<void>;
  cancel: () => void;
}

export function useReplay(): Replaying {
  const [replay, setReplay] = useState<Followed | null>(null);
  const [problem, setProblem] = useState("");
  const [isStarting, setStarting] = useState(false);
  const newest = useRef<Followed | null>(null);
  newest.current = replay;
  const isLeft = useRef(false);
  useEffect(
    () => () => {
      isLeft.current = true;
      void forgotten(newest.current);
    },
    [],
  );
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
          setReplay(isGone(error) ? null : { ...replay }); // away or busy: looked for again
        });
    }, LOOK_MS);
    return () => {
      window.clearTimeout(timer);
      looking.abort();
    };
  }, [replay]);
  const start = async (facilityId: string, body: NewReplay) => {
    setProblem("");
    setStarting(true);
    setReplay(null);
    try {
      await forgotten(replay);
      const begun = await post<Replay>(withQuery("/replays", { facility_id: facilityId }), body);
      if (isLeft.current) void forgotten(begun);
      else setReplay(begun);
    } catch (error) {
      setProblem(sentenceOf(error));
    }
    setStarting(false);
  };
  const cancel = () => {
    if (replay === null) return;
    void remove<Replay>(path("replays", replay.id))
      .then(setReplay)
      .catch((error: unknown) => setProblem(sentenceOf(error)));
  };
  return { replay, problem, isStarting, start, cancel };
}

function isGone(error: unknown): boolean {
  return error instanceof Refused && (error.status === 404 || error.status === 403);
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
