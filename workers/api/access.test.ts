/**
 * Walks every route of the contract with every kind of wrong caller. A new route is walked without a line here, unless it has a
 * parameter or a body that this file has no example of: then the walk fails and says so.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { objectName } from "../../core/object-name";
import { sha256 } from "../../durable-objects/sha256";
import { contract } from "../../schema/contract";
import { SCOPES, type Route, type Scope } from "../../schema/contract/route";
import { recordDeadLetters } from "../../store/dead-letters";
import { ADMIN_KEY, newTenant, someEvent, startWorker, type Tenant } from "../harness";

const routes: [name: string, route: Route][] = Object.entries(contract).flatMap(([resource, operations]) =>
  Object.entries(operations as Record<string, Route>).map(([operation, route]): [string, Route] => [
    `${resource}.${operation}`,
    route,
  ]),
);
const scoped = routes.filter(([, { access }]) => access !== "public" && access !== "operator");
const operator = routes.filter(([, { access }]) => access === "operator");

/** A body that each route accepts, for callers who may not send it. */
const BODIES: Record<string, object | (() => object)> = {
  "namespaces.create": { key: "intruder", kind: "live" },
  "apiKeys.create": { name: "stolen", scopes: ["read"] },
  "apiKeys.rotate": { overlap: "PT1H" },
  "clock.set": { now: "2040-01-01T00:00:00Z" },
  "events.ingest": [someEvent()],
  "events.rate": {},
  "track.track": { customer: "victim", feature: "f", usage: { tokens: 1 } },
  "track.check": { customer: "victim", feature: "f", usage: { tokens: 1 } },
  "track.quote": { feature: "f", usage: { tokens: 1 } },
  "corrections.void": { subject: "victim", source: "nobody's", id: "nobody's", reason: "gone" },
  "corrections.amend": { subject: "victim", source: "nobody's", id: "nobody's", reason: "gone", data: {} },
  "burnTables.create": { key: "intruders", currency: "CREDITS", rules: [] },
  "wallets.patch": { overdraftLimit: 1_000_000 },
  "wallets.grant": { amount: 5, kind: "promo" },
  "wallets.voidGrant": {},
  "deadLetters.replay": {},
  "meters.create": { slug: "intruders", eventType: "f", aggregation: "COUNT" },
  "meters.update": { name: "Intruder's" },
  "meters.queryPost": {},
  "features.create": { key: "intruders", name: "Intruder's" },
  "featureCosts.query": {},
  "customers.create": { key: "intruders", name: "Intruder's" },
  "customers.update": { key: "victim", name: "Intruder's" },
  "subjects.upsert": [{ key: "victim", displayName: "Intruder's" }],
  "portalTokens.create": { subject: "victim" },
  "portalTokens.invalidate": { subject: "victim" },
  "audits.rebuild": () => ({ object: victimsObject() }),
  "audits.refold": () => ({ object: victimsObject() }),
  "audits.purge": () => ({ meter: `${victim.ids.meterIdOrSlug}.1`, objects: [victimsObject()] }),
  "otlp.traces": { resourceSpans: [] },
  "otlp.logs": { resourceLogs: [] },
};

/** What a route needs to be asked for, where its path does not say it. */
const QUERIES: Record<string, () => Record<string, string>> = {
  "audits.object": () => ({ object: victimsObject() }),
  "audits.rollups": () => ({ meter: `${victim.ids.meterIdOrSlug}.1`, resolution: "quarter" }),
  "audits.file": () => ({ file: `events/namespace=${victim.id}/day=2026-11-21/1.ndjson.gz` }),
};

const worker = startWorker();
let victim: Tenant & { ids: Record<string, string> };
let intruder: Tenant;
let untouched: unknown[];

const victimsObject = (): string => objectName(victim.id, "victim", sha256);

const bodyOf = (name: string): unknown => {
  const body = BODIES[name];
  return typeof body === "function" ? (body as () => object)() : body;
};

const path = (name: string, route: Route): string =>
  pathOf(name, route) + (name in QUERIES ? `?${new URLSearchParams(QUERIES[name]!())}` : "");

const pathOf = (name: string, route: Route): string =>
  route.path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
    const id = victim.ids[`${name}.${parameter}`] ?? victim.ids[parameter];
    if (id === undefined)
      throw new Error(`${name} has the parameter {${parameter}}: give this file one that belongs to the victim`);
    return encodeURIComponent(id);
  });

async function call(name: string, route: Route, key: string | null) {
  if (route.body && !(name in BODIES)) throw new Error(`${name} has a body: give this file an example of one`);
  return worker.call(route.method, path(name, route), { key, ...(route.body && { body: bodyOf(name) }) });
}

/** What the victim can see of itself. */
async function everythingOf({ apiKey }: Tenant): Promise<unknown[]> {
  const reads = scoped.filter(
    ([name, { method }]) => method === "GET" && !name.startsWith("apiKeys.") && !name.startsWith("status."),
  );
  return Promise.all(
    reads.map(async ([name, route]) => {
      const { status, body } = await call(name, route, apiKey);
      return [name, status < 400 ? body : status];
    }),
  );
}

beforeAll(async () => {
  victim = { ...(await newTenant(worker, "sandbox")), ids: {} };
  intruder = await newTenant(worker, "sandbox");
  const key = victim.apiKey;
  // A clock that stands still: whatever differs before and after a call was changed by it.
  expect((await worker.call("PUT", "/api/v1/clock", { key, body: { now: "2030-01-01T00:00:00Z" } })).status).toBe(200);
  const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 1, per: 1 }] };
  expect((await worker.call("POST", "/api/v1/burn-tables", { key, body: table })).status).toBe(201);
  const grant = await worker.call<{ id: string }>("POST", "/api/v1/wallets/victim/grants", {
    key,
    body: { amount: 100, kind: "paid" },
  });
  const track = await worker.call<{ wallet: { customerId: string } }>("POST", "/api/v1/track", {
    key,
    body: { customer: "victim", feature: "f", usage: { tokens: 7 } },
  });
  const apiKey = await worker.call<{ id: string }>("POST", "/api/v1/api-keys", {
    key,
    body: { name: "spare", scopes: ["read"] },
  });
  const customer = await worker.call<{ id: string }>("POST", "/api/v1/customers", {
    key,
    body: { key: "victim", name: "Of the victim", usageAttribution: { subjectKeys: ["victim's"] } },
  });
  const subject = await worker.call<{ id: string }[]>("POST", "/api/v1/subjects", {
    key,
    body: [{ key: "victim's", displayName: "Of the victim" }],
  });
  const feature = await worker.call<{ id: string }>("POST", "/api/v1/features", {
    key,
    body: { key: "victims", name: "Of the victim" },
  });
  const token = await worker.call<{ id: string }>("POST", "/api/v1/portal/tokens", {
    key,
    body: { subject: "victim" },
  });
  const meter = await worker.call<{ id: string }>("POST", "/api/v1/meters", {
    key,
    body: { slug: "victims", eventType: "quiet", aggregation: "COUNT", groupBy: { of_the_victim: "$.x" } },
  });
  await worker.call("GET", "/api/v1/meters/victims/query?clientId=query-of-the-victim", { key });
  const letterId = "01JD8ZQ6M5T9W3XK2V7B4C1N0R";
  await recordDeadLetters(worker.context().store, [
    {
      id: letterId,
      namespaceId: victim.id,
      queue: "spill",
      body: '{"secret":"of the victim"}',
      reason: "test",
      attempts: 1,
      createdAt: 1,
    },
  ]);
  victim.ids = {
    customer: track.body.wallet.customerId,
    grantId: grant.body.id,
    key: "standard",
    idOrKey: victim.id,
    "apiKeys.revoke.id": apiKey.body.id,
    "apiKeys.rotate.id": apiKey.body.id,
    "deadLetters.replay.id": letterId,
    customerIdOrKey: customer.body.id,
    subjectIdOrKey: subject.body[0]!.id,
    featureId: feature.body.id,
    meterIdOrSlug: meter.body.id,
    groupByKey: "of_the_victim",
    "info.progress.id": "query-of-the-victim",
    "portal token": token.body.id,
    file: "swagger-ui.css",
  };
  untouched = await everythingOf(victim);
});

describe.each(scoped)("%s", (name, route) => {
  it("is closed without a key, with a wrong one, and with the operator's", async () => {
    for (const key of [null, "tg_wrong", "wrong", "", "tg_' or 1=1 --", ADMIN_KEY]) {
      const { status, headers, body } = await call(name, route, key);
      expect([status, headers.get("content-type")], `with the key ${key}`).toEqual([401, "application/problem+json"]);
      expect(headers.get("www-authenticate")).toBe("Bearer");
      expect(body).toMatchObject({ status: 401, title: "Unauthorized", detail: expect.any(String) });
      if (key === ADMIN_KEY) expect(body.detail).toContain("this key only opens /api/v1/namespaces");
    }
  });

  it(`needs the scope ${route.access}, and no other will do`, async () => {
    const others = SCOPES.filter((scope) => scope !== route.access);
    const { key } = (
      await worker.call<{ key: string }>("POST", "/api/v1/api-keys", {
        key: victim.apiKey,
        body: { name: "others", scopes: others },
      })
    ).body;
    const { status, body } = await call(name, route, key);
    expect(status).toBe(403);
    expect(body).toMatchObject({ type: "https://tollgate.dev/problems/missing-scope", scope: route.access as Scope });
  });

  it("shows nothing of another tenant", async () => {
    const { status, body } = await call(name, route, intruder.apiKey);
    const text = JSON.stringify(body) ?? "";
    for (const [parameter, id] of Object.entries(victim.ids)) {
      // Keys of tables are the caller's own words; everything else is an id that only the victim knows.
      if (parameter !== "key" && parameter !== "file") expect(text).not.toContain(id);
    }
    expect(text).not.toContain("of the victim");
    if (route.params) expect(status, "another tenant's ids do not exist").toBe(404);
  });
});

it("nothing of all that changed anything", async () => {
  expect(await everythingOf(victim)).toEqual(untouched);
});

describe.each(operator)("%s", (name, route) => {
  it("opens for the operator's key only", async () => {
    for (const key of [null, "tg_wrong", `${ADMIN_KEY}x`, ADMIN_KEY.slice(0, -1), victim.apiKey]) {
      expect((await call(name, route, key)).status, `with the key ${key}`).toBe(401);
    }
  });

  it("answers 503 where no operator's key is set", async () => {
    const { TOLLGATE_ADMIN_KEY: _, ...unset } = worker.context().env;
    const deployed = startWorker({ bindings: { ...unset, TOLLGATE_ADMIN_KEY: "" } });
    const { status } = await deployed.call(route.method, path(name, route), {
      key: ADMIN_KEY,
      ...(route.body && { body: bodyOf(name) }),
    });
    expect(status).toBe(503);
  });
});

it("answers problems for paths and methods that do not exist", async () => {
  expect(await worker.call("GET", "/api/v1/nothing", { key: victim.apiKey })).toMatchObject({
    status: 404,
    body: { status: 404 },
  });
  const wrong = await worker.call("DELETE", "/api/v1/track", { key: victim.apiKey });
  expect(wrong).toMatchObject({ status: 405, body: { status: 405 } });
  expect(wrong.headers.get("allow")).toBe("POST");
});
