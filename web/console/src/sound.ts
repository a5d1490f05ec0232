// Alarm tones by priority until somebody acknowledges: higher and closer together the more it matters.
import { computed, effect, signal } from "@preact/signals";
import { rank } from "./api/types";
import { present } from "./store/alarms";
import { sound } from "./store/preferences";

interface Tone {
  hertz: number[];
  everyMs: number;
}

const TONES: Tone[] = [
  { hertz: [988, 740, 988, 740], everyMs: 2_000 },
  { hertz: [784, 659], everyMs: 4_000 },
  { hertz: [587], everyMs: 10_000 },
  { hertz: [440], everyMs: 30_000 },
];
const BEEP_S = 0.16;
const LOUDNESS = 0.12;

/** Rank of the worst alarm that nobody has acknowledged; null: there is none. */
export const calling = computed(() => {
  let worst: number | null = null;
  for (const alarm of present.value.values()) {
    if (alarm.state !== "unacknowledged") continue;
    const own = rank(alarm.priority);
    if (worst === null || own < worst) worst = own;
  }
  return worst;
});

export const isBlocked = signal(false);
let context: AudioContext | null = null;

/** Browsers let a page sound only after somebody touched it. */
function unblock(): void {
  context ??= new AudioContext();
  void context.resume().then(() => {
    isBlocked.value = false;
  });
}

function play(tone: Tone): void {
  if (context === null || context.state !== "running") {
    isBlocked.value = true;
    return;
  }
  tone.hertz.forEach((hertz, place) => beep(context as AudioContext, hertz, place * BEEP_S * 1.25));
}

function beep(on: AudioContext, hertz: number, afterS: number): void {
  const start = on.currentTime + afterS;
  const oscillator = new OscillatorNode(on, { frequency: hertz, type: "triangle" });
  const gain = new GainNode(on, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(LOUDNESS, start + 0.01);
  gain.gain.linearRampToValueAtTime(0, start + BEEP_S);
  oscillator.connect(gain).connect(on.destination);
  oscillator.start(start);
  oscillator.stop(start + BEEP_S);
}

export function soundAlarms(): void {
  window.addEventListener("pointerdown", unblock);
  window.addEventListener("keydown", unblock);
  effect(() => {
    const tone = calling.value === null || sound.value === "muted" ? undefined : TONES[calling.value];
    if (tone === undefined) return;
    play(tone);
    const timer = window.setInterval(() => play(tone), tone.everyMs);
    return () => window.clearInterval(timer);
  });
}
