// A subscription, new or changed, all of it at once.
import { useState } from "preact/hooks";
import { path, post, put } from "../../api/http";
import type { Channel, NewSubscription, Subscription } from "../../api/pageTypes";
import { PRIORITIES } from "../../api/types";
import { Choice } from "../../components/Choice";
import { Dialog } from "../../components/Dialog";
import { FacilityChoice } from "../../components/FacilityChoice";
import { named, t } from "../../i18n";
import { dayName, noteWord } from "../../i18n/notificationWords";
import { RULE_NAMES } from "../../i18n/rules";
import { sentenceOf } from "../../store/asked";

const DAYS = [1, 2, 3, 4, 5, 6, 7];
const AFTER_MINUTES_MAX = 1_440;

interface Props {
  channels: readonly Channel[];
  subscription: Subscription | null;
  close: () => void;
  changed: () => void;
}

export function SubscriptionDialog({ channels, subscription, close, changed }: Props) {
  const [facilityIds, setFacilityIds] = useState<string[]>(subscription?.facility_ids ?? []);
  const [rules, setRules] = useState<string[]>(subscription?.alarm_rules ?? []);
  const [problem, setProblem] = useState("");
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const of = (name: string) => String(fields.get(name) ?? "").trim();
    const body: NewSubscription = {
      channel_id: Number(of("channel_id")),
      name: of("name"),
      facility_ids: facilityIds,
      alarm_rules: rules,
      least_priority: PRIORITIES.find((priority) => priority === of("least_priority")) ?? "low",
      returned: fields.has("returned"),
      after_minutes: Number(of("after_minutes")),
      days: fields.getAll("day").map(Number),
      from_time: of("from_time"),
      to_time: of("to_time"),
      zone: of("zone"),
    };
    try {
      if (subscription === null) await post<Subscription>("/notification-subscriptions", body);
      else await put<Subscription>(path("notification-subscriptions", String(subscription.id)), body);
    } catch (error) {
      setProblem(sentenceOf(error));
      return;
    }
    changed();
    close();
  };
  return (
    <Dialog title={subscription?.name ?? noteWord("newSubscription")} onClose={close}>
      <form class="command-form" onSubmit={(event) => void send(event)}>
        <label class="field">
          {t("name")}
          <input name="name" required autofocus autocomplete="off" maxLength={200} defaultValue={subscription?.name ?? ""} />
        </label>
        <div class="side-by-side">
          <label class="field">
            {noteWord("channel")}
            <select name="channel_id">
              {channels.map((one) => (
                <option key={one.id} value={one.id} selected={one.id === subscription?.channel_id}>
                  {one.name}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            {noteWord("leastPriority")}
            <select name="least_priority">
              {PRIORITIES.map((priority) => (
                <option key={priority} value={priority} selected={priority === (subscription?.least_priority ?? "low")}>
                  {t(priority)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <div class="field">
          {t("facilities")}
          <FacilityChoice chosen={facilityIds} change={setFacilityIds} />
        </div>
        <div class="field">
          {t("rule")}
          <Choice label={t("rule")} all={t("allRules")} options={RULE_NAMES.map((id) => ({ id, name: named(id, "rule") }))} chosen={rules} change={setRules} />
        </div>
        <fieldset>
          <legend>{noteWord("onDays")}</legend>
          {DAYS.map((day) => (
            <label key={day} class="chip">
              <input type="checkbox" name="day" value={day} defaultChecked={subscription?.days?.includes(day) ?? true} />
              <span>{dayName(day)}</span>
            </label>
          ))}
        </fieldset>
        <div class="side-by-side">
          <label class="field">
            {noteWord("fromTime")}
            <input name="from_time" type="time" required defaultValue={subscription?.from_time ?? "00:00"} />
          </label>
          <label class="field">
            {noteWord("toTime")}
            <input name="to_time" type="time" required defaultValue={subscription?.to_time ?? "00:00"} />
          </label>
        </div>
        <label class="field">
          {noteWord("zone")}
          <input name="zone" required maxLength={100} defaultValue={subscription?.zone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone} />
        </label>
        <label class="field">
          {noteWord("afterMinutes")}
          <input name="after_minutes" type="number" required min={0} max={AFTER_MINUTES_MAX} defaultValue={String(subscription?.after_minutes ?? 0)} />
        </label>
        <label class="check">
          <input type="checkbox" name="returned" defaultChecked={subscription?.returned ?? false} /> {noteWord("returned")}
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <div class="dialog-acts">
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
          <button type="submit" class="primary">
            {t("save")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
