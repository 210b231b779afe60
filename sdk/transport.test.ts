import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { double, problem, type Outcome, type Reply, type Seen } from "./double";
import { NetworkError, OverloadedError, RateLimitedError, TollgateError } from "./errors";

const wallet = {
  customerId: "c1",
  userId: "u1",
  balance: "1",
  held: "0",
  available: "1",
  overdraftLimit: "0",
  currency: "CREDITS",
  status: "ACTIVE",
  unrated: 0,
  burnTable: null,
  lastTransaction: null,
};
const tracked = (id: string): Reply => ({ status: 200, body: { eventId: id, duplicate: false, cost: null, wallet } });
const grant: Reply = { status: 201, body: { id: "g1", amount: "5" } };

/** What makes two requests the same operation to the server. */
const identity = ({ method, path, headers, body }: Seen) =>
  JSON.stringify([method, path, headers.get("idempotency-key"), body]);

type Fault = "lost-request" | "lost-answer" | "hang" | 408 | 429 | 500 | 502 | 503;
const faults = fc.array(fc.constantFrom<Fault>("lost-request", "lost-answer", "hang", 408, 429, 500, 502, 503), {
  maxLength: 8,
});

describe("a call whose attempts fail in any way", () => {
  it("is the same operation at every attempt, and happens at most once; exactly once when it resolves", async () => {
    const calls = [
      {
        name: "track",
        run: (d: ReturnType<typeof double>) => d.tg.track({ userId: "u1", feature: "f", usage: { n: 1 } }),
      },
      {
        name: "ingest",
        run: (d: ReturnType<typeof double>) =>
          d.tg.events.ingest([
            { type: "t", subject: "u1" },
            { type: "t", subject: "u2" },
          ]),
      },
      { name: "grant", run: (d: ReturnType<typeof double>) => d.tg.wallets.grant("u1", { amount: 5, kind: "paid" }) },
      {
        name: "table",
        run: (d: ReturnType<typeof double>) => d.tg.burnTables.create({ key: "k", currency: "USD", rules: [] }),
      },
      { name: "key", run: (d: ReturnType<typeof double>) => d.tg.apiKeys.create({ name: "n", scopes: ["read"] }) },
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...calls),
        faults,
        fc.integer({ min: 1, max: 6 }),
        async (call, plan, attemptsMax) => {
          const done = new Set<string>();
          const d = double(
            (request, attempt): Outcome => {
              const fault = plan[attempt - 1];
              if (typeof fault === "number") return problem(fault, null);
              if (fault === "lost-request") return "no-answer";
              done.add(identity(request));
              if (fault === "lost-answer") return "no-answer";
              if (fault === "hang") return "hang";
              return call.name === "track" ? tracked("e") : call.name === "ingest" ? { status: 204 } : grant;
            },
            { retry: { attemptsMax } },
          );
          const startedMs = d.nowMs();
          const resolved = await d.settle<unknown>(call.run(d)).then(
            () => true,
            (error: unknown) => {
              expect(error).toBeInstanceOf(TollgateError);
              return false;
            },
          );
          expect(new Set(d.seen.map(identity)).size).toBe(1);
          expect(done.size).toBeLessThanOrEqual(1);
          expect(done.size).toBeGreaterThanOrEqual(resolved ? 1 : 0);
          expect(d.seen.length).toBeLessThanOrEqual(attemptsMax);
          expect(d.nowMs() - startedMs).toBeLessThanOrEqual(30_000);
          // It gives up only for a reason: its attempts or its time are used up.
          const hangs = plan.filter((fault) => fault === "hang").length;
          expect(!resolved && d.seen.length < attemptsMax && hangs < 2).toBe(false);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("has an identity of its own: two calls are never the same operation", async () => {
    const d = double(() => grant);
    await d.tg.wallets.grant("u1", { amount: 5, kind: "paid" });
    await d.tg.wallets.grant("u1", { amount: 5, kind: "paid" });
    expect(new Set(d.seen.map(identity)).size).toBe(2);
  });

  it("keeps the caller's own key and id", async () => {
    const d = double(() => grant);
    await d.tg.burnTables.create({ key: "k", currency: "USD", rules: [] }, { idempotencyKey: "mine" });
    await d.tg.wallets.grant("u1", { id: "order-1", amount: 5, kind: "paid" });
    await d.tg.wallets.voidGrant("u1", "g1", { idempotencyKey: "mine too" });
    expect(d.seen[0]?.headers.get("idempotency-key")).toBe("mine");
    expect(d.seen[2]?.headers.get("idempotency-key")).toBe("mine too");
    expect(d.seen[1]?.headers.get("idempotency-key")).toBeNull();
    expect(JSON.parse(d.seen[1]?.body ?? "")).toEqual({ id: "order-1", amount: 5, kind: "paid" });
  });
});

describe("retries", () => {
  it("stop at overload: one attempt, and a typed error with the wait that the server asked for", async () => {
    const d = double(() => problem(503, "overloaded", {}, { "retry-after": "2" }));
    const error = await d.settle(d.tg.track({ userId: "u1", feature: "f", usage: { n: 1 } })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OverloadedError);
    expect((error as OverloadedError).retryAfterMs).toBe(2_000);
    expect(d.seen).toHaveLength(1);
  });

  it("wait as long as Retry-After says", async () => {
    const d = double((_, attempt) => (attempt === 1 ? problem(429, null, {}, { "retry-after": "7" }) : tracked("e")));
    const startedMs = d.nowMs();
    await d.settle(d.tg.track({ userId: "u1", feature: "f", usage: { n: 1 } }));
    expect(d.nowMs() - startedMs).toBeGreaterThanOrEqual(7_000);
    expect(d.seen).toHaveLength(2);
  });

  it("do not begin a wait that would outlast the call's time", async () => {
    const d = double(() => problem(429, null, {}, { "retry-after": "3600" }));
    const startedMs = d.nowMs();
    await expect(d.settle(d.tg.status())).rejects.toBeInstanceOf(RateLimitedError);
    expect(d.nowMs()).toBe(startedMs);
  });

  it("turn a server that never answers into a NetworkError, in bounded time", async () => {
    const d = double(() => "hang", { timeoutMs: 4_000, retry: { totalMs: 10_000 } });
    const startedMs = d.nowMs();
    const error = await d.settle(d.tg.status()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NetworkError);
    expect((error as NetworkError).detail).toMatch(/did not answer within/);
    expect(d.nowMs() - startedMs).toBe(10_000);
    expect(d.seen).toHaveLength(3);
  });

  it("take a repeated DELETE's 404 for the success of the attempt before it, and a first one's for what it is", async () => {
    const d = double((_, attempt) => (attempt === 1 ? "no-answer" : problem(404, null)));
    await expect(d.settle(d.tg.apiKeys.revoke("k1"))).resolves.toBeUndefined();
    await expect(d.settle(double(() => problem(404, null)).tg.apiKeys.revoke("k1"))).rejects.toThrow(/detail of 404/);
  });
});

describe("an abort by the caller", () => {
  it("ends a call under way with the signal's own reason, and nothing is sent again", async () => {
    const d = double(() => "hang");
    const controller = new AbortController();
    const call = d.tg.status({ signal: controller.signal });
    controller.abort(new Error("user left"));
    await expect(call).rejects.toThrow("user left");
    expect(d.seen).toHaveLength(1);
  });

  it("ends the wait between two attempts at once", async () => {
    const d = double(() => problem(429, null, {}, { "retry-after": "9" }));
    const controller = new AbortController();
    const call = d.tg.status({ signal: controller.signal });
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort(new Error("user left"));
    await expect(call).rejects.toThrow("user left");
    expect(d.seen).toHaveLength(1);
  });

  it("before the call sends nothing", async () => {
    const d = double(() => ({ status: 200 }));
    await expect(d.tg.status({ signal: AbortSignal.abort(new Error("too late")) })).rejects.toThrow("too late");
    expect(d.seen).toHaveLength(0);
  });
});

describe("addresses", () => {
  it("carry any name as one segment", async () => {
    const d = double(() => ({ status: 200, body: wallet }));
    for (const name of ["a/b", "a?b=c", "ü#%2F", "../x", " "]) await d.tg.wallets.get(name);
    for (const { path } of d.seen) expect(path).toMatch(/^\/api\/v1\/wallets\/[^/?#]+$/);
    expect(d.seen.map(({ path }) => decodeURIComponent(path.slice("/api/v1/wallets/".length)))).toEqual([
      "a/b",
      "a?b=c",
      "ü#%2F",
      "../x",
      " ",
    ]);
  });

  it("refuse the names that a URL parser would resolve to another resource", async () => {
    const d = double(() => ({ status: 200, body: wallet }));
    for (const name of ["", ".", ".."]) await expect(d.tg.wallets.get(name)).rejects.toThrow(/cannot be addressed/);
    expect(d.seen).toHaveLength(0);
  });

  it("join a base URL with or without a slash at its end", async () => {
    const urls: string[] = [];
    const fetch = (url: string) => {
      urls.push(url);
      return Promise.resolve(new Response("{}"));
    };
    for (const baseUrl of ["https://meter.example", "https://meter.example/", "https://example.com/tollgate//"]) {
      await double(() => "hang", { baseUrl, fetch }).tg.status();
    }
    expect(urls).toEqual([
      "https://meter.example/api/v1/status",
      "https://meter.example/api/v1/status",
      "https://example.com/tollgate/api/v1/status",
    ]);
  });
});

describe("an answer that is not Tollgate's", () => {
  it("is an error that asks whether baseUrl is right, when it claims success", async () => {
    const d = double(() => ({ status: 200, body: "<html>hello</html>" }));
    await expect(d.tg.status()).rejects.toThrow(/is baseUrl a Tollgate server/);
  });

  it("is an error with its status, when it is a proxy's page", async () => {
    const d = double(() => ({ status: 502, body: "<html>bad gateway</html>" }), { retry: { attemptsMax: 1 } });
    const error = await d.tg.status().catch((e: unknown) => e);
    expect(error).toMatchObject({ status: 502, code: "http-502", type: "about:blank" });
  });
});

it("a client that is logged shows no key", () => {
  const { tg } = double(() => "hang", { apiKey: "tg_secret" });
  expect(inspect(tg, { depth: 9, showHidden: true })).not.toContain("tg_secret");
  expect(JSON.stringify(tg)).not.toContain("tg_secret");
});
