/** Meters over HTTP: what may be one, what may change, and what OpenMeter's users see of it. */
import { beforeAll, describe, expect, it } from "vitest";
import { createFeature, type NewFeature } from "../../store/features";
import { currentConfig } from "../../store/config";
import { foldKeyOf, type Meter } from "../../core/meter";
import { newTenant, startWorker, type Answer, type Tenant } from "../harness";

const worker = startWorker();
let tenant: Tenant;
beforeAll(async () => {
  tenant = await newTenant(worker);
});

type Body = Record<string, unknown>;
const call = <T = Body>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  of = tenant,
) => worker.call<T>(method, `/api/v1/meters${path}`, { key: of.apiKey, body, headers });
const faultsOf = ({ body }: Answer) =>
  (body.validationErrors as { field: string; message: string }[]).map(({ field, message }) => `${field} ${message}`);

let made = 0;
/** A body that is right, under a slug of its own. */
const input = (of: Body = {}): Body => ({
  slug: `tokens_${made++}`,
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { model: "$.model", type: "$.type" },
  ...of,
});
const make = async (of: Body = {}) => {
  const answer = await call("POST", "", input(of));
  expect(answer).toMatchObject({ status: 200 });
  return answer.body as { id: string; slug: string; createdAt: string };
};
const snapshot = async (of = tenant) => {
  const config = (await currentConfig(worker.context().store, of.id))!;
  return {
    version: config.version,
    meters: (JSON.parse(config.snapshot ?? "{}") as { meters?: Meter[] }).meters ?? [],
  };
};
const feature = (meter: { id: string; slug: string }, of: Partial<NewFeature> = {}): NewFeature => ({
  id: worker.context().newId(),
  key: `feature_${made++}`,
  name: "f",
  meterId: meter.id,
  meterKey: meter.slug,
  filters: null,
  unitCost: null,
  metadata: null,
  createdAt: 1,
  updatedAt: 1,
  ...of,
});
const addFeature = async (meter: { id: string; slug: string; updatedAt?: string }, of: Partial<NewFeature> = {}) => {
  const { body } = await call<{ updatedAt: string }>("GET", `/${meter.id}`);
  const created = await createFeature(
    worker.context().store,
    tenant.id,
    feature(meter, of),
    Date.parse(body.updatedAt),
  );
  expect(created).toMatchObject({ ok: true });
};

describe("making a meter", () => {
  it("answers 200 with the meter, named by its slug, and without what it does not have", async () => {
    const { status, body } = await call("POST", "", { slug: "requests", eventType: "request", aggregation: "COUNT" });
    expect(status).toBe(200);
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
      slug: "requests",
      name: "requests",
      eventType: "request",
      aggregation: "COUNT",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      updatedAt: body.createdAt,
    });
  });

  it("keeps all that was given, ignores what it does not know, and is read by id and by slug", async () => {
    const given = input({
      name: "Tokens",
      description: "all of them",
      metadata: { team: "ä" },
      eventFrom: "2024-01-01T01:00:00+01:00",
    });
    const { body } = await call("POST", "", { ...given, id: "mine", annotations: { a: 1 }, windowSize: "MINUTE" });
    const expected = { ...given, eventFrom: "2024-01-01T00:00:00.000Z" };
    expect(body).toEqual({ ...expected, id: body.id, createdAt: body.createdAt, updatedAt: body.updatedAt });
    for (const idOrSlug of [body.id, given.slug])
      expect(await call("GET", `/${idOrSlug as string}`)).toMatchObject({ status: 200, body });
  });

  it("publishes what objects fold by, with the version that its row says", async () => {
    const other = await newTenant(worker);
    const { body } = await call("POST", "", input({ slug: "first" }), {}, other);
    const { version, meters } = await snapshot(other);
    expect(meters).toMatchObject([{ id: body.id, key: "first", valueProperty: "$.tokens", eventFrom: null }]);
    const row = await worker
      .context()
      .env.DB.prepare("select config_version from meters where id = ?")
      .bind(body.id)
      .first("config_version");
    expect(row).toBe(version);
  });

  it("refuses a slug that a meter has, and takes it again when that one is gone", async () => {
    const meter = await make({ slug: "taken" });
    const again = await call("POST", "", input({ slug: "taken", aggregation: "MAX" }));
    expect(again).toMatchObject({
      status: 409,
      body: { title: "Conflict", detail: "a meter with the slug taken exists already" },
    });
    expect((await call("DELETE", `/${meter.id}`)).status).toBe(204);
    const next = await make({ slug: "taken", aggregation: "MAX" });
    expect(next.id).not.toBe(meter.id);
    const other = await newTenant(worker);
    expect((await call("POST", "", input({ slug: "taken" }), {}, other)).status).toBe(200);
  });

  it.each<[what: string, of: Body, ...faults: string[]]>([
    ["a dash in the slug", { slug: "a-b" }, "slug must be lower-case letters and digits, in parts joined by _"],
    ["capitals in the slug", { slug: "Tokens" }, "slug must be lower-case letters and digits, in parts joined by _"],
    [
      "two underscores in the slug",
      { slug: "a__b" },
      "slug must be lower-case letters and digits, in parts joined by _",
    ],
    ["a long slug", { slug: "a".repeat(65) }, "slug must be at most 64 characters"],
    ["an empty slug", { slug: "" }, "slug must be lower-case letters and digits, in parts joined by _"],
    [
      "nothing",
      { slug: undefined, eventType: undefined, aggregation: undefined },
      "slug is required",
      "aggregation is required",
      "eventType is required",
    ],
    [
      "an unknown aggregation",
      { aggregation: "MEDIAN" },
      'aggregation must be one of "SUM", "COUNT", "UNIQUE_COUNT", "AVG", "MIN", "MAX", "LATEST"',
    ],
    ["an empty type", { eventType: "" }, "eventType must not be empty"],
    ["a reserved type", { eventType: "_.x" }, "eventType must not begin with om., _. or tollgate.: these are reserved"],
    ["no value", { valueProperty: undefined }, "valueProperty is required with SUM"],
    ["a value to count", { aggregation: "COUNT" }, "valueProperty must not be given with COUNT, which reads no value"],
    ["an empty path", { valueProperty: "" }, "valueProperty must not be empty"],
    ["a path without $", { valueProperty: "tokens" }, "valueProperty must be a JSONPath that begins with $"],
    [
      "a path that never ends",
      { valueProperty: `$${"..*".repeat(80)}` },
      "valueProperty must name one value: only names and indexes, no wildcard, slice, descent or filter",
    ],
    [
      "a path of a megabyte",
      { valueProperty: `$${".a".repeat(400_000)}` },
      "valueProperty must be at most 256 characters",
    ],
    [
      "a filter that looks around for ever",
      { groupBy: { m: "$[?match(@.a, '(a+)+$')]" } },
      "groupBy.m must name one value: only names and indexes, no wildcard, slice, descent or filter",
    ],
    [
      "dimensions that are no texts",
      { groupBy: { a: 1, b: null } },
      "groupBy.a must be a string",
      "groupBy.b must be a string",
    ],
    [
      "many dimensions",
      { groupBy: Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`d${n}`, `$.d${n}`])) },
      "groupBy must have at most 32 entries",
    ],
    [
      "a time that is none",
      { eventFrom: "yesterday" },
      "eventFrom must be an RFC 3339 date and time, like 2026-11-21T09:30:00Z",
    ],
    ["a long name", { name: "n".repeat(257) }, "name must be at most 256 characters"],
    ["NUL in the description", { description: "a\0b" }, "description must not contain NUL or a lone surrogate"],
    ["metadata that are no texts", { metadata: { a: {} } }, "metadata.a must be a string"],
  ])("is refused with %s", async (_, of, ...faults) => {
    const { version } = await snapshot();
    const answer = await call("POST", "", input(of));
    expect(answer.status).toBe(400);
    expect(faultsOf(answer)).toEqual(faults);
    expect((await snapshot()).version, "and nothing is published").toBe(version);
  });

  it("takes no body of ten megabytes", async () => {
    expect((await call("POST", "", input({ description: "x".repeat(10_000_000) }))).status).toBe(413);
  });

  it("answers a repeated Idempotency-Key with the meter that it made", async () => {
    const [body, headers] = [input(), { "idempotency-key": "once" }];
    const first = await call("POST", "", body, headers);
    expect(await call("POST", "", body, headers)).toMatchObject({ status: 200, body: first.body });
    expect((await call("POST", "", { ...body, name: "another" }, headers)).status).toBe(409);
  });

  it("makes one of many with one slug", async () => {
    const body = input();
    const answers = await Promise.all(Array.from({ length: 4 }, () => call("POST", "", body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
    expect((await snapshot()).meters.filter(({ key }) => key === body.slug)).toHaveLength(1);
  });
});

describe("a list of meters", () => {
  const slugs = async (query: string, of: Tenant) => {
    const { status, body } = await call<{ slug: string }[]>("GET", query, undefined, {}, of);
    expect(status).toBe(200);
    return body.map(({ slug }) => slug);
  };

  it("is a bare array, by slug unless it is asked otherwise, a page at a time where it is asked so", async () => {
    const of = await newTenant(worker);
    expect((await call("GET", "", undefined, {}, of)).body).toEqual([]);
    const kinds = [
      ["b", "Ann", "SUM"],
      ["c", "Zoe", "COUNT"],
      ["a", "Max", "MAX"],
    ] as const;
    for (const [slug, name, aggregation] of kinds) {
      const valueProperty = aggregation === "COUNT" ? undefined : "$.tokens";
      await call("POST", "", input({ slug, name, aggregation, valueProperty }), {}, of);
      worker.advance(5);
    }
    expect(await slugs("", of)).toEqual(["a", "b", "c"]);
    expect(await slugs("?order=DESC", of)).toEqual(["c", "b", "a"]);
    expect(await slugs("?orderBy=name", of)).toEqual(["b", "a", "c"]);
    expect(await slugs("?orderBy=aggregation", of)).toEqual(["c", "a", "b"]);
    expect(await slugs("?orderBy=createdAt&order=DESC", of)).toEqual(["a", "c", "b"]);
    expect(await slugs("?pageSize=2", of)).toEqual(["a", "b"]);
    expect(await slugs("?page=2&pageSize=2", of)).toEqual(["c"]);
    expect(await slugs("?page=2", of)).toEqual([]);
    await call("PUT", "/b", { name: "Bob" }, {}, of);
    expect(await slugs("?orderBy=updatedAt", of)).toEqual(["c", "a", "b"]);
  });

  it("shows deleted meters to who asks for them", async () => {
    const of = await newTenant(worker);
    await call("POST", "", input({ slug: "gone" }), {}, of);
    await call("DELETE", "/gone", undefined, {}, of);
    expect(await slugs("", of)).toEqual([]);
    expect(await slugs("?includeDeleted=false", of)).toEqual([]);
    const { body } = await call<Body[]>("GET", "?includeDeleted=true", undefined, {}, of);
    expect(body).toMatchObject([{ slug: "gone", deletedAt: expect.any(String) }]);
  });

  it("refuses a page that there is not, and an order that is none", async () => {
    for (const query of [
      "page=0",
      "page=-1",
      "page=x",
      "pageSize=0",
      "pageSize=1001",
      "order=UP",
      "orderBy=slug",
      "includeDeleted=1",
    ])
      expect((await call("GET", `?${query}`)).status, query).toBe(400);
  });
});

describe("changing a meter", () => {
  it("replaces name, description, metadata and dimensions, and nothing else", async () => {
    const meter = await make({ name: "old", description: "old", metadata: { a: "1" } });
    const change = { name: "new", description: "new", metadata: { b: "2" }, groupBy: { region: "$.region" } };
    const { status, body } = await call("PUT", `/${meter.slug}`, {
      ...change,
      slug: "other",
      eventType: "other",
      aggregation: "COUNT",
      valueProperty: "$.other",
    });
    expect(status).toBe(200);
    expect(body).toEqual({ ...meter, ...change, updatedAt: body.updatedAt });
    expect(Date.parse(body.updatedAt as string)).toBeGreaterThan(Date.parse(meter.createdAt));
    expect((await call("GET", `/${meter.id}`)).body).toEqual(body);
    const bare = (await call("PUT", `/${meter.slug}`, {})).body;
    expect(bare).toEqual({
      id: meter.id,
      slug: meter.slug,
      name: meter.slug,
      eventType: "prompt",
      aggregation: "SUM",
      valueProperty: "$.tokens",
      createdAt: meter.createdAt,
      updatedAt: bare.updatedAt,
    });
  });

  it("is another definition with other dimensions, and the same one with another name", async () => {
    const meter = await make();
    const keyOf = async () => foldKeyOf((await snapshot()).meters.find(({ id }) => id === meter.id)!);
    const [before, { version }] = [await keyOf(), await snapshot()];
    await call("PUT", `/${meter.id}`, { name: "renamed", groupBy: { type: "$.type", model: "$.model" } });
    expect([await keyOf(), (await snapshot()).version]).toEqual([before, version]);
    await call("PUT", `/${meter.id}`, { name: "renamed", groupBy: { model: "$.model" } });
    expect(await keyOf()).not.toBe(before);
    expect((await snapshot()).version).toBe(version + 1);
  });

  it("keeps the rules of a definition", async () => {
    const meter = await make();
    const answer = await call("PUT", `/${meter.id}`, {
      groupBy: { "1": "$.a", b: "b", c: "$.tokens", d: "$..x" },
      name: 5,
    });
    expect(answer.status).toBe(400);
    expect(faultsOf(answer)).toEqual(["name must be a string"]);
    const paths = await call("PUT", `/${meter.id}`, { groupBy: { b: "b", c: "$.tokens", d: "$..x" } });
    expect(faultsOf(paths)).toEqual([
      "groupBy.b must be a JSONPath that begins with $",
      "groupBy.c must not be the path of valueProperty",
      "groupBy.d must name one value: only names and indexes, no wildcard, slice, descent or filter",
    ]);
  });

  it("drops no dimension that a feature filters by or reads its cost from", async () => {
    const meter = await make({ groupBy: { model: "$.model", type: "$.type", vendor: "$.vendor", free: "$.free" } });
    await addFeature(meter, { key: "filtered", filters: { type: { $eq: "input" } } });
    await addFeature(meter, {
      key: "priced",
      unitCost: { type: "llm", provider: "openai", modelProperty: "model", tokenType: "input" } as never,
    });
    const put = (...names: string[]) =>
      call("PUT", `/${meter.id}`, { groupBy: Object.fromEntries(names.map((name) => [name, `$.${name}`])) });
    expect(await put("model", "free")).toMatchObject({
      status: 409,
      body: { detail: "the dimension type cannot be dropped, because the feature filtered uses it" },
    });
    expect(await put("type", "free")).toMatchObject({
      status: 409,
      body: { detail: "the dimension model cannot be dropped, because the feature priced uses it" },
    });
    expect((await put("model", "type", "region")).status).toBe(200);
  });

  it("is 404 for a meter that is not there, or not any more", async () => {
    const meter = await make();
    await call("DELETE", `/${meter.id}`);
    for (const id of [meter.id, meter.slug, "nothing", "01JD8ZQ6M5T9W3XK2V7B4C1N0R", "No-Slug!", "a".repeat(64)])
      expect((await call("PUT", `/${id}`, {})).status, id).toBe(404);
  });
});

describe("deleting a meter", () => {
  it("answers 204, also again by its id; a slug is free then", async () => {
    const meter = await make();
    expect(await call("DELETE", `/${meter.slug}`)).toMatchObject({ status: 204, body: undefined });
    expect((await call("DELETE", `/${meter.id}`)).status).toBe(204);
    expect((await call("DELETE", `/${meter.slug}`)).status).toBe(404);
    expect((await call("GET", `/${meter.slug}`)).status).toBe(404);
    expect(await call("GET", `/${meter.id}`)).toMatchObject({ status: 200, body: { deletedAt: expect.any(String) } });
    expect((await snapshot()).meters.some(({ id }) => id === meter.id)).toBe(false);
  });

  it("is refused while a feature uses it", async () => {
    const meter = await make();
    await addFeature(meter, { key: "user" });
    expect(await call("DELETE", `/${meter.id}`)).toMatchObject({
      status: 409,
      body: { detail: "the feature user uses this meter; archive it before you delete the meter" },
    });
    expect((await snapshot()).meters.some(({ id }) => id === meter.id)).toBe(true);
  });
});
