// Who is signed in. Tokens live in sessionStorage: each tab has its own, and they end with it.
import { signal } from "@preact/signals";
import type { TokenPair, User } from "./api/types";

const KEY = "gasinsight.tokens";
const VERIFIER = "gasinsight.verifier";

type Tokens = Pick<TokenPair, "access_token" | "refresh_token">;

export class SignInRefused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

function stored(): Tokens | null {
  const text = sessionStorage.getItem(KEY);
  return text === null ? null : (JSON.parse(text) as Tokens);
}

export const tokens = signal<Tokens | null>(stored());
export const user = signal<User | null>(null);
export const hasSingleSignOn = document.documentElement.dataset.singleSignOn === "yes";

function keep(pair: Tokens | null): void {
  if (pair === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify({ access_token: pair.access_token, refresh_token: pair.refresh_token }));
  tokens.value = pair;
}

async function pairFrom(path: string, init: RequestInit): Promise<Tokens> {
  const answer = await fetch(path, { method: "POST", ...init });
  if (!answer.ok) {
    const body = (await answer.json().catch(() => ({}))) as { detail?: unknown };
    throw new SignInRefused(answer.status, typeof body.detail === "string" ? body.detail : answer.statusText);
  }
  return (await answer.json()) as Tokens;
}

export async function signIn(username: string, password: string): Promise<void> {
  keep(await pairFrom("/auth/token", { body: new URLSearchParams({ username, password }) }));
}

export async function signOut(): Promise<void> {
  const held = tokens.value;
  keep(null);
  user.value = null;
  if (held !== null) {
    const headers = { Authorization: `Bearer ${held.access_token}` };
    await fetch("/auth/logout", { method: "POST", headers }).catch(() => undefined); // away: it ends by itself
  }
}

let refreshing: Promise<void> | null = null;

/** A new pair for the old one; whoever asks meanwhile gets the same. Rejects where the server is away. */
export function refresh(): Promise<void> {
  refreshing ??= refreshOnce().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function refreshOnce(): Promise<void> {
  const held = tokens.value;
  if (held === null) return;
  try {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ refresh_token: held.refresh_token });
    keep(await pairFrom("/auth/refresh-token", { headers, body }));
  } catch (error) {
    if (error instanceof SignInRefused && error.status === 401) keep(null);
    throw error;
  }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Away to the provider; it comes back with `#code=`. */
export async function beginSingleSignOn(): Promise<void> {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  sessionStorage.setItem(VERIFIER, verifier);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  location.assign(`/auth/oidc/login?code_challenge=${base64url(new Uint8Array(digest))}`);
}

export async function endSingleSignOn(): Promise<void> {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1];
  const verifier = sessionStorage.getItem(VERIFIER);
  if (code === undefined || verifier === null) return;
  sessionStorage.removeItem(VERIFIER);
  history.replaceState(null, "", "#/");
  const body = JSON.stringify({ code: decodeURIComponent(code), code_verifier: verifier });
  keep(await pairFrom("/auth/oidc/token", { headers: { "Content-Type": "application/json" }, body }));
}
