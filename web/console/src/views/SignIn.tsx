import { useState } from "preact/hooks";
import { LanguageChoice } from "../components/Settings";
import { t } from "../i18n";
import { beginSingleSignOn, hasSingleSignOn, signIn, SignInRefused } from "../session";

function sentence(error: unknown): string {
  if (!(error instanceof SignInRefused)) return t("unreachable");
  return error.status === 401 ? t("signInWrong") : error.status === 429 ? t("signInLater") : error.message;
}

export function SignIn() {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      await signIn(String(fields.get("username")), String(fields.get("password")));
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void send(event)}>
        <h1>
          <img src="/static/favicon.svg" alt="" width="36" height="36" /> GasInSight
        </h1>
        <label class="field">
          {t("userName")}
          <input name="username" autocomplete="username" required autofocus />
        </label>
        <label class="field">
          {t("password")}
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="primary" disabled={isBusy}>
          {t("signIn")}
        </button>
        {hasSingleSignOn && (
          <button type="button" onClick={() => void beginSingleSignOn()}>
            {t("singleSignOn")}
          </button>
        )}
        <LanguageChoice />
      </form>
    </main>
  );
}
