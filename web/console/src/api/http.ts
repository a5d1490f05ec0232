// REST with the session's token: a 401 refreshes once, every other refusal is a Refused with the server's sentence.
import { refresh, tokens } from "../session";
import type { AlarmCommandState, NewAlarmCommand } from "./types";

export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (tokens.value !== null) headers.set("Authorization", `Bearer ${tokens.value.access_token}`);
  return fetch(path, { ...init, headers });
}

async function asked<T>(path: string, init: RequestInit): Promise<T> {
  let answer = await send(path, init);
  if (answer.status === 401 && tokens.value !== null) {
    await refresh();
    answer = await send(path, init);
  }
  if (!answer.ok) throw new Refused(answer.status, await sentence(answer));
  return (await answer.json()) as T;
}

async function sentence(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => ({}))) as { detail?: string | { msg: string }[] };
  if (Array.isArray(body.detail)) return body.detail.map((problem) => problem.msg).join("; ");
  return body.detail ?? answer.statusText;
}

export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

export function get<T>(address: string, query: Record<string, string | number> = {}, signal?: AbortSignal): Promise<T> {
  const pairs = Object.entries(query).map(([name, value]) => [name, String(value)]);
  const asking = pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
  return asked<T>(`${address}${asking}`, signal === undefined ? {} : { signal });
}

export function post<T>(address: string, body: unknown): Promise<T> {
  return asked<T>(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export function commandAlarm(facilityId: string, command: NewAlarmCommand): Promise<AlarmCommandState> {
  return post(path("alarm-commands", facilityId), command);
}
