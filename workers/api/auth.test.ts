import { describe, expect, it } from "vitest";
import { PRINCIPAL_TTL_MS } from "../cache";
import { ADMIN_KEY, newTenant, someEvent, startWorker } from "../harness";

const track = { customer: "u", feature: "f", usage: { tokens: 1 } };
interface Made {
  id: string;
  key: string;
}

describe("a key in a live namespace", () => {
  it("costs no query for 30 s after it was seen, on any hot road, and reads the shared store for nothing else either", async () => {
    const worker = startWorker();
    const { apiKey: key } = await newTenant(worker);
    await worker.call("POST", "/api/v1/track", { key, body: track });
    const seen = worker.queries();
    worker.advance(PRINCIPAL_TTL_MS - 1_000);
    expect((await worker.call("POST", "/api/v1/track", { key, body: track })).status).toBe(200);
    expect((await worker.call("POST", "/api/v1/track", { key, body: { ...track, enforce: true } })).status).toBe(422);
    expect(
      (await worker.call("POST", "/api/v1/events", { key, body: [someEvent(), someEvent({ subject: "v" })] })).status,
    ).toBe(204);
    expect((await worker.call("POST", "/api/v1/check", { key, body: track })).status).toBe(200);
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(200);
    expect(worker.queries()).toBe(seen);
  });

  it("stops within 30 s of its revocation, where another isolate revoked it", async () => {
    const worker = startWorker();
    const elsewhere = startWorker();
    const { apiKey } = await newTenant(worker);
    const { id, key } = (
      await elsewhere.call<Made>("POST", "/api/v1/api-keys", { key: apiKey, body: { name: "k", scopes: ["read"] } })
    ).body;
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(200);
    expect((await elsewhere.call("DELETE", `/api/v1/api-keys/${id}`, { key: apiKey })).status).toBe(204);
    worker.advance(PRINCIPAL_TTL_MS);
    expect(await worker.call("GET", "/api/v1/wallets/u", { key })).toMatchObject({
      status: 401,
      body: { detail: expect.stringContaining("revoked") },
    });
  });

  it("stops at once in the isolate that revoked it", async () => {
    const worker = startWorker();
    const { apiKey } = await newTenant(worker);
    const { id, key } = (
      await worker.call<Made>("POST", "/api/v1/api-keys", { key: apiKey, body: { name: "k", scopes: ["read"] } })
    ).body;
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(200);
    await worker.call("DELETE", `/api/v1/api-keys/${id}`, { key: apiKey });
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(401);
  });

  it("expires at its time, remembered or not", async () => {
    const worker = startWorker();
    const { apiKey } = await newTenant(worker);
    const expiresAt = new Date(worker.now() + 10_000).toISOString();
    const { key } = (
      await worker.call<Made>("POST", "/api/v1/api-keys", {
        key: apiKey,
        body: { name: "k", scopes: ["read"], expiresAt },
      })
    ).body;
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(200);
    worker.advance(10_000);
    expect(await worker.call("GET", "/api/v1/wallets/u", { key })).toMatchObject({
      status: 401,
      body: { detail: expect.stringContaining("expired") },
    });
  });

  it("is rotated with an overlap in which both keys work; then only the new one does", async () => {
    const worker = startWorker();
    const { apiKey } = await newTenant(worker);
    const old = (
      await worker.call<Made>("POST", "/api/v1/api-keys", { key: apiKey, body: { name: "k", scopes: ["read"] } })
    ).body;
    const rotated = await worker.call<Made & { scopes: string[] }>("POST", `/api/v1/api-keys/${old.id}/rotate`, {
      key: apiKey,
      body: { overlap: "PT1H" },
    });
    expect(rotated).toMatchObject({ status: 200, body: { name: "k", scopes: ["read"], expiresAt: null } });
    const works = async (key: string) => (await worker.call("GET", "/api/v1/wallets/u", { key })).status === 200;
    worker.advance(3_590_000);
    expect([await works(old.key), await works(rotated.body.key)]).toEqual([true, true]);
    worker.advance(10_000);
    expect([await works(old.key), await works(rotated.body.key)]).toEqual([false, true]);
    expect(
      (await worker.call("POST", `/api/v1/api-keys/${old.id}/rotate`, { key: apiKey, body: { overlap: "PT1H" } }))
        .status,
    ).toBe(409);
  });

  it("is known by its last use, to five minutes, at one write per five minutes", async () => {
    const worker = startWorker();
    const { apiKey: key } = await newTenant(worker);
    const lastUse = async () => {
      const { items } = (await worker.call<{ items: { lastUsedAt: string }[] }>("GET", "/api/v1/api-keys", { key }))
        .body;
      return Date.parse(items[0]!.lastUsedAt);
    };
    const first = await lastUse();
    expect(first).toBeGreaterThan(worker.now() - 10_000);
    worker.advance(4 * 60_000);
    expect(await lastUse()).toBe(first);
    worker.advance(60_000);
    await worker.call("GET", "/api/v1/wallets/u", { key });
    expect(await lastUse()).toBeGreaterThanOrEqual(first + 5 * 60_000);
  });

  it("is stored as its hash alone", async () => {
    const worker = startWorker();
    const { id, apiKey } = await newTenant(worker);
    const body = { name: "k", scopes: ["read"] };
    const { key } = (
      await worker.call<Made>("POST", "/api/v1/api-keys", { key: apiKey, body, headers: { "idempotency-key": "k1" } })
    ).body;
    const { env } = worker.context();
    const stored = await Promise.all(
      ["api_keys", "idempotency"].map(
        async (table) => (await env.DB.prepare(`select * from ${table} where namespace_id = ?`).bind(id).all()).results,
      ),
    );
    expect(stored.map((rows) => rows.length)).toEqual([2, 1]);
    for (const secret of [key, apiKey]) expect(JSON.stringify(stored)).not.toContain(secret);
  });
});

describe("a key in a sandbox", () => {
  it("holds, and stops, at once everywhere", async () => {
    const worker = startWorker();
    const elsewhere = startWorker();
    const { apiKey } = await newTenant(worker, "sandbox");
    const { id, key } = (
      await elsewhere.call<Made>("POST", "/api/v1/api-keys", { key: apiKey, body: { name: "k", scopes: ["read"] } })
    ).body;
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(200);
    await elsewhere.call("DELETE", `/api/v1/api-keys/${id}`, { key: apiKey });
    expect((await worker.call("GET", "/api/v1/wallets/u", { key })).status).toBe(401);
  });
});

describe("a namespace", () => {
  it("stops with its keys when it is closed, by id or by key, and its key stays taken", async () => {
    const worker = startWorker();
    const tenant = await newTenant(worker);
    expect((await worker.call("GET", "/api/v1/wallets/u", { key: tenant.apiKey })).status).toBe(200);
    expect((await worker.call("DELETE", `/api/v1/namespaces/${tenant.key}`, { key: ADMIN_KEY })).status).toBe(204);
    expect((await worker.call("GET", "/api/v1/wallets/u", { key: tenant.apiKey })).status).toBe(401);
    expect((await worker.call("DELETE", `/api/v1/namespaces/${tenant.id}`, { key: ADMIN_KEY })).status).toBe(404);
    const again = await worker.call("POST", "/api/v1/namespaces", {
      key: ADMIN_KEY,
      body: { key: tenant.key, kind: "live" },
    });
    expect(again.status).toBe(409);
  });

  it("is listed page by page until it is closed", async () => {
    const worker = startWorker();
    const made = [await newTenant(worker), await newTenant(worker), await newTenant(worker, "sandbox")];
    await worker.call("DELETE", `/api/v1/namespaces/${made[1]!.id}`, { key: ADMIN_KEY });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await worker.call<{ items: { id: string }[]; nextCursor?: string }>(
        "GET",
        `/api/v1/namespaces?limit=2${cursor === undefined ? "" : `&cursor=${cursor}`}`,
        { key: ADMIN_KEY },
      );
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map(({ id }) => id));
      cursor = page.body.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toContain(made[0]!.id);
    expect(seen).toContain(made[2]!.id);
    expect(seen).not.toContain(made[1]!.id);
    expect(new Set(seen).size).toBe(seen.length);
  });
});
