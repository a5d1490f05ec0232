// The ways in which people are told, each to be tested.
import { useState } from "preact/hooks";
import { path, post, remove } from "../../api/http";
import type { Channel, Notifications } from "../../api/pageTypes";
import { Table, type Column } from "../../components/Table";
import { t } from "../../i18n";
import { noteWord } from "../../i18n/notificationWords";
import { sentenceOf, tried } from "../../store/asked";
import { say } from "../../store/toasts";
import { Confirm } from "../Confirm";
import { ChannelDialog } from "./ChannelDialog";

const WAIT_S = 5;

type Open = { what: "new" } | { what: "change" | "remove"; channel: Channel };

export function Channels({ channels, changed }: { channels: readonly Channel[]; changed: () => void }) {
  const [open, setOpen] = useState<Open | null>(null);
  const [tested, setTested] = useState<number | null>(null);
  const close = () => setOpen(null);
  const test = async (channel: Channel) => {
    setTested(channel.id);
    say(noteWord("testing"));
    try {
      tellOf((await post<Notifications>(path("notification-tests", String(channel.id)), { wait_s: WAIT_S })).notifications, channel);
    } catch (error) {
      say(sentenceOf(error), "problem");
    }
    setTested(null);
    changed();
  };
  const columns: Column<Channel>[] = [
    { label: t("name"), cell: (one) => <b>{one.name}</b> },
    { label: noteWord("kind"), cell: (one) => noteWord(one.kind) },
    { label: noteWord("goesTo"), kind: "wide", cell: (one) => (one.kind === "mail" ? one.to.join(", ") : one.host) },
    { label: t("state"), cell: (one) => <span class={one.enabled ? "is-soft" : "is-missed"}>{noteWord(one.enabled ? "on" : "off")}</span> },
    {
      label: "",
      kind: "acts",
      cell: (one) => (
        <>
          <button type="button" disabled={!one.enabled || tested !== null} onClick={() => void test(one)}>
            {noteWord("test")}
          </button>
          <button type="button" onClick={() => setOpen({ what: "change", channel: one })}>
            {t("change")}
          </button>
          <button type="button" onClick={() => setOpen({ what: "remove", channel: one })}>
            {t("remove")}
          </button>
        </>
      ),
    },
  ];
  return (
    <section class="desk-part" aria-label={noteWord("channels")}>
      <h2>{noteWord("channels")}</h2>
      <p class="remark">{noteWord("channelsHint")}</p>
      <p class="desk-bar">
        <button type="button" class="primary" onClick={() => setOpen({ what: "new" })}>
          {noteWord("newChannel")}
        </button>
      </p>
      <Table label={noteWord("channels")} columns={columns} rows={channels} keyOf={(one) => one.id} empty={t("none")} />
      {(open?.what === "new" || open?.what === "change") && <ChannelDialog channel={open.what === "new" ? null : open.channel} close={close} changed={changed} />}
      {open?.what === "remove" && (
        <Confirm
          title={noteWord("removeChannel", { name: open.channel.name })}
          text={noteWord("removeChannelText")}
          act={t("remove")}
          onClose={close}
          onYes={() => void tried(() => remove(path("notification-channels", String(open.channel.id)))).then(changed)}
        />
      )}
    </section>
  );
}

/** What became of a test, in a sentence: the worst that befell one of its messages. */
function tellOf(messages: Notifications["notifications"], channel: Channel): void {
  const failed = messages.find((one) => one.error !== "" && one.state !== "delivered");
  if (failed !== undefined) say(noteWord("testFailed", { error: failed.error }), "problem");
  else if (messages.some((one) => one.state === "waiting")) say(noteWord("testWaits"));
  else say(noteWord("testDelivered", { name: channel.name }));
}
