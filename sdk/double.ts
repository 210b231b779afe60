/**
 * For tests: a platform whose time moves only when nothing else can happen, and a server behind an injected fetch that
 * fails as it is told to. No test that uses it waits, and each failure replays.
 */
import { Tollgate, type TollgateOptions } from "./index";
import type { Runtime } from "./runtime";

/** One HTTP request as the server saw it. */
export interface Seen {
  method: string;
  /** Path and query. */
  path: string;
  headers: Headers;
  body: string;
}

export type Reply = { status: number; body?: unknown; headers?: Record<string, string> };
/** A reply; "no-answer": the connection breaks; "hang": it never answers. */
export type Outcome = Reply | "no-answer" | "hang";

export interface Double {
  tg: Tollgate;
  seen: Seen[];
  nowMs: () => number;
  /** Lets virtual time pass until `promise` settles. */
  settle: <T>(promise: Promise<T>) => Promise<T>;
}

export const problem = (
  status: number,
  code: string | null,
  extra: object = {},
  headers: Record<string, string> = {},
): Reply => ({
  status,
  body: {
    type: code === null ? "about:blank" : `https://tollgate.dev/problems/${code}`,
    title: `problem ${status}`,
    status,
    detail: `detail of ${code ?? status}`,
    instance: "urn:request:req_1",
    ...extra,
  },
  headers: { "content-type": "application/problem+json", ...headers },
});

/** A client against `serve`, which decides each request; `attempt` counts requests from 1. */
export function double(
  serve: (request: Seen, attempt: number) => Outcome | Promise<Outcome>,
  options: Partial<TollgateOptions> = {},
): Double {
  let nowMs = Date.UTC(2026, 0, 1);
  let ids = 0;
  const timers = new Set<{ atMs: number; run: () => void }>();
  const seen: Seen[] = [];

  const runtime: Partial<Runtime> = {
    now: () => nowMs,
    after: (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    random: () => 0.5,
    newId: () => `id-${++ids}`,
  };

  const fetch: Runtime["fetch"] = async (url, init) => {
    const { pathname, search } = new URL(url);
    const body = typeof init.body === "string" ? init.body : "";
    const request = { method: init.method ?? "GET", path: pathname + search, headers: new Headers(init.headers), body };
    seen.push(request);
    const outcome = await serve(request, seen.length);
    if (outcome === "no-answer") throw new TypeError("fetch failed");
    if (outcome === "hang") {
      return new Promise((_, reject) => {
        if (init.signal?.aborted) reject(new Error("aborted"));
        init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    }
    const text =
      outcome.body === undefined
        ? null
        : typeof outcome.body === "string"
          ? outcome.body
          : JSON.stringify(outcome.body);
    return new Response(text, { status: outcome.status, headers: outcome.headers ?? {} });
  };

  async function settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    for (;;) {
      // A macrotask lets every promise that can move, move; only then may time pass.
      await new Promise((resolve) => setImmediate(resolve));
      if (settled) return promise;
      const next = [...timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) throw new Error("nothing left to happen, and the promise is still pending");
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      next.run();
    }
  }

  const tg = new Tollgate({ apiKey: "tg_test", fetch, ...options, runtime: { ...runtime, ...options.runtime } });
  return { tg, seen, nowMs: () => nowMs, settle };
}
