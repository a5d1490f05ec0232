// What was told to whom, what waits, and what was given up and why.
import { useState } from "preact/hooks";
import { withQuery } from "../../api/http";
import type { Channel, Notification, NotificationPage } from "../../api/pageTypes";
import { Table, type Column } from "../../components/Table";
import { Time } from "../../components/Time";
import { t } from "../../i18n";
import { noteWord } from "../../i18n/notificationWords";
import { Pager, usePages } from "../pages";

const STATES = ["waiting", "delivered", "given_up"] as const;

const COLUMNS = (): Column<Notification>[] => [
  { label: t("when"), cell: (one) => <Time at={one.made_at} withDay /> },
  { label: noteWord("channel"), cell: (one) => one.channel_name },
  { label: noteWord("goesTo"), cell: (one) => one.recipient },
  { label: noteWord("subject"), kind: "wide", cell: (one) => one.subject },
  { label: noteWord("alarmsTold"), kind: "number", cell: (one) => one.alarms },
  { label: t("state"), cell: (one) => <span class={one.state === "given_up" ? "is-missed" : "is-soft"}>{noteWord(one.state)}</span> },
  { label: noteWord("attempts"), kind: "number", cell: (one) => one.attempts },
  { label: noteWord("error"), cell: (one) => one.error },
];

export function Sent({ channels, by }: { channels: readonly Channel[]; by: number }) {
  const [channel, setChannel] = useState("");
  const [state, setState] = useState("");
  const wanted = { ...(channel !== "" && { channel_id: channel }), ...(state !== "" && { notification_state: state }) };
  const address = withQuery("/notifications", wanted);
  return (
    <section class="desk-part" aria-label={noteWord("sent")}>
      <h2>{noteWord("sent")}</h2>
      <p class="remark">{noteWord("sentHint")}</p>
      <p class="desk-bar">
        <select aria-label={noteWord("channel")} value={channel} onChange={(event) => setChannel(event.currentTarget.value)}>
          <option value="">{noteWord("allChannels")}</option>
          {channels.map((one) => (
            <option key={one.id} value={one.id}>
              {one.name}
            </option>
          ))}
        </select>
        <select aria-label={t("state")} value={state} onChange={(event) => setState(event.currentTarget.value)}>
          <option value="">{noteWord("allStates")}</option>
          {STATES.map((one) => (
            <option key={one} value={one}>
              {noteWord(one)}
            </option>
          ))}
        </select>
      </p>
      <Messages key={`${address} ${by}`} address={address} />
    </section>
  );
}

function Messages({ address }: { address: string }) {
  const paged = usePages<NotificationPage>(address);
  return (
    <>
      {paged.found !== null && <Table label={noteWord("sent")} columns={COLUMNS()} rows={paged.found.notifications} keyOf={(one) => one.id} empty={t("none")} />}
      <p class="desk-bar">
        <button type="button" onClick={paged.again}>
          {t("refresh")}
        </button>
      </p>
      <Pager of={paged} />
    </>
  );
}
