/**
 * Queries of meters over HTTP, by both roads: of subjects and customers from their objects, of the namespace from the rollups. What is
 * right is what one pass over the events says.
 */
import { listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Aggregation } from "../../core/aggregation";
import { mulDiv } from "../../core/decimal";
import { foldKeyOf, type Meter } from "../../core/meter";
import { formatQuantity, ONE_QUANTITY, type Quantity } from "../../core/quantity";
import { readZone, windowsOf, type WindowSize } from "../../core/window";
import type { Customer } from "../../durable-objects/customer";
import type { CustomerRpc } from "../../durable-objects/rpc";
import type { RatingMessage } from "../../schema/messages";
import { applyRating } from "../../store/apply-rating";
import { currentConfig } from "../../store/config";
import { finishMerge, SETTLED_AFTER_MS, startMerge } from "../../store/merges";
import { findObject } from "../../store/objects";
import { MINUTE_RETENTION_MS } from "../../store/rollups";
import { rating, rollup } from "../../store/suite/builders";
import { newTenant, someEvent, startWorker, type Tenant, type Worker } from "../harness";
import { jobs, purgeRollups } from "../cron";
import { OBJECTS_ASKED_MAX } from "../meter-query";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Fifty objects wake up, data moves between customers, and a few cores do it all. */
const LONG_MS = 60_000;

const worker = startWorker();

interface Row {
  value: number;
  windowStart: string;
  windowEnd: string;
  subject: string | null;
  customerId?: string;
  groupBy: Record<string, string>;
}
type Body = Record<string, unknown>;
type Params = Record<string, string | readonly string[]>;

const search = (params: Params): string =>
  new URLSearchParams(
    Object.entries(params).flatMap(([name, values]) => [values].flat().map((value) => [name, value as string])),
  ).toString();
const get = <T = Body>(
  tenant: Tenant,
  path: string,
  params: Params = {},
  headers: Record<string, string> = {},
  by = worker,
) => by.call<T>("GET", `/api/v1/meters/${path}?${search(params)}`, { key: tenant.apiKey, headers });
/** The rows of a query that is answered. */
async function rowsOf(tenant: Tenant, slug: string, params: Params = {}, by = worker): Promise<Row[]> {
  const { status, body } = await get<{ data: Row[] }>(tenant, `${slug}/query`, params, {}, by);
  expect([status, body], search(params)).toMatchObject([200, { data: expect.any(Array) }]);
  return body.data;
}
const values = async (...query: Parameters<typeof rowsOf>) => (await rowsOf(...query)).map(({ value }) => value);

async function make(tenant: Tenant, of: Body): Promise<{ id: string; slug: string }> {
  const { status, body } = await worker.call<{ id: string; slug: string }>("POST", "/api/v1/meters", {
    key: tenant.apiKey,
    body: { eventType: "prompt", ...of },
  });
  expect([status, body]).toMatchObject([200, {}]);
  return body;
}
const TOKENS = {
  slug: "tokens",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { model: "$.model", kind: "$.kind" },
};

interface Sent {
  subject: string;
  time: string;
  data: Body;
}
const prompt = (time: string, data: Body, subject = "ann"): Sent => ({ subject, time, data });
async function send(tenant: Tenant, events: readonly Sent[]): Promise<void> {
  const body = events.map((event) => someEvent({ type: "prompt", ...event }));
  expect((await worker.call("POST", "/api/v1/events", { key: tenant.apiKey, body })).status).toBe(204);
}

/** Waits for what the queue brings within two seconds; what has not left its object yet is brought at once. */
async function shipped({ id }: Tenant): Promise<void> {
  const { store } = worker.context();
  const messages: RatingMessage[] = [];
  const RATING = {
    sendBatch: async (batch: { body: RatingMessage }[]) => void messages.push(...batch.map(({ body }) => body)),
  };
  const objects: { name: string; seq: number }[] = [];
  for (const objectId of await listDurableObjectIds(env.CUSTOMER)) {
    const stub = env.CUSTOMER.get(objectId);
    const name = await runInDurableObject(stub, (instance: Customer, state) => {
      const isOurs = state.id.name?.startsWith(`${id}/`) === true;
      if (isOurs) Object.assign(instance, { env: { ...env, RATING } });
      return isOurs ? state.id.name! : null;
    });
    if (name === null) continue;
    await runDurableObjectAlarm(stub);
    await runInDurableObject(stub, (instance: Customer) => void Object.assign(instance, { env }));
    const call = {
      namespaceId: id,
      name: Buffer.from(name.slice(id.length + 1), "base64url").toString(),
      configVersion: 0,
    };
    const [message] = (await worker.context().customer(name).drain(call)).messages as RatingMessage[];
    // One that has moved into another speaks no more.
    if (message !== undefined && message.closed !== true) objects.push({ name, seq: message.seq });
  }
  await applyRating(store, messages);
  await vi.waitFor(
    async () => {
      for (const { name, seq } of objects)
        expect((await findObject(store, id, name))?.lastSeq).toBeGreaterThanOrEqual(seq);
    },
    { timeout: 20_000, interval: 50 },
  );
}

describe("a query", () => {
  let tenant: Tenant;
  beforeAll(async () => {
    tenant = await newTenant(worker);
    await make(tenant, { ...TOKENS });
    await make(tenant, { slug: "calls", aggregation: "COUNT", groupBy: { model: "$.model" } });
    await send(tenant, [
      prompt("2023-01-01T00:00:00Z", { tokens: 1, model: "small", kind: "input" }),
      prompt("2023-01-01T00:59:59.999Z", { tokens: 2, model: "large", kind: "output" }),
      prompt("2023-01-02T00:00:00Z", { tokens: "4", model: "small", kind: "input" }, "bob"),
    ]);
    await shipped(tenant);
  });

  it("counts what was acknowledged a moment ago, of a subject", async () => {
    const event = prompt(new Date(worker.now()).toISOString(), { tokens: 7 }, "quickstart");
    await send(tenant, [event]);
    const answer = await get(tenant, "calls/query", { subject: "quickstart" });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.body).toMatchObject({ data: [{ value: 1, subject: "quickstart", groupBy: {} }] });
  });

  it("is answered as OpenMeter answers it: windows with usage, in order, and what was asked for", async () => {
    const params = { from: "2023-01-01T00:00:00Z", to: "2023-01-03T00:00:00Z", windowSize: "HOUR" };
    const { body } = await get(tenant, "calls/query", params);
    expect(body).toEqual({
      ...params,
      data: [
        {
          value: 2,
          windowStart: "2023-01-01T00:00:00Z",
          windowEnd: "2023-01-01T01:00:00Z",
          subject: null,
          groupBy: {},
        },
        {
          value: 1,
          windowStart: "2023-01-02T00:00:00Z",
          windowEnd: "2023-01-02T01:00:00Z",
          subject: null,
          groupBy: {},
        },
      ],
    });
    const grouped = await rowsOf(tenant, "calls", { ...params, groupBy: ["model", "subject"] });
    expect(grouped).toMatchObject([
      { value: 1, subject: "ann", groupBy: { model: "large" } },
      { value: 1, subject: "ann", groupBy: { model: "small" } },
      { value: 1, subject: "bob", groupBy: { model: "small" } },
    ]);
  });

  it("says the same to a POST, with lists in its body", async () => {
    const body = {
      from: "2023-01-01T00:00:00Z",
      to: "2023-01-03T00:00:00Z",
      windowSize: "DAY",
      subject: ["ann", "bob"],
      filterGroupBy: { model: ["small", "medium"] },
      groupBy: ["model"],
    };
    const { status, body: answer } = await worker.call<{ data: Row[] }>("POST", "/api/v1/meters/tokens/query", {
      key: tenant.apiKey,
      body,
    });
    expect(status).toBe(200);
    expect(answer).toMatchObject({
      windowSize: "DAY",
      data: [
        { value: 1, windowStart: "2023-01-01T00:00:00Z", subject: "ann", groupBy: { model: "small" } },
        { value: 4, windowStart: "2023-01-02T00:00:00Z", subject: "bob", groupBy: { model: "small" } },
      ],
    });
    await shipped(tenant);
    expect(await worker.call("POST", "/api/v1/meters/tokens/query", { key: tenant.apiKey, body: {} })).toMatchObject({
      status: 200,
      body: { data: [{ value: 14 }] },
    });
  });

  it("filters by dimensions, written as a map, as JSON, and as the client writes them", async () => {
    const range = { from: "2023-01-01T00:00:00Z", to: "2023-01-03T00:00:00Z" };
    for (const subject of [{}, { subject: ["ann", "bob"] }] as Params[]) {
      const sum = async (params: Params) =>
        (await values(tenant, "tokens", { ...range, ...subject, ...params })).reduce(
          (total, value) => total + value,
          0,
        );
      expect(await sum({ "filterGroupBy[model]": "small" })).toBe(5);
      expect(await sum({ "filterGroupBy[model]": ["small", "large"], "filterGroupBy[kind]": "input" })).toBe(5);
      expect(await sum({ advancedMeterGroupByFilters: '{"model":{"$in":["large","x"]}}' })).toBe(2);
      expect(await sum({ "advancedMeterGroupByFilters[model][$ne]": "large" })).toBe(5);
      expect(await sum({ "advancedMeterGroupByFilters[model][$in]": ["large", "small"] })).toBe(7);
      expect(await sum({ advancedMeterGroupByFilters: '{"kind":{"$or":[{"$like":"out%"},{"$eq":"x"}]}}' })).toBe(2);
      expect(await sum({ "filterGroupBy[model]": "none" })).toBe(0);
    }
  });

  it("is a file of comma-separated values for who wants one", async () => {
    const params = {
      from: "2023-01-01T00:00:00Z",
      to: "2023-01-03T00:00:00Z",
      windowSize: "DAY",
      groupBy: ["subject", "model"],
    };
    const csv = async (accept: string) => get<string>(tenant, "tokens/query", params, { accept });
    const { status, headers, body } = await csv("text/csv");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toMatch(/^text\/csv/);
    expect(headers.get("content-disposition")).toBe('attachment; filename="tokens.csv"');
    expect(body.split("\n")).toEqual([
      "window_start,window_end,subject,model,value",
      "2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,ann,large,2.000000",
      "2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,ann,small,1.000000",
      "2023-01-02T00:00:00Z,2023-01-03T00:00:00Z,bob,small,4.000000",
      "",
    ]);
    for (const accept of ["", "*/*", "application/json", "text/html", "text/csv;q=0.5, application/json"])
      expect((await csv(accept)).headers.get("content-type"), accept).toBe("application/json");
    expect((await csv("application/json;q=0.1, text/csv")).headers.get("content-type")).toMatch(/^text\/csv/);
    const post = await worker.call<string>("POST", "/api/v1/meters/tokens/query", {
      key: tenant.apiKey,
      body: { from: params.from, to: params.to },
      headers: { accept: "text/csv" },
    });
    expect(post.body).toBe("window_start,window_end,value\n2023-01-01T00:00:00Z,2023-01-03T00:00:00Z,7.000000\n");
  });

  it("is exact to the last digit, also where a double is not", async () => {
    const exact = await newTenant(worker);
    await make(exact, { ...TOKENS });
    const body = `[${["ann", "bob"].map((subject) => JSON.stringify(someEvent({ type: "prompt", subject, time: "2023-01-01T00:00:00Z", data: { tokens: "N" } })).replace('"N"', subject === "ann" ? '"0.4567890123456789"' : "9007199254740993.1")).join()}]`;
    await worker.call("POST", "/api/v1/events", { key: exact.apiKey, body });
    await send(exact, [prompt("2023-01-01T00:00:01Z", { tokens: 123 })]);
    await shipped(exact);
    const text = async (params: Params) => {
      const response = await worker.fetch(
        new Request(`https://t/api/v1/meters/tokens/query?${search(params)}`, {
          headers: { authorization: `Bearer ${exact.apiKey}` },
        }),
      );
      return /"value":([^,]+)/.exec(await response.text())?.[1];
    };
    expect(await text({ subject: "ann" })).toBe("123.4567890123456789");
    expect(await text({})).toBe("9007199254741116.5567890123456789");
    expect(await text({ windowSize: "MONTH" })).toBe("9007199254741116.5567890123456789");
  });

  it("says nothing of windows without usage, and 0 only where there is one number to say", async () => {
    const future = { from: "2040-01-01T00:00:00Z", to: "2040-02-01T00:00:00Z" };
    for (const subject of [{}, { subject: "nobody" }] as Params[]) {
      expect(await rowsOf(tenant, "tokens", { ...future, ...subject })).toEqual([]);
      expect(await rowsOf(tenant, "calls", { ...future, ...subject, windowSize: "DAY" })).toEqual([]);
      expect(await rowsOf(tenant, "calls", { ...future, ...subject, groupBy: "model" })).toEqual([]);
    }
    const zero = {
      value: 0,
      windowStart: "2040-01-01T00:00:00Z",
      windowEnd: "2040-02-01T00:00:00Z",
      subject: null,
      groupBy: {},
    };
    expect(await rowsOf(tenant, "calls", future)).toEqual([zero]);
    const { id } = await make(tenant, { slug: "users", aggregation: "UNIQUE_COUNT", valueProperty: "$.user" });
    expect(await rowsOf(tenant, id, future)).toEqual([zero]);
    expect(await rowsOf(tenant, id, { ...future, windowSize: "HOUR" })).toEqual([]);
  });

  it("without from and to is of all time, from the first minute to the last", async () => {
    const of = await newTenant(worker);
    await make(of, { ...TOKENS });
    const recent = new Date(Math.floor(worker.now() / HOUR_MS) * HOUR_MS - 3 * HOUR_MS + 7 * MINUTE_MS);
    const minute = (ms: number) => new Date(recent.getTime() + ms).toISOString().replace(".000Z", "Z");
    await send(of, [
      prompt(minute(20_000), { tokens: 1, model: "a" }),
      prompt(minute(10 * MINUTE_MS + 1), { tokens: 2, model: "a" }, "bob"),
      prompt(minute(11 * MINUTE_MS), { tokens: 4, model: "b" }),
    ]);
    await shipped(of);
    expect(await rowsOf(of, "tokens")).toMatchObject([
      { value: 7, windowStart: minute(0), windowEnd: minute(12 * MINUTE_MS) },
    ]);
    expect(await rowsOf(of, "tokens", { groupBy: "model" })).toMatchObject([
      { value: 3, windowStart: minute(0), windowEnd: minute(11 * MINUTE_MS) },
      { value: 4, windowStart: minute(11 * MINUTE_MS), windowEnd: minute(12 * MINUTE_MS) },
    ]);
    expect(await rowsOf(of, "tokens", { from: minute(0) })).toMatchObject([
      { value: 7, windowStart: minute(0), windowEnd: minute(12 * MINUTE_MS) },
    ]);
  });

  it.each<[what: string, params: Params, fault: string]>([
    ["from after to", { from: "2023-01-02T00:00:00Z", to: "2023-01-01T00:00:00Z" }, "to from must be before to"],
    [
      "from equal to to",
      { from: "2023-01-02T00:00:00Z", to: "2023-01-02T01:00:00+01:00" },
      "to from and to cannot be equal",
    ],
    [
      "a time that is none",
      { from: "2023-02-30T00:00:00Z" },
      "from must be an RFC 3339 date and time, like 2026-11-21T09:30:00Z",
    ],
    ["a window that is none", { windowSize: "SECOND" }, 'windowSize must be one of "MINUTE", "HOUR", "DAY", "MONTH"'],
    [
      "a zone that does not exist",
      { windowTimeZone: "Mars/Olympus" },
      'windowTimeZone invalid time zone: no time zone of the IANA database is named "Mars/Olympus"',
    ],
    ["a zone as long as a book", { windowTimeZone: "x".repeat(2_000) }, "windowTimeZone must be at most 64 characters"],
    ["a group that is none", { groupBy: ["model", "color"] }, "groupBy invalid group by: color"],
    [
      "a group by customers without any",
      { groupBy: "customer_id" },
      "groupBy customer filter is required with customer_id group by",
    ],
    [
      "a filter on a dimension that is none",
      { "filterGroupBy[color]": "red" },
      "filterGroupBy.color invalid group by filter: color",
    ],
    [
      "both kinds of filters",
      { "filterGroupBy[model]": "a", "advancedMeterGroupByFilters[model][$eq]": "a" },
      "filterGroupBy advanced meter group by filters and filter group by cannot be used together",
    ],
    ["an operator that is none", { "advancedMeterGroupByFilters[model][$regex]": "a" }, ""],
    ["a filter that is no map", { filterGroupBy: "model" }, ""],
    ["filters that are no JSON", { advancedMeterGroupByFilters: "{" }, "advancedMeterGroupByFilters must be JSON text"],
    ["a clientId that is too long", { clientId: "c".repeat(37) }, "clientId must be at most 36 characters"],
    [
      "too many customers",
      { filterCustomerId: Array.from({ length: 101 }, (_, n) => `c${n}`) },
      "filterCustomerId must have at most 100 entries",
    ],
    [
      "too many subjects",
      { subject: Array.from({ length: 101 }, (_, n) => `s${n}`) },
      "subject must have at most 100 values",
    ],
    ["an empty subject", { subject: "" }, "subject[0] must not be empty"],
    ["NUL in a subject", { subject: "a\0b" }, "subject[0] must not contain NUL or a lone surrogate"],
  ])("is refused with %s", async (_, params, fault) => {
    const { status, body } = await get(tenant, "tokens/query", params);
    expect(status).toBe(400);
    const faults = (body.validationErrors as { field: string; message: string }[]).map(
      ({ field, message }) => `${field} ${message}`,
    );
    if (fault !== "") expect(faults).toEqual([fault]);
  });

  it("is refused as a body of ten megabytes, of no JSON and of another shape", async () => {
    const post = (body: unknown, type?: string) =>
      worker.call("POST", "/api/v1/meters/tokens/query", { key: tenant.apiKey, body, ...(type && { type }) });
    expect((await post({ subject: ["x".repeat(10_000_000)] })).status).toBe(413);
    expect((await post({ groupBy: Array.from({ length: 100_000 }, () => "x") })).status).toBe(400);
    expect((await post({ filterGroupBy: { model: Array.from({ length: 100_000 }, () => "x") } })).status).toBe(400);
    for (const body of ["{", "[]", "null", '"x"', { subject: "ann" }, { from: 5 }, { filterGroupBy: { model: "a" } }])
      expect((await post(body)).status, JSON.stringify(body)).toBe(400);
    expect((await post("{}", "text/plain")).status).toBe(415);
  });

  it("is 404 for a meter that is not there, or not any more", async () => {
    const { id } = await make(tenant, { slug: "gone", aggregation: "COUNT" });
    expect(await values(tenant, "gone", { subject: "bob" })).toEqual([1]);
    await worker.call("DELETE", "/api/v1/meters/gone", { key: tenant.apiKey });
    for (const idOrSlug of ["gone", id, "nothing"])
      for (const path of ["query", "subjects", "group-by/model/values"])
        expect((await get(tenant, `${idOrSlug}/${path}`)).status, `${idOrSlug} ${path}`).toBe(404);
  });

  it("tells who asks by clientId how far it is, for five minutes", async () => {
    const progress = (id: string) => worker.call("GET", `/api/v1/info/progress/${id}`, { key: tenant.apiKey });
    expect((await progress("mine")).status).toBe(404);
    await rowsOf(tenant, "tokens", { clientId: "mine", subject: ["ann", "bob", "carl"] });
    expect(await progress("mine")).toMatchObject({
      status: 200,
      body: { success: 3, failed: 0, total: 3, updatedAt: expect.any(String) },
    });
    await rowsOf(tenant, "tokens", { clientId: "all" });
    expect(await progress("all")).toMatchObject({ body: { success: 1, failed: 0, total: 1 } });
    const other = await newTenant(worker);
    expect((await worker.call("GET", "/api/v1/info/progress/mine", { key: other.apiKey })).status).toBe(404);
  });
});

// ---- What one pass over the events says

interface Counted {
  subject: string;
  at: number;
  model: string;
  kind: string;
  tokens: Quantity | null;
  user: string | null;
  order: number;
}
interface Asked {
  from?: number;
  to?: number;
  windowSize?: WindowSize;
  windowTimeZone?: string;
  groupBy?: ("subject" | "model" | "kind")[];
  kind?: string;
}

function naive(events: readonly Counted[], aggregation: Aggregation, asked: Asked) {
  const { from = -Infinity, to = Infinity, windowSize, windowTimeZone = "UTC", groupBy = [], kind } = asked;
  const zone = readZone(windowTimeZone);
  if (!zone.ok) throw new Error(zone.refusal.detail);
  const windowOf = windowSize === undefined ? null : windowsOf(windowSize, zone.value);
  const groups = new Map<string, Counted[]>();
  for (const event of events) {
    const isNumber = aggregation === "COUNT" || aggregation === "UNIQUE_COUNT" || event.tokens !== null;
    if (event.at < from || event.at >= to || !isNumber || (kind !== undefined && event.kind !== kind)) continue;
    const key = JSON.stringify([windowOf?.(event.at).start ?? 0, ...groupBy.map((name) => event[name])]);
    groups.set(key, [...(groups.get(key) ?? []), event]);
  }
  return [...groups]
    .map(([key, members]) => ({ key, value: Number(formatQuantity(aggregate(members, aggregation))) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

function aggregate(events: readonly Counted[], aggregation: Aggregation): Quantity {
  const tokens = events.map((event) => event.tokens ?? 0n);
  const sum = tokens.reduce((a, b) => a + b, 0n);
  switch (aggregation) {
    case "COUNT":
      return BigInt(events.length) * ONE_QUANTITY;
    case "UNIQUE_COUNT":
      return BigInt(new Set(events.flatMap(({ user }) => user ?? [])).size) * ONE_QUANTITY;
    case "SUM":
      return sum;
    case "AVG":
      return mulDiv(sum, 1n, BigInt(events.length));
    case "MIN":
      return tokens.reduce((a, b) => (b < a ? b : a));
    case "MAX":
      return tokens.reduce((a, b) => (b > a ? b : a));
    case "LATEST":
      return events.reduce((a, b) => (b.at >= a.at ? b : a)).tokens!;
  }
}

/** As `naive` has them. */
async function answered(tenant: Tenant, slug: string, asked: Asked, more: Params = {}, by: Worker = worker) {
  const { from, to, windowSize, windowTimeZone, groupBy = [], kind } = asked;
  const rows = await rowsOf(
    tenant,
    slug,
    {
      ...(from !== undefined && { from: new Date(from).toISOString() }),
      ...(to !== undefined && { to: new Date(to).toISOString() }),
      ...(windowSize !== undefined && { windowSize }),
      ...(windowTimeZone !== undefined && { windowTimeZone }),
      ...(kind !== undefined && { "filterGroupBy[kind]": kind }),
      groupBy,
      ...more,
    },
    by,
  );
  return rows
    .map(({ value, windowStart, subject, groupBy: group }) => ({
      key: JSON.stringify([
        windowSize === undefined ? 0 : Date.parse(windowStart),
        ...groupBy.map((name) => (name === "subject" ? subject : group[name])),
      ]),
      value,
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

describe("a namespace of fifty customers, whose meters are younger than its events", { timeout: LONG_MS }, () => {
  const METERS: [slug: string, aggregation: Aggregation, valueProperty: string | null][] = [
    ["m_count", "COUNT", null],
    ["m_sum", "SUM", "$.tokens"],
    ["m_avg", "AVG", "$.tokens"],
    ["m_min", "MIN", "$.tokens"],
    ["m_max", "MAX", "$.tokens"],
    ["m_latest", "LATEST", "$.tokens"],
    ["m_unique", "UNIQUE_COUNT", "$.user"],
  ];
  const CUSTOMERS = 50;
  /** Within the minutes that are kept, across a change of clocks in Berlin. */
  const START = Date.UTC(2026, 9, 24, 20);
  const startMs = Date.UTC(2026, 10, 21, 9);
  /** Meters are made without anything following their making, so that all objects count all of them once. */
  const hasty = startWorker({ startMs, override: () => ({ later: (work) => void work }) });
  const at50 = startWorker({ startMs });
  let tenant: Tenant;
  const events: Counted[] = [];

  beforeAll(async () => {
    tenant = await newTenant(at50);
    let order = 0;
    for (let n = 0; n < 300; n++) {
      const tokens = n % 11 === 0 ? null : BigInt((n * 7919) % 1_000) * (ONE_QUANTITY / 8n) - 40n * ONE_QUANTITY;
      events.push({
        subject: `customer-${n % CUSTOMERS}`,
        // Each of its own second: of two of one time any is the latest.
        at: START + ((n * 48_271) % 108_000) * 1_000,
        model: `m${n % 3}`,
        kind: n % 2 === 0 ? "input" : "output",
        tokens,
        user: n % 13 === 0 ? null : `u${(n * 31) % 40}`,
        order: order++,
      });
    }
    const body = events.map(({ subject, at, model, kind, tokens, user }) =>
      someEvent({
        type: "prompt",
        subject,
        time: new Date(at).toISOString(),
        data: {
          model,
          kind,
          tokens: tokens === null ? "many" : formatQuantity(tokens),
          user,
        },
      }),
    );
    expect((await at50.call("POST", "/api/v1/events", { key: tenant.apiKey, body })).status).toBe(204);
    await shipped(tenant);
    for (const [slug, aggregation, valueProperty] of METERS) {
      const groupBy = { model: "$.model", kind: "$.kind" };
      const body = { slug, aggregation, eventType: "prompt", ...(valueProperty && { valueProperty }), groupBy };
      const made = await hasty.call("POST", "/api/v1/meters", { key: tenant.apiKey, body });
      expect(made.status).toBe(200);
    }
    // On a busy machine it takes more than one query to count everything; until then there is no answer.
    await vi.waitFor(async () => expect((await get(tenant, "m_unique/query", {}, {}, at50)).status).toBe(200), {
      timeout: LONG_MS,
      interval: 1,
    });
  }, LONG_MS);

  const QUERIES: [what: string, asked: Asked][] = [
    ["everything", {}],
    ["by subject", { groupBy: ["subject"] }],
    ["by hours", { windowSize: "HOUR" }],
    ["by days in Berlin", { windowSize: "DAY", windowTimeZone: "Europe/Berlin", groupBy: ["model"] }],
    ["by hours in Kathmandu", { windowSize: "HOUR", windowTimeZone: "Asia/Kathmandu" }],
    ["by months in Honolulu", { windowSize: "MONTH", windowTimeZone: "Pacific/Honolulu", groupBy: ["kind", "model"] }],
    ["by minutes", { windowSize: "MINUTE", groupBy: ["kind"], from: START + HOUR_MS, to: START + 3 * HOUR_MS }],
    ["filtered", { kind: "input", groupBy: ["model"] }],
    ["from and to a quarter of an hour", { from: START + 2 * HOUR_MS, to: START + 20 * HOUR_MS, windowSize: "DAY" }],
    [
      "from and to a minute",
      { from: START + 67 * MINUTE_MS, to: START + 20 * HOUR_MS + MINUTE_MS, groupBy: ["model"] },
    ],
    ["from and to a second", { from: START + 3_723_000, to: START + 50_011_000, windowSize: "HOUR" }],
    ["within a minute", { from: START + 48_271_000 - 5_000, to: START + 48_271_000 + 5_000 }],
    [
      "by minutes from a second on",
      { from: START + 3_723_000, to: START + 7_211_000, windowSize: "MINUTE", kind: "output" },
    ],
  ];

  it.each(METERS)("answers %s from the rollups as one pass over the events does", async (slug, aggregation) => {
    for (const [what, asked] of QUERIES)
      expect(await answered(tenant, slug, asked, {}, at50), what).toEqual(naive(events, aggregation, asked));
  });

  it.each(METERS)("answers %s the same when it asks customers' objects", async (slug, aggregation) => {
    const subject = ["customer-3", "customer-7", "customer-11", "customer-49", "nobody"];
    const theirs = events.filter((event) => subject.includes(event.subject));
    for (const [what, asked] of QUERIES) {
      const bySubject: Asked = { ...asked, groupBy: [...new Set([...(asked.groupBy ?? []), "subject" as const])] };
      expect(await answered(tenant, slug, bySubject, { subject }, at50), what).toEqual(
        naive(theirs, aggregation, bySubject),
      );
    }
  });

  it("adds up, over the namespace, to what its customers' objects add up to", async () => {
    const subject = Array.from({ length: CUSTOMERS }, (_, n) => `customer-${n}`);
    for (const slug of ["m_sum", "m_count"]) {
      const one = await values(tenant, slug, { subject }, at50);
      expect(one).toHaveLength(CUSTOMERS);
      expect(await values(tenant, slug, {}, at50)).toEqual([one.reduce((total, value) => total + value, 0)]);
    }
  });

  it("lists the subjects and the values of dimensions that it has counted", async () => {
    const list = async (path: string, params: Params = {}) =>
      (await get<string[]>(tenant, `m_count/${path}`, params, {}, at50)).body;
    expect(await list("subjects")).toEqual(Array.from({ length: CUSTOMERS }, (_, n) => `customer-${n}`).sort());
    const range = { from: new Date(START).toISOString(), to: new Date(START + 2 * DAY_MS).toISOString() };
    expect(await list("group-by/kind/values", range)).toEqual(["input", "output"]);
    const [hour, minute] = [START + HOUR_MS, START + HOUR_MS + 7 * MINUTE_MS + 13_000];
    const between = events.filter(({ at }) => at >= hour && at < minute).map(({ subject }) => subject);
    const narrow = { from: new Date(hour).toISOString(), to: new Date(minute).toISOString() };
    expect(await list("subjects", narrow)).toEqual([...new Set(between)].sort());
    expect(await list("group-by/kind/values")).toEqual([]);
  });

  it("asks the objects for minutes that are kept no more", async () => {
    const later = startWorker({ startMs: START + MINUTE_RETENTION_MS + 10 * DAY_MS });
    await purgeRollups(later.context());
    for (const [slug, aggregation] of METERS.filter(([, name]) => ["SUM", "LATEST"].includes(name)))
      for (const [what, asked] of QUERIES)
        expect(await answered(tenant, slug, asked, {}, later), what).toEqual(naive(events, aggregation, asked));
  });
});

describe("the values of a dimension", () => {
  it("are those of the last day unless it is asked otherwise, at most 90 days back and 30 at once", async () => {
    const tenant = await newTenant(worker);
    await make(tenant, { ...TOKENS });
    const ago = (ms: number) => new Date(worker.now() - ms).toISOString();
    await send(tenant, [
      prompt(ago(HOUR_MS), { tokens: 1, model: "new" }),
      prompt(ago(2 * DAY_MS), { tokens: 1, model: "old" }),
      prompt(ago(HOUR_MS), { tokens: 1 }, "bob"),
      prompt(ago(HOUR_MS), { tokens: "none", model: "never counted" }),
    ]);
    await shipped(tenant);
    const list = (params: Params, name = "model") => get<string[]>(tenant, `tokens/group-by/${name}/values`, params);
    expect(await list({})).toMatchObject({ status: 200, body: ["", "new"] });
    expect((await list({ from: ago(3 * DAY_MS) })).body).toEqual(["", "new", "old"]);
    expect((await list({ from: ago(3 * DAY_MS), to: ago(DAY_MS) })).body).toEqual(["old"]);
    expect((await list({ to: ago(1.5 * DAY_MS) })).body).toEqual(["old"]);
    expect((await list({ from: ago(91 * DAY_MS), to: ago(70 * DAY_MS) })).status).toBe(400);
    expect((await list({ from: ago(31 * DAY_MS) })).status).toBe(400);
    expect((await list({ from: ago(DAY_MS), to: ago(2 * DAY_MS) })).status).toBe(400);
    expect((await list({}, "color")).status).toBe(400);
    expect((await list({}, "subject")).status).toBe(400);
    expect((await get<string[]>(tenant, "tokens/subjects")).body).toEqual(["ann", "bob"]);
  });
});

describe("a query by customers", { timeout: LONG_MS }, () => {
  let tenant: Tenant;
  const customer = async (body: Body) => {
    const made = await worker.call<{ id: string }>("POST", "/api/v1/customers", { key: tenant.apiKey, body });
    expect(made).toMatchObject({ status: 201 });
    return made.body.id;
  };
  const day = { from: "2023-01-01T00:00:00Z", to: "2023-01-02T00:00:00Z" };
  let acme: string;
  let globex: string;

  beforeAll(async () => {
    tenant = await newTenant(worker);
    await make(tenant, { ...TOKENS });
    await make(tenant, { slug: "users", aggregation: "UNIQUE_COUNT", valueProperty: "$.user" });
    await send(tenant, [
      prompt("2023-01-01T00:00:00Z", { tokens: 1, model: "a", user: "x" }, "acme-1"),
      prompt("2023-01-01T00:00:00Z", { tokens: 2, model: "b", user: "y" }, "acme-2"),
      prompt("2023-01-01T00:00:00Z", { tokens: 4, model: "a", user: "x" }, "globex"),
      prompt("2023-01-01T00:00:00Z", { tokens: 8, model: "a", user: "z" }, "stranger"),
    ]);
    acme = await customer({ name: "Acme", key: "acme", usageAttribution: { subjectKeys: ["acme-1", "acme-2"] } });
    globex = await customer({ name: "Globex, Inc.", key: "globex" });
  }, LONG_MS);

  it("adds up what all its subjects used, and groups several customers by which it was", async () => {
    const total = { windowStart: day.from, windowEnd: day.to, subject: null, groupBy: {} };
    expect(await rowsOf(tenant, "tokens", { ...day, filterCustomerId: acme })).toEqual([{ ...total, value: 3 }]);
    const both = [acme, globex].sort();
    expect(await rowsOf(tenant, "tokens", { ...day, filterCustomerId: both })).toEqual(
      both.map((customerId) => ({ ...total, value: customerId === acme ? 3 : 4, customerId })),
    );
    expect(await rowsOf(tenant, "users", { ...day, filterCustomerId: acme, groupBy: "customer_id" })).toEqual([
      { ...total, value: 2, customerId: acme },
    ]);
    expect(await values(tenant, "tokens", { ...day, filterCustomerId: both, groupBy: ["model"] })).toHaveLength(3);
    const one = { ...day, filterCustomerId: both, subject: ["acme-2", "stranger"] };
    expect(await rowsOf(tenant, "tokens", one)).toMatchObject([{ value: 2, subject: "acme-2", customerId: acme }]);
  });

  it("names them in a file", async () => {
    const params = { ...day, filterCustomerId: globex, groupBy: ["customer_id", "model"] };
    const { body } = await get<string>(tenant, "tokens/query", params, { accept: "text/csv" });
    expect(body).toBe(
      "window_start,window_end,customer_id,customer_key,customer_name,model,value\n" +
        `2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,${globex},globex,"Globex, Inc.",a,4.000000\n`,
    );
  });

  it("is 404 for one that there is not: an unknown id, a key, another namespace's; a deleted one's usage stays", async () => {
    const deleted = await customer({ name: "Gone", key: "gone" });
    await send(tenant, [prompt("2024-06-01T00:00:00Z", { tokens: 5, user: "y" }, "gone")]);
    await worker.call("DELETE", `/api/v1/customers/${deleted}`, { key: tenant.apiKey });
    expect(await values(tenant, "tokens", { from: "2024-06-01T00:00:00Z", filterCustomerId: deleted })).toEqual([5]);
    const other = await newTenant(worker);
    await make(other, { ...TOKENS });
    for (const id of ["01JD8ZQ6M5T9W3XK2V7B4C1N0R", "acme", "stranger"])
      expect((await get(tenant, "tokens/query", { filterCustomerId: [acme, id] })).status, id).toBe(404);
    expect((await get(other, "tokens/query", { filterCustomerId: acme })).status).toBe(404);
  });

  it("finds all of a subject that was taken from its customer and is nobody's now", async () => {
    const once = await customer({ name: "Once", key: "once", usageAttribution: { subjectKeys: ["wanderer"] } });
    const at = (second: number) => prompt(`2023-01-01T00:00:0${second}Z`, { tokens: second, user: "y" }, "wanderer");
    await send(tenant, [at(1)]);
    const body = { name: "Once", key: "once" };
    expect(await worker.call("PUT", `/api/v1/customers/${once}`, { key: tenant.apiKey, body })).toMatchObject({
      status: 200,
    });
    await send(tenant, [at(2)]);
    expect(await values(tenant, "tokens", { subject: "wanderer" })).toEqual([3]);
    expect(await values(tenant, "users", { subject: "wanderer" }), "the same user, in two objects").toEqual([1]);
  });

  it("leaves the past of a subject that moved where it was, and a query of the subject finds all of it", async () => {
    const put = (id: string, body: Body) =>
      worker.call("PUT", `/api/v1/customers/${id}`, { key: tenant.apiKey, body: { name: "n", ...body } });
    expect((await put(acme, { key: "acme", usageAttribution: { subjectKeys: ["acme-1"] } })).status).toBe(200);
    const next = await customer({ name: "Next", usageAttribution: { subjectKeys: ["acme-2"] } });
    await send(tenant, [prompt("2023-01-01T12:00:00Z", { tokens: 16, model: "b", user: "y" }, "acme-2")]);
    expect(await values(tenant, "tokens", { ...day, filterCustomerId: acme })).toEqual([3]);
    expect(await values(tenant, "tokens", { ...day, filterCustomerId: next })).toEqual([16]);
    expect(await values(tenant, "tokens", { ...day, subject: "acme-2" })).toEqual([18]);
    expect(await values(tenant, "users", { ...day, subject: "acme-2" })).toEqual([1]);
    // The data of two subjects has moved into their customer's object meanwhile.
    await shipped(tenant);
    worker.advance(SETTLED_AFTER_MS + 1);
    await vi.waitFor(async () => expect(await get(tenant, "tokens/query")).toMatchObject({ status: 200 }), LONG_MS);
    // What the home told at once is in the queue, whose consumer has its own pace.
    await vi.waitFor(async () => expect(await values(tenant, "tokens", day)).toEqual([34]), LONG_MS);
    expect(await values(tenant, "users", day)).toEqual([3]);
  });
});

describe("a meter that is younger than its events", () => {
  it("counts them at once, by both roads, and so does one whose dimensions changed or that was made anew", async () => {
    const tenant = await newTenant(worker);
    const other = startWorker();
    await send(tenant, [
      prompt("2023-01-01T00:00:00Z", { tokens: 1, model: "a", kind: "x" }),
      prompt("2023-01-01T00:00:00Z", { tokens: 2, model: "b", kind: "y" }, "bob"),
    ]);
    // The isolate that knows the key does not know of the meter's configuration.
    expect((await get(tenant, "tokens/query", {}, {}, other)).status).toBe(404);
    const { id } = await make(tenant, { ...TOKENS, eventFrom: undefined });
    await shipped(tenant);
    const both = async (groupBy: string[], by = worker) => [
      await values(tenant, "tokens", { groupBy }, by),
      await values(tenant, "tokens", { groupBy, subject: ["ann", "bob"] }, by),
    ];
    expect(await both(["kind"], other)).toEqual([
      [1, 2],
      [1, 2],
    ]);
    await worker.call("PUT", "/api/v1/meters/tokens", { key: tenant.apiKey, body: { groupBy: { color: "$.model" } } });
    expect(await both(["color"], other)).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect((await get(tenant, "tokens/query", { groupBy: "kind" }, {}, other)).status).toBe(400);
    await send(tenant, [prompt("2023-01-01T00:00:01Z", { tokens: 4, model: "b" })]);
    await worker.call("DELETE", `/api/v1/meters/${id}`, { key: tenant.apiKey });
    await make(tenant, { ...TOKENS, aggregation: "MAX", eventFrom: "2023-01-01T00:00:00.500Z" });
    await shipped(tenant);
    expect(await values(tenant, "tokens", {}, other)).toEqual([4]);
    expect(await values(tenant, "tokens", { subject: ["ann", "bob"] }, other)).toEqual([4]);
  });

  it("is known to an isolate that does not know the configuration which brought it, and to the objects that it asks", async () => {
    const tenant = await newTenant(worker);
    const other = startWorker();
    await send(tenant, [
      prompt("2023-01-01T00:00:00Z", { tokens: 1 }),
      prompt("2023-01-01T00:00:00Z", { tokens: 2 }, "bob"),
    ]);
    await shipped(tenant);
    expect((await get(tenant, "tokens/query", {}, {}, other)).status).toBe(404);
    // No object hears of it while it is made.
    const unheard = new Proxy({} as CustomerRpc, { get: () => () => Promise.reject(new Error("not now")) });
    const making = startWorker({ override: () => ({ customer: () => unheard }) });
    const body = { ...TOKENS, eventType: "prompt" };
    expect((await making.call("POST", "/api/v1/meters", { key: tenant.apiKey, body })).status).toBe(200);
    expect(await values(tenant, "tokens", { subject: "ann" }, other)).toEqual([1]);
    expect(await values(tenant, "tokens", {}, other)).toEqual([3]);
  });

  it("says how far it is, with 503, while an object has not counted them, and marks itself folded once all have", async () => {
    const tenant = await newTenant(worker);
    await send(
      tenant,
      ["ann", "bob", "carl"].map((subject) => prompt("2023-01-01T00:00:00Z", { tokens: 1 }, subject)),
    );
    await shipped(tenant);
    let blocked = true;
    const slow = startWorker({
      override: (context) => ({
        customer: (name: string) => {
          const object = context.customer(name);
          // Base64url of bob.
          if (!blocked || !name.endsWith("/Ym9i")) return object;
          const refold = async () => ({ ok: true, left: { done: 1, total: 9 } }) as const;
          return new Proxy(object, { get: (of, call) => (call === "refold" ? refold : Reflect.get(of, call)) });
        },
      }),
    });
    const made = await slow.call("POST", "/api/v1/meters", {
      key: tenant.apiKey,
      body: { ...TOKENS, eventType: "prompt" },
    });
    expect(made.status).toBe(200);
    const answer = await get(tenant, "tokens/query", {}, {}, slow);
    expect(answer).toMatchObject({
      status: 503,
      body: { type: "https://tollgate.dev/problems/folding", done: 2, total: 3 },
    });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await values(tenant, "tokens", { subject: "ann" }, slow), "who has counted answers").toEqual([1]);
    const foldedAt = async () =>
      (await worker
        .context()
        .env.DB.prepare("select folded_at from meters where namespace_id = ?")
        .bind(tenant.id)
        .first("folded_at")) !== null;
    slow.advance(2 * MINUTE_MS);
    await jobs["* * * * *"]!(slow.context(), MINUTE_MS);
    expect(await foldedAt()).toBe(false);
    blocked = false;
    await jobs["* * * * *"]!(slow.context(), MINUTE_MS);
    expect(await foldedAt()).toBe(true);
    expect(await values(tenant, "tokens", {}, slow)).toEqual([3]);
  });

  it("is not asked while the data of one customer moves into another's", async () => {
    const tenant = await newTenant(worker);
    await make(tenant, { ...TOKENS });
    const { store } = worker.context();
    const [source, home] = [`${tenant.id}/YQ`, `${tenant.id}/Yg`];
    const merge = await startMerge(store, tenant.id, { source, home }, worker.now());
    expect(await get(tenant, "tokens/query")).toMatchObject({
      status: 503,
      body: { type: "https://tollgate.dev/problems/try-again" },
    });
    expect(await get(tenant, "tokens/query", { subject: "ann" })).toMatchObject({ status: 200 });
    await finishMerge(store, tenant.id, merge.id, worker.now());
    expect(await get(tenant, "tokens/query"), "the rollups follow").toMatchObject({ status: 503 });
    worker.advance(SETTLED_AFTER_MS + 1);
    expect(await get(tenant, "tokens/query")).toMatchObject({ status: 200 });
  });

  it("leaves no rollups of what it was before, once every object knows what it is", async () => {
    const tenant = await newTenant(worker);
    const by = startWorker();
    await make(tenant, { ...TOKENS });
    await make(tenant, { slug: "gone", aggregation: "COUNT" });
    await send(tenant, [prompt("2023-01-01T00:00:00Z", { tokens: 1, model: "a" })]);
    await shipped(tenant);
    const keys = async () => {
      const rows = await worker
        .context()
        .env.DB.prepare("select distinct meter_key from rollups where namespace_id = ?")
        .bind(tenant.id)
        .all();
      return rows.results.map(({ meter_key }) => meter_key as string).sort();
    };
    const current = async () =>
      (JSON.parse((await currentConfig(by.context().store, tenant.id))!.snapshot!) as { meters: Meter[] }).meters
        .map(foldKeyOf)
        .sort();
    const before = await keys();
    expect(before).toHaveLength(2);
    await by.call("PUT", "/api/v1/meters/tokens", { key: tenant.apiKey, body: { groupBy: { model: "$.model" } } });
    await by.call("DELETE", "/api/v1/meters/gone", { key: tenant.apiKey });
    const purge = () => jobs["* * * * *"]!(by.context(), HOUR_MS / 2);
    await purge();
    expect(await keys(), "nobody can be sure yet that all objects know").toHaveLength(2);
    by.advance(2 * MINUTE_MS);
    await purge();
    expect(await keys()).toEqual(await current());
    expect(await values(tenant, "tokens", { groupBy: "model" }, by)).toEqual([1]);
  });
});

describe("a query past its bounds", () => {
  it("is refused when more customers would have to be asked than it may ask", async () => {
    const tenant = await newTenant(worker);
    const { id } = await make(tenant, { slug: "users", aggregation: "UNIQUE_COUNT", valueProperty: "$.user" });
    await make(tenant, { ...TOKENS });
    const { meters } = JSON.parse((await currentConfig(worker.context().store, tenant.id))!.snapshot!) as {
      meters: Meter[];
    };
    const windowStart = Math.floor(worker.now() / (15 * MINUTE_MS)) * 15 * MINUTE_MS - HOUR_MS;
    const messages = Array.from({ length: OBJECTS_ASKED_MAX + 1 }, (_, n) =>
      rating({
        namespaceId: tenant.id,
        object: `${tenant.id}/o${n}`,
        foldedVersion: 1_000,
        customer: { ...rating({ namespaceId: tenant.id }).customer, id: `c${n}`, key: `k${n}` },
        rollups: meters.flatMap((meter) => {
          const group = meter.id === id ? '["s"]' : '["s","",""]';
          return (["minute", "quarter"] as const).map((resolution) =>
            rollup({ meter: foldKeyOf(meter), resolution, windowStart, group }),
          );
        }),
      }),
    );
    await applyRating(worker.context().store, messages);
    const unique = await get(tenant, "users/query");
    expect(unique).toMatchObject({ status: 422, body: { type: "https://tollgate.dev/problems/at-bound" } });
    expect(unique.body.detail).toContain("the distinct values of more than 500 customers");
    const edge = { from: new Date(windowStart + 30_000).toISOString() };
    expect(await get(tenant, "tokens/query", edge)).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining("whole minutes") },
    });
    expect(await values(tenant, "tokens")).toEqual([OBJECTS_ASKED_MAX + 1]);
    const minute = { from: new Date(windowStart).toISOString(), to: new Date(windowStart + MINUTE_MS).toISOString() };
    expect(await values(tenant, "tokens", minute)).toEqual([OBJECTS_ASKED_MAX + 1]);
  });

  it("is refused by a dimension of which one customer has too many values, and by no other", async () => {
    const tenant = await newTenant(worker);
    await make(tenant, { ...TOKENS });
    const { meters } = JSON.parse((await currentConfig(worker.context().store, tenant.id))!.snapshot!) as {
      meters: Meter[];
    };
    const windowStart = Math.floor(worker.now() / (15 * MINUTE_MS)) * 15 * MINUTE_MS;
    const counted = (group: string) =>
      rollup({ meter: foldKeyOf(meters[0]!), resolution: "quarter", windowStart, group, sum: "2" });
    // In the order of the dimensions' names: kind, model.
    const rollups = ['["ann","input","m1"]', '["ann","input",null]', '["bob","output",null]'].map(counted);
    await applyRating(worker.context().store, [rating({ namespaceId: tenant.id, foldedVersion: 1_000, rollups })]);
    expect(await values(tenant, "tokens")).toEqual([6]);
    expect(await values(tenant, "tokens", { groupBy: ["kind", "subject"] })).toEqual([4, 2]);
    expect(await values(tenant, "tokens", { "filterGroupBy[kind]": "output" })).toEqual([2]);
    for (const params of [
      { groupBy: "model" },
      { "filterGroupBy[model]": "m1" },
      { groupBy: ["kind", "model"], windowSize: "DAY" },
    ] as Params[])
      expect(await get(tenant, "tokens/query", params)).toMatchObject({
        status: 422,
        body: {
          type: "https://tollgate.dev/problems/at-bound",
          detail: expect.stringContaining("no longer told apart by model"),
        },
      });
    expect((await get(tenant, "tokens/group-by/model/values")).status).toBe(422);
    expect((await get(tenant, "tokens/group-by/kind/values")).body).toEqual(["input", "output"]);
  });
});
