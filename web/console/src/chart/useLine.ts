// The line of a sensor over a range: read in the resolution that the range needs, and going on with each new reading.
import { useEffect, useState } from "preact/hooks";
import { path } from "../api/http";
import { ResumingSocket } from "../api/socket";
import type { ReadingFrame, Sensor } from "../api/types";
import { moment } from "../times";
import type { Range } from "./range";
import { append, numberIn, readLine, silence, type Line } from "./readings";

const WAIT_MS = 120;
const NOTHING: Line = { seconds: [], values: [] };

export interface Followed {
  line: Line;
  newest: ReadingFrame | null;
  isLoading: boolean;
}

export function useLine(sensor: Sensor, range: Range): Followed {
  const [line, setLine] = useState<Line>(NOTHING);
  const [newest, setNewest] = useState<ReadingFrame | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [comebacks, setComebacks] = useState(0);
  useEffect(() => {
    const asking = new AbortController();
    const toMs = range.endMs ?? Date.now();
    const timer = window.setTimeout(() => {
      setLoading(true);
      readLine(sensor, toMs - range.spanMs, toMs, asking.signal)
        .then((found) => {
          setLine(found);
          setLoading(false);
        })
        .catch(() => !asking.signal.aborted && setLoading(false)); // away: the bar says so
    }, WAIT_MS);
    return () => {
      window.clearTimeout(timer);
      asking.abort();
    };
  }, [sensor.id, range.spanMs, range.endMs, comebacks]);
  useEffect(() => {
    let wasLost = false;
    const take = (frame: ReadingFrame) => {
      setNewest(frame);
      setLine((before) => grown(before, frame, sensor, range));
    };
    const socket = new ResumingSocket<ReadingFrame>(path("ws", "sensor-data", sensor.id), () => ({}), take, (state) => {
      if (state === "lost") wasLost = true;
      else if (state === "live" && wasLost) setComebacks((count) => count + 1); // what came meanwhile is read
    });
    return () => socket.close();
  }, [sensor.id, range.spanMs, range.endMs]);
  return { line, newest, isLoading };
}

function grown(before: Line, frame: ReadingFrame, sensor: Sensor, range: Range): Line {
  if (range.endMs !== null) return before;
  const next = { seconds: [...before.seconds], values: [...before.values] };
  const toMs = Date.now();
  append(next, moment(frame.tracked_at) / 1000, numberIn(frame.data), silence(sensor, toMs - range.spanMs, toMs));
  const first = next.seconds.findIndex((second) => second * 1000 >= toMs - range.spanMs);
  return first > 100 ? { seconds: next.seconds.slice(first), values: next.values.slice(first) } : next;
}
