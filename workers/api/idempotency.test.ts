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
