import { describe, expect, it } from "vitest";
import { double, type Outcome, type Seen } from "./double";
import { InvalidInputError, Tollgate } from "./index";

const wire = {
  customerId: "01JC",
  userId: "user_123",
  balance: "450.250000000001",
  held: "0.1",
  available: "450.150000000001",
  overdraftLimit: "0",
  currency: "CREDITS",
  status: "ACTIVE",
  unrated: 0,
  burnTable: null,
  lastTransaction: { amount: "-1.50", reason: "gpt-4-completion", timestamp: "2026-01-01T00:00:00.000Z" },
};
const cost = { amount: "1.50", currency: "CREDITS", lines: [], burnTable: { key: "t", version: 1 } };
const tracked: Outcome = { status: 200, body: { eventId: "e", duplicate: false, cost, wallet: wire } };
const json = (seen: Seen | undefined): unknown => JSON.parse(seen?.body ?? "null");

describe("the first lines a newcomer writes", () => {
  it("run unchanged, and answer in the promised shape", async () => {
    const [inputTokens, outputTokens] = [1_200, 300];
    const { tg, seen } = double(({ method }) => (method === "GET" ? { status: 200, body: wire } : tracked));
    await tg.track({ userId: "user_123", feature: "gpt-4-completion", usage: { inputTokens, outputTokens } });
    const wallet = await tg.wallets.get("user_123");
    expect(wallet).toMatchObject({
      userId: "user_123",
      balance: 450.250000000001,
      currency: "CREDITS",
      status: "ACTIVE",
      lastTransaction: { amount: -1.5, reason: "gpt-4-completion", timestamp: "2026-01-01T00:00:00.000Z" },
    });
    expect(seen[0]).toMatchObject({ method: "POST", path: "/api/v1/track" });
    expect(seen[0]?.headers.get("authorization")).toBe("Bearer tg_test");
    expect(json(seen[0])).toEqual({
      customer: "user_123",
      feature: "gpt-4-completion",
      usage: { inputTokens: 1_200, outputTokens: 300 },
      id: "id-1",
      source: "@tollgate/sdk",
    });
  });

  it("keep the exact text of every display number at the same path below `exact`", async () => {
    const { tg } = double(() => ({ status: 200, body: wire }));
    const { exact } = await tg.wallets.get("user_123");
    expect(exact).toEqual({
      balance: "450.250000000001",
      held: "0.1",
      available: "450.150000000001",
      overdraftLimit: "0",
      lastTransaction: { amount: "-1.50" },
    });
    const fresh = double(() => ({ status: 200, body: { ...wire, lastTransaction: null } })).tg;
    expect((await fresh.wallets.get("x")).lastTransaction).toBeNull();
  });
});

describe("track and consume", () => {
  it("send quantities digit by digit, however they are given", async () => {
    const { tg, seen } = double(() => tracked);
    const usage = { a: 2n ** 53n + 1n, b: "0.000000000001", c: 0.1, d: 10 ** 26 + "" };
    await tg.track({ customer: "u", feature: "f", usage });
    expect(seen[0]?.body).toContain('"usage":{"a":9007199254740993,"b":"0.000000000001","c":0.1,"d":"1e+26"}');
  });

  it("refuse a quantity that cannot be sent exactly, before anything is sent", async () => {
    const { tg, seen } = double(() => tracked);
    for (const n of [Number.NaN, Infinity, 2 ** 53]) {
      await expect(tg.track({ userId: "u", feature: "f", usage: { n } })).rejects.toBeInstanceOf(InvalidInputError);
    }
    expect(seen).toHaveLength(0);
  });

  it("take userId and customer for one field, and refuse two different ones or none", async () => {
    const { tg, seen } = double(() => tracked);
    await tg.track({ userId: "u", feature: "f", usage: { n: 1 } });
    await tg.track({ customer: "u", feature: "f", usage: { n: 1 } });
    expect(seen.map((one) => (json(one) as { customer: string }).customer)).toEqual(["u", "u"]);
    const both = { userId: "u", customer: "v", feature: "f", usage: { n: 1 } } as never;
    await expect(tg.track(both)).rejects.toThrow(/two names of one field/);
    await expect(tg.track({ feature: "f", usage: { n: 1 } } as never)).rejects.toThrow(/whose usage/);
  });

  it("keep the caller's id, source and time, and pass on what they do not know", async () => {
    const { tg, seen } = double(() => tracked);
    const input = { userId: "u", feature: "f", usage: { n: 1 }, id: "req-9", source: "gateway", time: new Date(0) };
    await tg.track({ ...input, ofTomorrow: 1 } as never);
    expect(json(seen[0])).toMatchObject({
      id: "req-9",
      source: "gateway",
      time: "1970-01-01T00:00:00.000Z",
      ofTomorrow: 1,
    });
  });

  it("take the caller's idempotency key for the event's id, so that the key and the id cannot disagree", async () => {
    const { tg, seen } = double(() => tracked);
    await tg.track({ userId: "u", feature: "f", usage: { n: 1 } }, { idempotencyKey: "req-9" });
    expect(json(seen[0])).toMatchObject({ id: "req-9" });
    expect(seen[0]?.headers.has("idempotency-key")).toBe(false);
  });

  it("differ by enforce alone", async () => {
    const { tg, seen } = double(() => tracked);
    const input = { userId: "u", feature: "f", usage: { n: 1 }, id: "e" };
    await tg.track(input);
    const result = await tg.consume(input);
    expect(json(seen[1])).toEqual({ ...(json(seen[0]) as object), enforce: true });
    expect(result).toMatchObject({
      eventId: "e",
      duplicate: false,
      cost: { amount: "1.50" },
      wallet: { balance: 450.250000000001 },
    });
  });
});

it("check and quote ask by customer or userId, and quote also by nobody", async () => {
  const { tg, seen } = double(({ path }) => ({
    status: 200,
    body: path.endsWith("quote") ? cost : { allowed: false, reason: "insufficient-credits", cost, wallet: wire },
  }));
  const answer = await tg.check({ userId: "u", feature: "f", usage: { n: "1" } });
  expect(answer).toMatchObject({
    allowed: false,
    reason: "insufficient-credits",
    wallet: { exact: { balance: "450.250000000001" } },
  });
  expect(await tg.quote({ feature: "f", usage: { n: 1 }, time: new Date(0) })).toEqual(cost);
  await tg.quote({ feature: "f", usage: { n: 1 }, userId: "u" });
  expect(seen.map(json)).toEqual([
    { customer: "u", feature: "f", usage: { n: "1" } },
    { feature: "f", usage: { n: 1 }, time: "1970-01-01T00:00:00.000Z" },
    { customer: "u", feature: "f", usage: { n: 1 } },
  ]);
  expect(seen.every(({ headers }) => !headers.has("idempotency-key"))).toBe(true);
});

it("events are completed, and sent as a CloudEvents batch, one or many", async () => {
  const { tg, seen } = double(() => ({ status: 204 }));
  await tg.events.ingest({ type: "t", subject: "u", data: { n: 1n }, time: new Date(0), traceparent: "00-1" });
  await tg.events.ingest([
    { type: "t", subject: "u", id: "mine", source: "s" },
    { type: "t", subject: "v" },
  ]);
  await tg.events.ingest([]);
  expect(seen).toHaveLength(2);
  expect(seen[0]?.headers.get("content-type")).toBe("application/cloudevents-batch+json");
  expect(json(seen[0])).toEqual([
    {
      type: "t",
      subject: "u",
      data: { n: 1 },
      time: "1970-01-01T00:00:00.000Z",
      traceparent: "00-1",
      id: "id-1",
      source: "@tollgate/sdk",
      specversion: "1.0",
    },
  ]);
  expect(json(seen[1])).toEqual([
    { type: "t", subject: "u", id: "mine", source: "s", specversion: "1.0" },
    { type: "t", subject: "v", id: "id-2", source: "@tollgate/sdk", specversion: "1.0" },
  ]);
});

it("each method asks its own route, and only POSTs without an id of their own carry a key", async () => {
  const { tg, seen } = double(({ path }) => ({ status: 200, body: path.includes("wallets") ? wire : {} }));
  await tg.wallets.update("u", { overdraftLimit: 5n, burnTable: null });
  await tg.wallets.grant("u", { id: "g", amount: "100", kind: "paid", expiresAt: new Date(0) });
  await tg.wallets.voidGrant("u", "g/1");
  await tg.wallets.verify("u");
  await tg.burnTables.get("k");
  await tg.apiKeys.rotate("k1", { overlap: "PT1H" });
  await tg.apiKeys.revoke("k1");
  await tg.namespaces.create({ key: "acme", kind: "sandbox" });
  await tg.namespaces.close("acme");
  await tg.clock.get();
  await tg.clock.set(new Date(0));
  await tg.events.rate({ userId: "u", from: new Date(0) });
  await tg.deadLetters.replay("d1");
  await tg.status();
  expect(seen.map(({ method, path, body, headers }) => [method, path, body, headers.has("idempotency-key")])).toEqual([
    ["PATCH", "/api/v1/wallets/u", '{"overdraftLimit":5,"burnTable":null}', false],
    [
      "POST",
      "/api/v1/wallets/u/grants",
      '{"id":"g","amount":"100","kind":"paid","expiresAt":"1970-01-01T00:00:00.000Z"}',
      false,
    ],
    ["POST", "/api/v1/wallets/u/grants/g%2F1/void", "", true],
    ["GET", "/api/v1/wallets/u/transactions/verify", "", false],
    ["GET", "/api/v1/burn-tables/k", "", false],
    ["POST", "/api/v1/api-keys/k1/rotate", '{"overlap":"PT1H"}', true],
    ["DELETE", "/api/v1/api-keys/k1", "", false],
    ["POST", "/api/v1/namespaces", '{"key":"acme","kind":"sandbox"}', true],
    ["DELETE", "/api/v1/namespaces/acme", "", false],
    ["GET", "/api/v1/clock", "", false],
    ["PUT", "/api/v1/clock", '{"now":"1970-01-01T00:00:00.000Z"}', false],
    ["POST", "/api/v1/events/rate", '{"customer":"u","from":"1970-01-01T00:00:00.000Z"}', true],
    ["POST", "/api/v1/dead-letters/d1/replay", "", true],
    ["GET", "/api/v1/status", "", false],
  ]);
});

describe("a list", () => {
  const serve = ({ path }: Seen): Outcome => {
    const cursor = new URL(path, "http://x").searchParams.get("cursor") ?? "0";
    const items = [{ id: `${cursor}a` }, { id: `${cursor}b` }];
    return { status: 200, body: cursor === "2" ? { items } : { items, nextCursor: String(Number(cursor) + 1) } };
  };

  it("goes on through all its pages", async () => {
    const { tg, seen } = double(serve);
    const ids: string[] = [];
    for await (const { id } of tg.wallets.transactions("u", { limit: 2 })) ids.push(id);
    expect(ids).toEqual(["0a", "0b", "1a", "1b", "2a", "2b"]);
    expect(seen.map(({ path }) => path)).toEqual([
      "/api/v1/wallets/u/transactions?limit=2",
      "/api/v1/wallets/u/transactions?cursor=1&limit=2",
      "/api/v1/wallets/u/transactions?cursor=2&limit=2",
    ]);
  });

  it("reads no page further than it is read", async () => {
    const { tg, seen } = double(serve);
    for await (const { id } of tg.wallets.grants("u")) if (id === "0b") break;
    expect(seen).toHaveLength(1);
    const page = await tg.burnTables.list().page("1");
    expect(page.nextCursor).toBe("2");
  });
});

it("a client without a key or with a base URL that is none says so at once", () => {
  expect(() => new Tollgate({ apiKey: "" })).toThrow(/apiKey is missing/);
  expect(() => new Tollgate({ apiKey: "k", baseUrl: "localhost:8787" })).toThrow(/must start with http/);
});
