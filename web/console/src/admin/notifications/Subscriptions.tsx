// Which alarms each channel is told of, and when.
import { useState } from "preact/hooks";
import { path, remove } from "../../api/http";
import type { Channel, Subscription } from "../../api/pageTypes";
import { Table, type Column } from "../../components/Table";
import { named, t } from "../../i18n";
import { dayName, noteWord } from "../../i18n/notificationWords";
import { tried } from "../../store/asked";
import { names } from "../../store/plant";
import { Confirm } from "../Confirm";
import { SubscriptionDialog } from "./SubscriptionDialog";

const NAMED_MAX = 3;
const DAYS_A_WEEK = 7;

type Open = { what: "new" } | { what: "change" | "remove"; subscription: Subscription };

interface Props {
  channels: readonly Channel[];
  subscriptions: readonly Subscription[];
  changed: () => void;
}

export function Subscriptions({ channels, subscriptions, changed }: Props) {
  const [open, setOpen] = useState<Open | null>(null);
  const close = () => setOpen(null);
  const columns: Column<Subscription>[] = [
    { label: t("name"), cell: (one) => <b>{one.name}</b> },
    { label: noteWord("channel"), cell: (one) => one.channel_name },
    { label: noteWord("about"), kind: "wide", cell: ofWhat },
    { label: noteWord("hours"), kind: "wide", cell: hoursOf },
    {
      label: "",
      kind: "acts",
      cell: (one) => (
        <>
          <button type="button" onClick={() => setOpen({ what: "change", subscription: one })}>
            {t("change")}
          </button>
          <button type="button" onClick={() => setOpen({ what: "remove", subscription: one })}>
            {t("remove")}
          </button>
        </>
      ),
    },
  ];
  return (
    <section class="desk-part" aria-label={noteWord("subscriptions")}>
      <h2>{noteWord("subscriptions")}</h2>
      <p class="remark">{noteWord("subscriptionsHint")}</p>
      <p class="desk-bar">
        <button type="button" class="primary" disabled={channels.length === 0} onClick={() => setOpen({ what: "new" })}>
          {noteWord("newSubscription")}
        </button>
      </p>
      <Table label={noteWord("subscriptions")} columns={columns} rows={subscriptions} keyOf={(one) => one.id} empty={t("none")} />
      {(open?.what === "new" || open?.what === "change") && (
        <SubscriptionDialog channels={channels} subscription={open.what === "new" ? null : open.subscription} close={close} changed={changed} />
      )}
      {open?.what === "remove" && (
        <Confirm
          title={noteWord("removeSubscription", { name: open.subscription.name })}
          text={noteWord("removeSubscriptionText")}
          act={t("remove")}
          onClose={close}
          onYes={() => void tried(() => remove(path("notification-subscriptions", String(open.subscription.id)))).then(changed)}
        />
      )}
    </section>
  );
}

function ofWhat(one: Subscription): string {
  const facilities = (one.facility_ids ?? []).map((id) => names.facility(id) ?? id);
  const rules = (one.alarm_rules ?? []).map((rule) => named(rule, "rule"));
  return [
    shortened(facilities, t("allFacilities")),
    shortened(rules, t("allRules")),
    `≥ ${t(one.least_priority)}`,
    one.after_minutes === 0 ? noteWord("atOnce") : noteWord("escalates", { count: one.after_minutes }),
    ...(one.returned ? [noteWord("returned")] : []),
  ].join(" · ");
}

function shortened(those: readonly string[], all: string): string {
  if (those.length === 0) return all;
  return those.length > NAMED_MAX ? t("chosenCount", { count: those.length }) : those.join(", ");
}

function hoursOf({ days = [], from_time: from, to_time: to, zone }: Subscription): string {
  const onDays = days.length === DAYS_A_WEEK ? noteWord("everyDay") : [...days].sort((one, other) => one - other).map(dayName).join(", ");
  return from === to ? `${onDays}, ${noteWord("allDay")} (${zone})` : `${onDays}, ${from}–${to} (${zone})`;
}
