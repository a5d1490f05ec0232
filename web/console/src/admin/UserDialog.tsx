// A user, new or changed. An empty password leaves that of a present one as it is.
import { useState } from "preact/hooks";
import { path, post, put } from "../api/http";
import type { NewUser } from "../api/pageTypes";
import type { User } from "../api/types";
import { Dialog } from "../components/Dialog";
import { t } from "../i18n";
import { sentenceOf } from "../store/asked";

interface Props {
  user: User | null;
  close: () => void;
  changed: () => void;
}

export function UserDialog({ user, close, changed }: Props) {
  const [problem, setProblem] = useState("");
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const of = (name: string) => String(fields.get(name) ?? "");
    const role: NewUser["role"] = of("role") === "Admin" ? "Admin" : "User";
    const said = { username: of("username"), email: of("email"), role };
    const password = of("password");
    try {
      if (user === null) await post<User>("/users", { ...said, password });
      else await put<User>(path("users", String(user.id)), password === "" ? said : { ...said, password });
    } catch (error) {
      setProblem(sentenceOf(error));
      return;
    }
    changed();
    close();
  };
  return (
    <Dialog title={user === null ? t("newUser") : user.username} onClose={close}>
      <form class="command-form" onSubmit={(event) => void send(event)}>
        <label class="field">
          {t("accountName")}
          <input name="username" required autofocus autocomplete="off" maxLength={200} defaultValue={user?.username ?? ""} />
        </label>
        <label class="field">
          {t("mailAddress")}
          <input name="email" type="email" required autocomplete="off" maxLength={320} defaultValue={user?.email ?? ""} />
        </label>
        <label class="field">
          {t(user === null ? "password" : "newPassword")}
          <input name="password" type="password" required={user === null} autocomplete="new-password" />
        </label>
        <label class="field">
          {t("role")}
          <select name="role">
            <option value="User">{t("roleUser")}</option>
            <option value="Admin" selected={user?.role === "Admin"}>
              {t("roleAdmin")}
            </option>
          </select>
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
