// Commands for one alarm or many: a few at a time, each with an id of its own so that a lost answer can be asked again.
import { signal } from "@preact/signals";
import { commandAlarm, Refused } from "../api/http";
import type { AlarmNow, NewAlarmCommand } from "../api/types";
import { t } from "../i18n";
import { learn } from "./alarms";
import { say } from "./toasts";

const AT_A_TIME = 4;
const TRIES = 3;
const PAUSE_MS = 1_000;

export const underWay = signal(0);

export type Ask = Pick<NewAlarmCommand, "command"> & Partial<Pick<NewAlarmCommand, "reason" | "until" | "verdict" | "event_id">>;
/** An alarm by its names alone. */
export type Named = Pick<AlarmNow, "facility_id" | "id">;

export async function act(alarms: readonly Named[], ask: Ask): Promise<void> {
  const queue = [...alarms];
  const came = { done: 0, waiting: 0, refusals: new Set<string>() };
  underWay.value += queue.length;
  const work = async (): Promise<void> => {
    for (let alarm = queue.shift(); alarm !== undefined; alarm = queue.shift()) {
      try {
        const answer = await asked(alarm, ask);
        if (answer.alarm) learn(answer.alarm);
        came[answer.state] += 1;
      } catch (error) {
        const isForbidden = error instanceof Refused && error.status === 403;
        came.refusals.add(isForbidden ? t("mayNot") : error instanceof Refused ? error.message : t("unreachable"));
      }
      underWay.value -= 1;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  if (came.done > 0) say(t("done", { count: came.done }));
  if (came.waiting > 0) say(t("waiting", { count: came.waiting }));
  for (const refusal of came.refusals) say(t("refused", { detail: refusal }), "problem");
}

async function asked(alarm: Named, ask: Ask) {
  const command_id = crypto.randomUUID();
  const command = { reason: "", wait_s: 5, ...ask, alarm_id: alarm.id, command_id } as NewAlarmCommand;
  for (let left = TRIES; ; left -= 1) {
    try {
      return await commandAlarm(alarm.facility_id, command);
    } catch (error) {
      const isPassing = !(error instanceof Refused) || error.status === 503 || error.status === 429;
      if (left <= 1 || !isPassing) throw error;
      await new Promise((resolve) => window.setTimeout(resolve, PAUSE_MS));
    }
  }
}
