// The hour, for ages on the screen.
import { signal } from "@preact/signals";

export const now = signal(Date.now());
window.setInterval(() => {
  now.value = Date.now();
}, 1000);
