// A moment in the viewer's zone, with UTC on hover.
import { now } from "../store/clock";
import { age, dayTime, shortTime, utc } from "../times";

export function Time({ at, withAge = false, withDay = false }: { at: string; withAge?: boolean; withDay?: boolean }) {
  return (
    <time dateTime={`${at.replace("Z", "")}Z`} title={utc(at)}>
      {withDay ? dayTime(at) : shortTime(at, now.value)}
      {withAge && <small> {age(at, now.value)}</small>}
    </time>
  );
}

export function Age({ at }: { at: string }) {
  return (
    <time dateTime={`${at.replace("Z", "")}Z`} title={utc(at)}>
      {age(at, now.value)}
    </time>
  );
}
