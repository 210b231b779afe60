import { describe, expect, it } from "vitest";
import { contract } from "../../schema/contract";
import type { Route } from "../../schema/contract/route";
import { ADMIN_KEY, newTenant, someEvent, startWorker } from "../harness";

const DAY_MS = 24 * 60 * 60_000;

it("every POST of the contract says who keeps its Idempotency-Key", () => {
  for (const operations of Object.values(contract)) {
    for (const route of Object.values(operations as Record<string, Route>)) {
      expect(route.idempotency === undefined, `${route.method} ${route.path}`).toBe(route.method !== "POST");
    }
  }
});

/** A POST with one body and, where it has one, another. */
const calls: [path: string, body: unknown, another: unknown][] = [
  ["/api/v1/api-keys", { name: "a", scopes: ["read"] }, { name: "a", scopes: ["write"] }],
  ["/api/v1/burn-tables", { key: "a", currency: "CREDITS", rules: [] }, { key: "b", currency: "CREDITS", rules: [] }],
  ["/api/v1/events", [someEvent({ id: "1" })], [someEvent({ id: "2" })]],
  ["/api/v1/events/rate", {}, { customer: "u" }],
  [
    "/api/v1/track",
    { customer: "u", feature: "f", usage: { tokens: 1 } },
    { customer: "u", feature: "f", usage: { tokens: 2 } },
  ],
  ["/api/v1/customers", { key: "k", name: "a" }, { key: "l", name: "a" }],
  ["/api/v1/subjects", [{ key: "a" }], [{ key: "b" }]],
  ["/api/v1/wallets/u/grants", { amount: 1, kind: "paid" }, { amount: 2, kind: "paid" }],
];

describe.each(calls)("POST %s with an Idempotency-Key", (path, body, another) => {
  it("happens once, answers the same again, and refuses another body", async () => {
    const worker = startWorker();
    const { apiKey: key } = await newTenant(worker);
    const post = (sent: unknown, idempotencyKey = "once") =>
      worker.call("POST", path, { key, body: sent, headers: { "idempotency-key": idempotencyKey } });
    const first = await post(body);
    expect(first.status).toBeLessThan(300);
    const again = await post(body);
    // A track says that it is a repetition; all else is the same to the last byte.
    expect(again).toMatchObject({ status: first.status });
    expect({ ...again.body, duplicate: null }).toEqual({ ...first.body, duplicate: null });
    const other = await post(another);
    expect(other).toMatchObject({ status: 409, body: { type: "https://tollgate.dev/problems/idempotency-conflict" } });
    expect((await post(another, "twice")).status).toBeLessThan(300);
  });
});

describe("a track with an Idempotency-Key", () => {
  const track = { customer: "u", feature: "f", usage: { tokens: 1 } };
  const start = async () => {
    const worker = startWorker();
    const { apiKey } = await newTenant(worker);
    const post = (body: unknown, key?: string) =>
      worker.call("POST", "/api/v1/track", {
        key: apiKey,
        body,
        ...(key !== undefined && { headers: { "idempotency-key": key } }),
      });
    return { worker, post };
  };
  const conflict = { status: 409, body: { type: "https://tollgate.dev/problems/idempotency-conflict" } };

  it("is one request: another customer, source, id or time under the key is a conflict, and nothing of it is recorded", async () => {
    const { worker, post } = await start();
    const first = await post(track, "k");
    expect(first).toMatchObject({ status: 200, body: { duplicate: false } });
    for (const other of [{ customer: "v" }, { source: "s" }, { id: "1" }, { time: "2026-01-01T00:00:00Z" }])
      expect(await post({ ...track, ...other }, "k"), JSON.stringify(other)).toMatchObject(conflict);
    expect((await post(track, "k")).body).toEqual({ ...first.body, duplicate: true });
    expect((await post({ ...track, customer: "v", usage: { tokens: 5 } })).body).toMatchObject({
      wallet: { unrated: 1 },
    });
    expect(worker.reports).toEqual([]);
  });

  it("is another event than the one whose id is the same text", async () => {
    const { post } = await start();
    const named = await post({ ...track, id: "hk3" });
    const keyed = await post(track, "hk3");
    expect([named.body.duplicate, keyed.body.duplicate]).toEqual([false, false]);
    expect(keyed.body).toMatchObject({ wallet: { unrated: 2 } });
    expect((await post({ ...track, source: "s", id: "hk4" })).body).toMatchObject({ duplicate: false });
    expect((await post({ ...track, source: "s" }, "hk4")).body).toMatchObject({ duplicate: false });
  });

  it("leaves its key free when the body is refused", async () => {
    const { post } = await start();
    expect((await post({ ...track, usage: { tokens: -1 } }, "k")).status).toBe(400);
    expect((await post(track, "k")).status).toBe(200);
  });

  it("asks the shared store only when the header is sent", async () => {
    const { worker, post } = await start();
    await post(track);
    const before = worker.queries();
    await post({ ...track, id: "1" });
    expect(worker.queries()).toBe(before);
    await post(track, "k");
    expect(worker.queries()).toBeGreaterThan(before);
  });
});

it("makes one key of two requests at the same time", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker);
  const options = { key, body: { name: "k", scopes: ["read"] }, headers: { "idempotency-key": "race" } };
  const answers = await Promise.all(
    [1, 2, 3, 4].map(() => worker.call<{ id: string; key: string }>("POST", "/api/v1/api-keys", options)),
  );
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  expect(new Set(answers.map(({ body }) => body.key)).size).toBe(1);
  const { items } = (await worker.call<{ items: unknown[] }>("GET", "/api/v1/api-keys", { key })).body;
  expect(items).toHaveLength(2);
});

it("publishes one version of two requests at the same time, and two of two keys", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker, "sandbox");
  const post = (idempotencyKey: string) =>
    worker.call<{ version: number }>("POST", "/api/v1/burn-tables", {
      key,
      body: { key: "t", currency: "CREDITS", rules: [] },
      headers: { "idempotency-key": idempotencyKey },
    });
  const answers = await Promise.all([post("a"), post("b"), post("a"), post("b")]);
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  expect(answers.map(({ body }) => body.version).toSorted()).toEqual([1, 1, 2, 2]);
  expect(
    (await worker.call<{ items: unknown[] }>("GET", "/api/v1/burn-tables/t/versions", { key })).body.items,
  ).toHaveLength(2);
});

it("repeats an answer with a secret to the key that got it, and to no other", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker);
  const options = { body: { name: "k", scopes: ["admin"] }, headers: { "idempotency-key": "secret" } };
  const first = await worker.call<{ key: string }>("POST", "/api/v1/api-keys", { key, ...options });
  const other = await worker.call("POST", "/api/v1/api-keys", { key: first.body.key, ...options });
  expect(other.status).toBe(409);
  expect(JSON.stringify(other.body)).not.toContain(first.body.key);
  expect((await worker.call("POST", "/api/v1/api-keys", { key, ...options })).body).toEqual(first.body);
});

it("forgets a key after 24 hours", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker);
  const post = () =>
    worker.call<{ id: string }>("POST", "/api/v1/api-keys", {
      key,
      body: { name: "k", scopes: ["read"] },
      headers: { "idempotency-key": "day" },
    });
  const first = await post();
  worker.advance(DAY_MS - 60_000);
  expect((await post()).body).toEqual(first.body);
  worker.advance(60_001);
  expect((await post()).body.id).not.toBe(first.body.id);
});

it("opens one namespace of a repeated request of the operator", async () => {
  const worker = startWorker();
  const options = { key: ADMIN_KEY, body: { key: "repeated", kind: "live" }, headers: { "idempotency-key": "n1" } };
  const first = await worker.call("POST", "/api/v1/namespaces", options);
  expect(first.status).toBe(201);
  expect(await worker.call("POST", "/api/v1/namespaces", options)).toMatchObject({ status: 201, body: first.body });
});

it("keeps the keys of two tenants apart", async () => {
  const worker = startWorker();
  const [one, two] = [await newTenant(worker), await newTenant(worker)];
  const headers = { "idempotency-key": "shared" };
  const first = await worker.call("POST", "/api/v1/api-keys", {
    key: one.apiKey,
    body: { name: "a", scopes: ["read"] },
    headers,
  });
  const second = await worker.call("POST", "/api/v1/api-keys", {
    key: two.apiKey,
    body: { name: "b", scopes: ["read"] },
    headers,
  });
  expect([first.status, second.status]).toEqual([201, 201]);
});
