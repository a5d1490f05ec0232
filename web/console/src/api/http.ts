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

async function answered(path: string, init: RequestInit): Promise<Response> {
  let answer = await send(path, init);
  if (answer.status === 401 && tokens.value !== null) {
    await refresh();
    answer = await send(path, init);
  }
  if (!answer.ok) throw new Refused(answer.status, await sentence(answer));
  return answer;
}

async function asked<T>(path: string, init: RequestInit): Promise<T> {
  return (await (await answered(path, init)).json()) as T;
}

async function sentence(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => ({}))) as { detail?: string | { msg: string }[] };
  if (Array.isArray(body.detail)) return body.detail.map((problem) => problem.msg).join("; ");
  return body.detail ?? answer.statusText;
}

export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** A list stands for the same name several times. */
export type Query = Record<string, string | number | readonly string[]>;

export function withQuery(address: string, query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (typeof value === "object" ? value : [String(value)]).map((one) => [name, one]),
  );
  const separator = address.includes("?") ? "&" : "?";
  return pairs.length === 0 ? address : `${address}${separator}${new URLSearchParams(pairs).toString()}`;
}

export function get<T>(address: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return asked<T>(withQuery(address, query), signal === undefined ? {} : { signal });
}

/** The same address as a file of this kind. */
export async function getFile(address: string, accept: string): Promise<Blob> {
  return (await answered(address, { headers: { Accept: accept } })).blob();
}

function sent<T>(method: string, address: string, body: unknown): Promise<T> {
  return asked<T>(address, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export function post<T>(address: string, body: unknown): Promise<T> {
  return sent("POST", address, body);
}

export function put<T>(address: string, body: unknown): Promise<T> {
  return sent("PUT", address, body);
}

export function remove<T>(address: string): Promise<T> {
  return asked<T>(address, { method: "DELETE" });
}

export function commandAlarm(facilityId: string, command: NewAlarmCommand): Promise<AlarmCommandState> {
  return post(path("alarm-commands", facilityId), command);
}
