/**
 * What the client needs from the platform it runs on: five functions, all of them in every browser, Worker, Deno and
 * Node ≥ 20. Tests pass their own, so that no test waits and every failure replays.
 */
export interface Runtime {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Epoch ms. */
  now: () => number;
  /** Runs `run` after `delayMs` unless the returned function is called first. */
  after: (delayMs: number, run: () => void) => () => void;
  /** In [0, 1). */
  random: () => number;
  /** Unique for ever: ids of events and operations. */
  newId: () => string;
}

export const platform = (): Runtime => ({
  // Looked up at each call, so that a test or an instrumentation that replaces globalThis.fetch is honoured.
  fetch: (url, init) => globalThis.fetch(url, init),
  now: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  newId: () => crypto.randomUUID(),
});
