import { dismiss, toasts } from "../store/toasts";
import { t } from "../i18n";

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <p key={toast.id} class={`toast is-${toast.kind}`}>
          {toast.text}
          <button type="button" class="quiet" aria-label={t("close")} onClick={() => dismiss(toast.id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
