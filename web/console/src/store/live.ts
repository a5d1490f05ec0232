// The newest reading of each sensor of a facility, for as long as somebody looks at it.
import { signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { path } from "../api/http";
import { ResumingSocket } from "../api/socket";
import type { ReadingFrame } from "../api/types";

const SHOW_MS = 200;

export function useLive(facilityId: string): Signal<ReadonlyMap<string, ReadingFrame>> {
  const newest = useMemo(() => signal<ReadonlyMap<string, ReadingFrame>>(new Map()), [facilityId]);
  useEffect(() => {
    const held = new Map<string, ReadingFrame>();
    let showing: number | undefined;
    const take = (frame: ReadingFrame) => {
      const known = held.get(frame.sensor_id);
      if (known !== undefined && known.tracked_at > frame.tracked_at) return;
      held.set(frame.sensor_id, frame);
      showing ??= window.setTimeout(() => {
        showing = undefined;
        newest.value = new Map(held);
      }, SHOW_MS);
    };
    const socket = new ResumingSocket<ReadingFrame>(path("ws", "facility-data", facilityId), () => ({}), take, () => undefined);
    return () => {
      socket.close();
      window.clearTimeout(showing);
    };
  }, [facilityId]);
  return newest;
}
