/** Every kind of bad input the issue names: a 4xx problem that says what to change, and nothing is kept of it. */
import { beforeAll, describe, expect, it } from "vitest";
import { ADMIN_KEY, newTenant, someEvent, startWorker, type CallOptions, type Tenant } from "../harness";

const worker = startWorker();
let tenant: Tenant;
let untouched: unknown;

const stateOf = async () => {
  const key = tenant.apiKey;
  const read = async (path: string) => (await worker.call("GET", path, { key })).body;
  return Promise.all([
    read("/api/v1/clock"),
    read("/api/v1/burn-tables"),
    read("/api/v1/burn-tables/standard/versions"),
    read("/api/v1/wallets/known"),
    read("/api/v1/wallets/known/grants"),
    read("/api/v1/wallets/known/transactions"),
    read("/api/v1/wallets/nobody"),
    read("/api/v1/dead-letters"),
    read("/api/v1/api-keys").then((keys) => (keys.items as { id: string }[]).map(({ id }) => id)),
  ]);
};

beforeAll(async () => {
  tenant = await newTenant(worker, "sandbox");
  const key = tenant.apiKey;
  await worker.call("PUT", "/api/v1/clock", { key, body: { now: "2030-01-01T00:00:00Z" } });
  const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 1, per: 1 }] };
  expect((await worker.call("POST", "/api/v1/burn-tables", { key, body: table })).status).toBe(201);
  expect(
    (await worker.call("POST", "/api/v1/wallets/known/grants", { key, body: { amount: 10, kind: "paid", id: "g1" } }))
      .status,
  ).toBe(201);
  const track = { customer: "known", feature: "f", usage: { tokens: 1 }, id: "t1" };
  expect((await worker.call("POST", "/api/v1/track", { key, body: track })).status).toBe(200);
  untouched = await stateOf();
});

type Case = [what: string, method: string, path: string, options: CallOptions, status: number, detail: RegExp];

const track = (over: Record<string, unknown>) => ({ customer: "nobody", feature: "f", usage: { tokens: 1 }, ...over });
/** A JSON body whose numbers a JavaScript literal cannot spell. */
const trackText = (tokens: string) => `{"customer":"nobody","feature":"f","usage":{"tokens":${tokens}}}`;
const event = (over: Record<string, unknown>) => someEvent({ subject: "nobody", ...over });
const nested = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`);

const TRACK = "/api/v1/track";
const EVENTS = "/api/v1/events";
const TABLES = "/api/v1/burn-tables";
const WALLET = "/api/v1/wallets/known";
const BATCH = "application/cloudevents-batch+json";
const ONE = "application/cloudevents+json";

const cases: Case[] = [
  // Malformed JSON
  ["a body that is cut off", "POST", TRACK, { body: '{"customer":' }, 400, /not JSON/],
  ["a body that is cut off, in events", "POST", EVENTS, { body: '[{"id":' }, 400, /not JSON/],
  ["an empty body", "POST", TRACK, { body: "" }, 400, /empty/],
  ["a body of blanks", "POST", EVENTS, { body: "  \n" }, 400, /empty/],
  ["bytes that are no UTF-8", "POST", EVENTS, { body: new Uint8Array([0x22, 0xff, 0x22]) }, 400, /UTF-8/],
  ["NaN, which JSON has not", "POST", TRACK, { body: trackText("NaN") }, 400, /not JSON/],
  ["an array where an object belongs", "POST", TRACK, { body: [track({})] }, 400, /must be a JSON object/],
  ["null where an object belongs", "PATCH", WALLET, { body: "null" }, 400, /must be a JSON object/],

  // Wrong content type
  ["no content type", "POST", EVENTS, { body: [event({})], type: "" }, 400, /content type/],
  ["text", "POST", TRACK, { body: track({}), type: "text/plain" }, 415, /application\/json/],
  ["a form", "POST", TABLES, { body: "key=a", type: "application/x-www-form-urlencoded" }, 415, /application\/json/],
  [
    "parameters of a content type that is compared exactly",
    "POST",
    EVENTS,
    { body: [event({})], type: "application/json; charset=utf-8" },
    400,
    /content type/,
  ],
  ["an array as one event", "POST", EVENTS, { body: [event({})], type: ONE }, 400, /one event/],
  ["one event as a batch", "POST", EVENTS, { body: event({}), type: BATCH }, 400, /array/],
  [
    "a compressed body",
    "POST",
    EVENTS,
    { body: [event({})], headers: { "content-encoding": "gzip" } },
    415,
    /compressed/,
  ],

  // Unknown, missing and mistyped fields
  ["an unknown field", "POST", TRACK, { body: track({ userId: "u" }) }, 400, /userId is not a known field/],
  ["a later issue's field", "POST", TRACK, { body: track({ holdId: "h" }) }, 400, /holdId/],
  [
    "an unknown field in a patch",
    "PATCH",
    WALLET,
    { body: { autoTopUp: null } },
    400,
    /autoTopUp is not a known field/,
  ],
  [
    "an unknown field in a rule",
    "POST",
    TABLES,
    { body: { key: "x", currency: "CREDITS", rules: [{ dimension: "a", rate: 1, per: 1, rats: 1 }] } },
    400,
    /rats/,
  ],
  ["an unknown parameter", "GET", `${WALLET}/grants?offset=3`, {}, 400, /offset/],
  [
    "a missing field",
    "POST",
    TRACK,
    { body: { customer: "nobody", usage: { tokens: 1 } } },
    400,
    /feature is required/,
  ],
  ["a mistyped field", "POST", TRACK, { body: track({ enforce: "yes" }) }, 400, /enforce must be true or false/],
  ["a patch of nothing", "PATCH", WALLET, { body: {} }, 400, /change something/],
  ["no usage", "POST", TRACK, { body: track({ usage: {} }) }, 400, /usage/],
  [
    "an attribute that CloudEvents cannot have",
    "POST",
    EVENTS,
    { body: [event({ userId: 1 })] },
    400,
    /event 0: userId/,
  ],
  ["an extension attribute that is an object", "POST", EVENTS, { body: [event({ trace: {} })] }, 400, /event 0: trace/],
  ["a missing id", "POST", EVENTS, { body: [event({}), event({ id: undefined })] }, 400, /event 1: id is required/],
  ["another version of CloudEvents", "POST", EVENTS, { body: [event({ specversion: "0.3" })] }, 400, /specversion/],
  ["data that is text", "POST", EVENTS, { body: [event({ data: "x" })] }, 400, /event 0: data/],
  [
    "data that is base64",
    "POST",
    EVENTS,
    { body: [event({ data_base64: "eA==" })] },
    400,
    /data_base64 is not supported/,
  ],
  ["a time that is none", "POST", EVENTS, { body: [event({ time: "yesterday" })] }, 400, /RFC 3339/],
  ["a day that is none", "POST", EVENTS, { body: [event({ time: "2026-02-30T00:00:00Z" })] }, 400, /RFC 3339/],
  ["no events", "POST", EVENTS, { body: [] }, 400, /at least one/],
  ["a page that is too long", "GET", `${WALLET}/grants?limit=101`, {}, 400, /limit/],
  ["a cursor that is none", "GET", `${WALLET}/transactions?cursor=nonsense`, {}, 400, /cursor/],

  // Numbers
  ["NaN as text", "POST", TRACK, { body: track({ usage: { tokens: "NaN" } }) }, 400, /usage\.tokens/],
  ["infinity as text", "POST", TRACK, { body: track({ usage: { tokens: "Infinity" } }) }, 400, /usage\.tokens/],
  ["hex", "POST", TRACK, { body: track({ usage: { tokens: "0x10" } }) }, 400, /usage\.tokens/],
  ["a number past any double", "POST", TRACK, { body: trackText("1e400") }, 400, /usage\.tokens/],
  ["27 digits", "POST", TRACK, { body: trackText("1" + "0".repeat(26)) }, 400, /26 digits/],
  ["13 places", "POST", TRACK, { body: trackText("0.0000000000001") }, 400, /12 digits/],
  [
    "13 places in a grant",
    "POST",
    `${WALLET}/grants`,
    { body: { amount: "0.1234567890123", kind: "paid" } },
    400,
    /amount/,
  ],
  [
    "usage below nothing",
    "POST",
    TRACK,
    { body: track({ usage: { tokens: -1 } }) },
    400,
    /usage\.tokens must not be negative/,
  ],
  [
    "usage below nothing, asked",
    "POST",
    "/api/v1/check",
    { body: track({ usage: { tokens: -1 } }) },
    400,
    /usage\.tokens/,
  ],
  [
    "usage below nothing, quoted",
    "POST",
    "/api/v1/quote",
    { body: { feature: "f", usage: { tokens: -1 } } },
    400,
    /usage\.tokens/,
  ],
  [
    "a grant of nothing",
    "POST",
    `${WALLET}/grants`,
    { body: { amount: 0, kind: "paid" } },
    400,
    /amount must be greater/,
  ],
  ["an overdraft below nothing", "PATCH", WALLET, { body: { overdraftLimit: -1 } }, 400, /overdraftLimit/],
  [
    "a rate below nothing",
    "POST",
    TABLES,
    { body: { key: "x", currency: "CREDITS", rules: [{ dimension: "a", rate: -1, per: 1 }] } },
    400,
    /rate/,
  ],
  [
    "a rate per nothing",
    "POST",
    TABLES,
    { body: { key: "x", currency: "CREDITS", rules: [{ dimension: "a", rate: 1, per: 0 }] } },
    400,
    /per/,
  ],
  ["usage that is no number", "POST", TRACK, { body: track({ usage: { tokens: null } }) }, 400, /usage\.tokens/],

  // Depth and size
  ["absurd depth in usage data", "POST", EVENTS, { body: [event({ data: nested(70) })] }, 400, /deep/],
  ["absurd depth in metadata", "POST", TRACK, { body: track({ metadata: nested(70) }) }, 400, /deep/],
  ["a million brackets", "POST", EVENTS, { body: "[".repeat(1_000_000) + "]".repeat(1_000_000) }, 400, /deep/],
  [
    "too many events",
    "POST",
    EVENTS,
    { body: Array.from({ length: 10_001 }, () => ({ specversion: "1.0" })) },
    400,
    /at most 10000 events/,
  ],
  [
    "one huge event",
    "POST",
    EVENTS,
    { body: [event({ data: { text: "x".repeat(257 * 1024) } })] },
    400,
    /at most 262144 bytes/,
  ],
  ["a huge track", "POST", TRACK, { body: track({ metadata: { text: "x".repeat(257 * 1024) } }) }, 413, /at most/],
  ["a huge body", "POST", EVENTS, { body: `[${" ".repeat(10 * 1024 * 1024)}]` }, 413, /at most 10485760 bytes/],
  ["a huge body of our own resources", "POST", TABLES, { body: `{${" ".repeat(1024 * 1024)}}` }, 413, /at most/],

  // Hostile keys
  [
    "a name of 513 characters",
    "POST",
    EVENTS,
    { body: [event({ id: "x".repeat(513) })] },
    400,
    /event 0: id must be at most 512/,
  ],
  ["NUL in an id", "POST", EVENTS, { body: [event({ id: "a\0b" })] }, 400, /event 0: id must not contain NUL/],
  ["NUL in a source", "POST", TRACK, { body: track({ source: "a\0" }) }, 400, /source must not contain NUL/],
  [
    "half a character in an id",
    "POST",
    EVENTS,
    { body: [event({ id: "\ud800" })] },
    400,
    /event 0: id must not contain/,
  ],
  [
    "half a character in a subject",
    "POST",
    EVENTS,
    { body: [event({ subject: "\udc00a" })] },
    400,
    /event 0: subject must not contain/,
  ],
  ["NUL in a customer", "GET", "/api/v1/wallets/a%00b", {}, 400, /customer/],
  ["a customer of 513 characters", "GET", `/api/v1/wallets/${"x".repeat(513)}`, {}, 400, /customer/],
  ["a customer that is no percent-encoding", "GET", "/api/v1/wallets/%E0%A4%A", {}, 400, /customer is not valid/],
  ["an empty customer", "POST", TRACK, { body: track({ customer: "" }) }, 400, /customer must not be empty/],
  [
    "a dimension that is a trap",
    "POST",
    TRACK,
    { body: '{"customer":"nobody","feature":"f","usage":{"__proto__":1}}' },
    400,
    /__proto__/,
  ],
  [
    "a field that is a trap",
    "POST",
    TRACK,
    { body: '{"__proto__":{"enforce":true},"customer":"nobody","feature":"f","usage":{"tokens":1}}' },
    400,
    /__proto__/,
  ],
  ["a trap in a patch", "PATCH", WALLET, { body: '{"__proto__":{"status":"FROZEN"}}' }, 400, /__proto__/],
  [
    "metadata under our own names",
    "POST",
    TRACK,
    { body: track({ metadata: { feature: "free" } }) },
    400,
    /metadata\.feature/,
  ],
  [
    "an unknown customer that looks like an id",
    "GET",
    "/api/v1/wallets/01JD8ZQ6M5T9W3XK2V7B4C1N0R",
    {},
    404,
    /no customer/,
  ],
  [
    "an unknown customer that looks like an id, tracked",
    "POST",
    TRACK,
    { body: track({ customer: "01JD8ZQ6M5T9W3XK2V7B4C1N0R" }) },
    404,
    /no customer/,
  ],
  ["an unknown burn table", "PATCH", WALLET, { body: { burnTable: "nowhere" } }, 422, /burn table/],
  ["an unknown grant", "POST", `${WALLET}/grants/nothing/void`, {}, 404, /grant/],
  ["a key that is no key", "POST", "/api/v1/api-keys", { body: { name: "k", scopes: ["root"] } }, 400, /scopes/],
  [
    "an expiry in the past",
    "POST",
    "/api/v1/api-keys",
    { body: { name: "k", scopes: ["read"], expiresAt: "2020-01-01T00:00:00Z" } },
    400,
    /future/,
  ],
  [
    "an Idempotency-Key that is none",
    "POST",
    TRACK,
    { body: track({}), headers: { "idempotency-key": "a b" } },
    400,
    /Idempotency-Key/,
  ],

  // Times and ranges
  [
    "a range that ends before it starts",
    "POST",
    "/api/v1/events/rate",
    { body: { from: "2026-02-01T00:00:00Z", to: "2026-02-01T01:00:00+02:00" } },
    400,
    /from must not be after `to`/,
  ],
  [
    "an unknown customer that looks like an id, rated",
    "POST",
    "/api/v1/events/rate",
    { body: { customer: "01JD8ZQ6M5T9W3XK2V7B4C1N0R" } },
    404,
    /no customer/,
  ],

  // Bodies of calls whose path says everything
  [
    "a field in a void",
    "POST",
    `${WALLET}/grants/g1/void`,
    { body: { amount: 1 } },
    400,
    /amount is not a known field/,
  ],
  ["a list as the body of a void", "POST", `${WALLET}/grants/g1/void`, { body: [] }, 400, /must be a JSON object/],
  ["a void that is no JSON", "POST", `${WALLET}/grants/g1/void`, { body: "void" }, 400, /not JSON/],

  // Cursors that no page gave out
  ...["burn-tables", "burn-tables/standard/versions", "dead-letters", "api-keys"].map((list): Case => [
    `a cursor that is none, of ${list}`,
    "GET",
    `/api/v1/${list}?cursor=%20x`,
    {},
    400,
    /cursor is no/,
  ]),
  ["a version that is none", "GET", `${TABLES}/standard/versions?cursor=1e3`, {}, 400, /cursor is no/],
  ["a cursor that is none, of grants", "GET", `${WALLET}/grants?cursor=%20x`, {}, 400, /cursor/],

  // Ids in paths
  ["an API key's id that is none", "DELETE", "/api/v1/api-keys/nonsense", {}, 404, /this API key does not exist/],
  [
    "an API key's id that is none, rotated",
    "POST",
    "/api/v1/api-keys/nonsense/rotate",
    { body: { overlap: "PT1H" } },
    404,
    /this API key does not exist/,
  ],
  ["a dead letter's id that is none", "POST", "/api/v1/dead-letters/nonsense/replay", {}, 404, /this dead letter/],

  // Ids used again with another body
  [
    "an event id with another quantity",
    "POST",
    TRACK,
    { body: track({ customer: "known", id: "t1", usage: { tokens: 2 } }) },
    409,
    /source and id/,
  ],
  [
    "a grant id with another amount",
    "POST",
    `${WALLET}/grants`,
    { body: { amount: 11, kind: "paid", id: "g1" } },
    409,
    /another body/,
  ],

  // Time
  ["the clock moved back", "PUT", "/api/v1/clock", { body: { now: "2029-12-31T23:59:59Z" } }, 400, /forward only/],
];

describe("bad input is refused with what to change", () => {
  it.each(cases)("%s", async (_, method, path, options, status, detail) => {
    const answer = await worker.call<{ detail: string; title: string; instance: string }>(method, path, {
      key: tenant.apiKey,
      ...options,
    });
    expect(answer.body).toMatchObject({ status });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body.detail).toMatch(detail);
    expect(answer.body.instance).toMatch(/^urn:request:\S+$/);
  });

  it("leaves everything as it was", async () => {
    expect(await stateOf()).toEqual(untouched);
    expect(worker.reports).toEqual([]);
  });
});

type Faults = { field: string; message: string }[];
const rule = { dimension: "a", rate: 1, per: 1 };
const tableOf = (over: Record<string, unknown>) => ({ key: "x", currency: "CREDITS", rules: [rule], ...over });
const said: [what: string, method: string, path: string, body: unknown, faults: Faults][] = [
  [
    "a missing decimal",
    "POST",
    TABLES,
    tableOf({ rules: [rule, { dimension: "b", rate: 1 }] }),
    [{ field: "rules[1].per", message: "is required" }],
  ],
  [
    "a bad decimal, which core reads, by the same notation",
    "POST",
    TABLES,
    tableOf({ rules: [rule, { dimension: "b", rate: 1, per: 0 }] }),
    [{ field: "rules[1].per", message: "must be greater than zero" }],
  ],
  ...["/api/v1/check", TRACK].map((path): (typeof said)[number] => [
    `a quantity of null, sent to ${path}`,
    "POST",
    path,
    { customer: "nobody", feature: "f", usage: { tokens: null } },
    [{ field: "usage.tokens", message: "must be a number or decimal text" }],
  ]),
  [
    "a name of a dimension that zod would leave out",
    "POST",
    "/api/v1/check",
    '{"customer":"nobody","feature":"f","usage":{"__proto__":1}}',
    [{ field: 'usage["__proto__"]', message: "is not a name that can be used here" }],
  ],
  [
    "a trap deep inside",
    "POST",
    TABLES,
    '{"key":"x","currency":"CREDITS","rules":[],"mappings":[{"eventType":"e","feature":"f","usage":{"__proto__":"$.a"}}]}',
    [{ field: 'mappings[0].usage["__proto__"]', message: "is not a name that can be used here" }],
  ],
  [
    "a limit that is too large",
    "GET",
    `${TABLES}?limit=101`,
    undefined,
    [{ field: "limit", message: "must be at most 100" }],
  ],
  [
    "a limit past any integer, which is wrong twice",
    "GET",
    `${TABLES}?limit=1e300`,
    undefined,
    [{ field: "limit", message: "must be at most 100" }],
  ],
  ["a limit of nothing", "GET", `${TABLES}?limit=0`, undefined, [{ field: "limit", message: "must be at least 1" }]],
  ["a limit that is text", "GET", `${TABLES}?limit=x`, undefined, [{ field: "limit", message: "must be a number" }]],
  ["half a page", "GET", `${TABLES}?limit=1.5`, undefined, [{ field: "limit", message: "must be a whole number" }]],
  [
    "a repeated parameter",
    "GET",
    `${TABLES}?limit=1&limit=2`,
    undefined,
    [{ field: "limit", message: "must be given only once" }],
  ],
  [
    "a time that is none, once",
    "PUT",
    "/api/v1/clock",
    { now: "zz" },
    [{ field: "now", message: "must be an RFC 3339 date and time, like 2026-11-21T09:30:00Z" }],
  ],
  ["a missing time", "PUT", "/api/v1/clock", {}, [{ field: "now", message: "is required" }]],
  ["an unknown field alone", "PATCH", WALLET, { a: 1 }, [{ field: "a", message: "is not a known field" }]],
  ["nothing to change", "PATCH", WALLET, {}, [{ field: "", message: "must change something" }]],
  [
    "several faults, one a field",
    "POST",
    "/api/v1/api-keys",
    { name: "", scopes: ["root", 5], x: 1 },
    [
      { field: "name", message: "must not be empty" },
      { field: "scopes[0]", message: 'must be one of "ingest", "read", "write", "billing", "admin"' },
      { field: "scopes[1]", message: 'must be one of "ingest", "read", "write", "billing", "admin"' },
      { field: "x", message: "is not a known field" },
    ],
  ],
  [
    "mistyped and missing fields",
    "POST",
    `${WALLET}/grants`,
    { amount: true, priority: 256, reason: "x".repeat(257) },
    [
      { field: "amount", message: "must be a number or decimal text" },
      { field: "kind", message: "is required" },
      { field: "priority", message: "must be at most 255" },
      { field: "reason", message: "must be at most 256 characters" },
    ],
  ],
  [
    "a condition that cannot be compared with",
    "POST",
    TABLES,
    tableOf({ mappings: [{ eventType: "e", where: { "$.a": [] }, feature: "f", usage: { a: "$.b" } }] }),
    [{ field: 'mappings[0].where["$.a"]', message: "must be a string, or a number, or true or false, or null" }],
  ],
];

it.each(said)("names each fault once, in plain words and one notation: %s", async (_, method, path, body, faults) => {
  const answer = await worker.call<{ validationErrors: Faults }>(method, path, { key: tenant.apiKey, body });
  expect(answer.status).toBe(400);
  expect(answer.body.validationErrors).toEqual(faults);
});

it("voids with no body and with an empty one alike", async () => {
  const key = tenant.apiKey;
  for (const [i, options] of [{}, { body: {} }, { body: "", type: "text/plain" }, { body: " \n" }].entries()) {
    const grants = "/api/v1/wallets/voided/grants";
    await worker.call("POST", grants, { key, body: { amount: 1, kind: "paid", id: `v${i}` } });
    const answer = await worker.call("POST", `${grants}/v${i}/void`, { key, ...options });
    expect(answer, JSON.stringify(options)).toMatchObject({ status: 200, body: { status: "voided" } });
  }
});

it("goes on from its own cursors in every list", async () => {
  const key = tenant.apiKey;
  for (const body of [tableOf({}), tableOf({}), tableOf({ key: "A.b-c_1" })])
    expect((await worker.call("POST", TABLES, { key, body })).status).toBe(201);
  for (const name of ["a", "b"])
    expect((await worker.call("POST", "/api/v1/api-keys", { key, body: { name, scopes: ["read"] } })).status).toBe(201);
  const namespaces = { path: "/api/v1/namespaces", key: ADMIN_KEY };
  await newTenant(worker);
  const own = [TABLES, `${TABLES}/x/versions`, "/api/v1/api-keys"].map((path) => ({ path, key }));
  for (const list of [namespaces, ...own]) {
    const page = (cursor = "") =>
      worker.call<{ items: unknown[]; nextCursor?: string }>("GET", `${list.path}?limit=1${cursor}`, { key: list.key });
    const first = (await page()).body;
    const second = await page(`&cursor=${encodeURIComponent(first.nextCursor!)}`);
    expect(second.status, list.path).toBe(200);
    expect(second.body.items).toHaveLength(1);
    expect(second.body.items).not.toEqual(first.items);
  }
  expect((await worker.call("GET", "/api/v1/namespaces?cursor=x", { key: ADMIN_KEY })).status).toBe(400);
});

it("keeps nothing of a batch with one bad event, and names its index and field", async () => {
  const key = tenant.apiKey;
  const counts = async () => {
    const { outbox: _age, ...rest } = (await worker.call("GET", "/api/v1/status", { key })).body as { outbox: unknown };
    return rest;
  };
  const before = await counts();
  const good = Array.from({ length: 20 }, (_, i) => event({ subject: `fresh-${i}`, data: { usage: { tokens: 1 } } }));
  const answer = await worker.call("POST", EVENTS, { key, body: [...good, event({ type: 7 }), ...good] });
  expect(answer).toMatchObject({
    status: 400,
    body: { validationErrors: [{ index: 20, field: "type", message: "must be a string" }] },
  });
  for (const subject of ["fresh-0", "fresh-19"]) {
    expect((await worker.call("GET", `/api/v1/wallets/${subject}`, { key })).body).toMatchObject({
      customerId: null,
      balance: "0",
    });
  }
  expect(await counts()).toEqual(before);
});

it("moves no clock in a live namespace", async () => {
  const live = await newTenant(worker, "live");
  const answer = await worker.call("PUT", "/api/v1/clock", { key: live.apiKey, body: { now: "2040-01-01T00:00:00Z" } });
  expect(answer).toMatchObject({ status: 409, body: { type: "https://tollgate.dev/problems/live-namespace" } });
});

it("tells nothing of an unknown error but the id under which it is logged", async () => {
  const broken = startWorker({
    override: () => ({
      customer: () => {
        throw new Error("the database password is hunter2");
      },
    }),
  });
  const { apiKey: key } = await newTenant(broken);
  const answer = await broken.call<{ instance: string }>("GET", "/api/v1/wallets/anyone", { key });
  expect(answer.status).toBe(500);
  expect(JSON.stringify(answer.body)).not.toContain("hunter2");
  expect(broken.reports).toEqual([
    {
      event: "request failed",
      detail: expect.objectContaining({
        requestId: answer.body.instance.replace("urn:request:", ""),
        cause: expect.stringContaining("hunter2"),
      }),
    },
  ]);
  expect(JSON.stringify(broken.reports)).not.toContain(key);
});
