// A channel, new or changed. What is secret is in no answer, so a way that is changed is said anew, whole.
import { useState } from "preact/hooks";
import { path, post, put } from "../../api/http";
import type { Channel } from "../../api/pageTypes";
import { Dialog } from "../../components/Dialog";
import { t } from "../../i18n";
import { noteWord } from "../../i18n/notificationWords";
import { sentenceOf } from "../../store/asked";

const KINDS = ["mail", "teams", "webhook"] as const;
const SECURITY = ["starttls", "tls", "none"] as const;
const MAIL_PORT = 587;
type Kind = (typeof KINDS)[number];

/** Blanks belong to what is secret. */
const SECRETS = ["password", "secret"];

interface Props {
  channel: Channel | null;
  close: () => void;
  changed: () => void;
}

export function ChannelDialog({ channel, close, changed }: Props) {
  const [kind, setKind] = useState<Kind>(channel?.kind ?? "mail");
  const [isNewWay, setNewWay] = useState(channel === null);
  const [problem, setProblem] = useState("");
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const of = (name: string) => {
      const text = String(fields.get(name) ?? "");
      return SECRETS.includes(name) ? text : text.trim();
    };
    const whole = { name: of("name"), enabled: fields.has("enabled"), acknowledge: fields.has("acknowledge") };
    const body = isNewWay ? { ...whole, [kind]: wayOf(kind, of) } : whole;
    try {
      if (channel === null) await post<Channel>("/notification-channels", body);
      else await put<Channel>(path("notification-channels", String(channel.id)), body);
    } catch (error) {
      setProblem(sentenceOf(error));
      return;
    }
    changed();
    close();
  };
  return (
    <Dialog title={channel?.name ?? noteWord("newChannel")} onClose={close}>
      <form class="command-form" onSubmit={(event) => void send(event)}>
        <label class="field">
          {t("name")}
          <input name="name" required autofocus autocomplete="off" maxLength={200} defaultValue={channel?.name ?? ""} />
        </label>
        {channel === null && (
          <label class="field">
            {noteWord("kind")}
            <select name="kind" value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
              {KINDS.map((one) => (
                <option key={one} value={one}>
                  {noteWord(one)}
                </option>
              ))}
            </select>
          </label>
        )}
        {channel !== null && (
          <label class="check">
            <input type="checkbox" checked={isNewWay} onChange={(event) => setNewWay(event.currentTarget.checked)} /> {noteWord("newWay")}
          </label>
        )}
        {isNewWay && (kind === "mail" ? <MailFields channel={channel} /> : <AddressFields kind={kind} />)}
        <label class="check">
          <input type="checkbox" name="enabled" defaultChecked={channel?.enabled ?? true} /> {noteWord("enabled")}
        </label>
        <label class="check">
          <input type="checkbox" name="acknowledge" defaultChecked={channel?.acknowledge ?? false} /> {noteWord("acknowledge")}
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

function wayOf(kind: Kind, of: (name: string) => string): object {
  if (kind === "teams") return { url: of("url") };
  if (kind === "webhook") return { url: of("url"), secret: of("secret") };
  const to = of("to").split(/[\s,;]+/).filter(Boolean);
  const login = Object.fromEntries(["user", "password"].flatMap((name) => (of(name) === "" ? [] : [[name, of(name)]])));
  return { host: of("host"), port: Number(of("port")), security: of("security"), sender: of("sender"), to, ...login };
}

function AddressFields({ kind }: { kind: "teams" | "webhook" }) {
  return (
    <>
      <label class="field">
        {noteWord("address")}
        <input name="url" type="url" required autocomplete="off" maxLength={2000} placeholder="https://" />
      </label>
      {kind === "webhook" && (
        <label class="field">
          {noteWord("secret")}
          <input name="secret" type="password" required autocomplete="new-password" minLength={16} maxLength={200} />
        </label>
      )}
    </>
  );
}

function MailFields({ channel }: { channel: Channel | null }) {
  return (
    <>
      <label class="field">
        {noteWord("host")}
        <input name="host" required autocomplete="off" maxLength={253} defaultValue={channel?.host ?? ""} />
      </label>
      <div class="side-by-side">
        <label class="field">
          {noteWord("port")}
          <input name="port" type="number" required min={1} max={65_535} defaultValue={String(channel?.port ?? MAIL_PORT)} />
        </label>
        <label class="field">
          {noteWord("security")}
          <select name="security">
            {SECURITY.map((one) => (
              <option key={one} value={one} selected={one === (channel?.security ?? "starttls")}>
                {noteWord(one)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="side-by-side">
        <label class="field">
          {noteWord("user")}
          <input name="user" autocomplete="off" maxLength={320} defaultValue={channel?.user ?? ""} />
        </label>
        <label class="field">
          {noteWord("password")}
          <input name="password" type="password" autocomplete="new-password" maxLength={1024} />
        </label>
      </div>
      <label class="field">
        {noteWord("sender")}
        <input name="sender" type="email" required autocomplete="off" maxLength={320} defaultValue={channel?.sender ?? ""} />
      </label>
      <label class="field">
        {noteWord("recipients")}
        <textarea name="to" required rows={3} defaultValue={(channel?.to ?? []).join("\n")} />
      </label>
    </>
  );
}
