// Sound, look, language, keys, and the way out.
import { t, choose, language, LANGUAGES, type Language, type Word } from "../i18n";
import { signOut, user } from "../session";
import { isBlocked } from "../sound";
import { sound, theme, type Theme } from "../store/preferences";
import { isHelpOpen } from "./Help";

const THEMES: Record<Theme, Word> = { system: "themeSystem", light: "themeLight", dark: "themeDark" };

export function toggleSound(): void {
  sound.value = sound.value === "on" ? "muted" : "on";
}

export function Settings() {
  const isMuted = sound.value === "muted";
  const said = isMuted ? t("soundMuted") : isBlocked.value ? t("soundBlocked") : t("soundOn");
  return (
    <div class="settings">
      <button type="button" class={`sound ${isMuted || isBlocked.value ? "is-off" : ""}`} aria-pressed={!isMuted} aria-label={said} onClick={toggleSound}>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M3 7.5h3L10.5 4v12L6 12.5H3z" />
          <path d={isMuted ? "m13 7.5 5 5m0-5-5 5" : "M13 7.5a4 4 0 0 1 0 5m2-7.5a7 7 0 0 1 0 10"} />
        </svg>
        <span>{said}</span>
      </button>
      <details>
        <summary aria-label={user.value?.username ?? ""}>
          <span class="person">{(user.value?.username ?? "?").slice(0, 1).toUpperCase()}</span>
        </summary>
        <div class="menu">
          <p>
            <b>{user.value?.username}</b> <small>{user.value?.role}</small>
          </p>
          <label>
            {t("theme")}
            <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
              {Object.entries(THEMES).map(([name, word]) => (
                <option key={name} value={name}>
                  {t(word)}
                </option>
              ))}
            </select>
          </label>
          <LanguageChoice />
          <button type="button" onClick={() => (isHelpOpen.value = true)}>
            {t("keys")} <kbd>?</kbd>
          </button>
          <button type="button" onClick={() => void signOut()}>
            {t("signOut")}
          </button>
        </div>
      </details>
    </div>
  );
}

export function LanguageChoice() {
  return (
    <label>
      {t("language")}
      <select value={language.value} onChange={(event) => choose(event.currentTarget.value as Language)}>
        {Object.entries(LANGUAGES).map(([name, own]) => (
          <option key={name} value={name} lang={name}>
            {own}
          </option>
        ))}
      </select>
    </label>
  );
}
