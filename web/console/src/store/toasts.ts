// Short sentences that come and go: what a command did, that the line is back.
import { signal } from "@preact/signals";

const STAY_MS = { news: 5_000, problem: 12_000 };

export interface Toast {
  id: number;
  text: string;
  kind: keyof typeof STAY_MS;
}

export const toasts = signal<readonly Toast[]>([]);
let newest = 0;

export function say(text: string, kind: Toast["kind"] = "news"): void {
  const id = ++newest;
  toasts.value = [...toasts.value, { id, text, kind }];
  window.setTimeout(() => dismiss(id), STAY_MS[kind]);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
