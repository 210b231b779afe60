/** `meters`: create, get, list, update and delete. What their queries answer is in meter-queries.test.ts. */
import { expect, it } from "vitest";
import { event, newTenant, NOBODY, refusal, ULID } from "./harness";

const { om, last } = await newTenant();

it("makes a meter with what is given, answers 200, and its name is its slug", async () => {
  const meter = (await om.meters.create({ slug: "small", eventType: "request", aggregation: "COUNT" }))!;
  expect(last().status).toBe(200);
  expect(meter).toMatchObject({ slug: "small", name: "small", eventType: "request", aggregation: "COUNT" });
  expect(meter.id).toMatch(ULID);
  expect(meter.createdAt).toBeInstanceOf(Date);
  expect(meter.updatedAt).toBeInstanceOf(Date);
  for (const absent of ["valueProperty", "eventFrom", "deletedAt", "description"])
    expect(meter).not.toHaveProperty(absent);
});

it("makes a meter with everything, and gives it by id and by slug", async () => {
  const definition = {
    slug: "tokens_total_2",
    name: "Tokens",
    description: "Tokens of prompts",
    metadata: { team: "ai" },
    eventType: "prompt",
    eventFrom: new Date("2025-01-01T00:00:00Z"),
    aggregation: "SUM",
    valueProperty: "$.usage.tokens",
    groupBy: { model: "$.model", kind: "$['kind']" },
  } as const;
  const made = (await om.meters.create(definition))!;
  expect(made).toMatchObject(definition);
  expect(await om.meters.get("tokens_total_2")).toEqual(made);
  expect(await om.meters.get(made.id)).toEqual(made);
});

it.each(["SUM", "UNIQUE_COUNT", "AVG", "MIN", "MAX", "LATEST"] as const)("makes a meter of %s", async (aggregation) => {
  const slug = `agg_${aggregation.toLowerCase()}`;
  const meter = await om.meters.create({ slug, eventType: "agg", aggregation, valueProperty: "$.value" });
  expect(meter).toMatchObject({ slug, aggregation, valueProperty: "$.value" });
});

it("lists meters as a bare array, without the deleted ones", async () => {
  const gone = (await om.meters.create({ slug: "listed_gone", eventType: "l", aggregation: "COUNT" }))!;
  const kept = (await om.meters.create({ slug: "listed_kept", eventType: "l", aggregation: "COUNT" }))!;
  await om.meters.delete(gone.id);
  const meters = (await om.meters.list())!;
  expect(Array.isArray(meters)).toBe(true);
  expect(meters.filter(({ eventType }) => eventType === "l")).toEqual([kept]);
});

it("changes name, description, metadata and dimensions, by id or slug, and nothing else", async () => {
  const made = (await om.meters.create({
    slug: "changed",
    eventType: "changed",
    aggregation: "SUM",
    valueProperty: "$.n",
    groupBy: { a: "$.a" },
  }))!;
  const change = { name: "New", description: "Now", metadata: { k: "v" }, groupBy: { a: "$.a", b: "$.b" } };
  const body = { ...change, slug: "other", eventType: "other", aggregation: "MAX", valueProperty: "$.m" };
  const changed = (await om.meters.update(made.id, body as typeof change))!;
  expect(last().status).toBe(200);
  expect(changed).toMatchObject({
    ...change,
    id: made.id,
    slug: "changed",
    eventType: "changed",
    aggregation: "SUM",
    valueProperty: "$.n",
    createdAt: made.createdAt,
  });
  expect(Number(changed.updatedAt)).toBeGreaterThanOrEqual(Number(made.updatedAt));
  expect(await om.meters.get("changed")).toEqual(changed);
  expect(await om.meters.update("changed", { name: "Newer", groupBy: { b: "$.b" } })).toMatchObject({
    name: "Newer",
    groupBy: { b: "$.b" },
  });
});

it("a dimension added later holds for the events from before it", async () => {
  await om.meters.create({ slug: "grown", eventType: "grown", aggregation: "COUNT" });
  await om.events.ingest([
    event("grown", "g", "2025-06-01T10:00:00Z", { model: "a" }),
    event("grown", "g", "2025-06-01T10:00:00Z", { model: "b" }),
  ]);
  await om.meters.update("grown", { groupBy: { model: "$.model" } });
  const { data } = await om.meters.query("grown", { subject: ["g"], groupBy: ["model"] });
  expect(data.map(({ value, groupBy }) => [groupBy.model, value]).toSorted()).toEqual([
    ["a", 1],
    ["b", 1],
  ]);
});

it("deletes a meter with 204: it is gone, its slug is free, and deleting it again by id changes nothing", async () => {
  const first = (await om.meters.create({ slug: "reused", eventType: "r", aggregation: "COUNT" }))!;
  await om.meters.delete("reused");
  expect(last()).toMatchObject({ status: 204, body: "" });
  expect(await refusal(om.meters.get("reused"))).toMatchObject({ status: 404 });
  expect(await refusal(om.meters.query("reused"))).toMatchObject({ status: 404 });
  const second = (await om.meters.create({ slug: "reused", eventType: "r", aggregation: "COUNT" }))!;
  expect(second.id).not.toBe(first.id);
  await om.meters.delete(first.id);
  expect(last().status).toBe(204);
  expect(await om.meters.get("reused")).toEqual(second);
});

it("a meter made in place of a deleted one counts the events from before, too", async () => {
  const definition = { slug: "phoenix", eventType: "phoenix", aggregation: "COUNT" } as const;
  const count = async () => (await om.meters.query("phoenix", { subject: ["p"] })).data.map(({ value }) => value);
  await om.meters.create(definition);
  await om.events.ingest(event("phoenix", "p", "2025-06-01T10:00:00Z"));
  expect(await count()).toEqual([1]);
  await om.meters.delete("phoenix");
  await om.events.ingest(event("phoenix", "p", "2025-06-01T11:00:00Z"));
  await om.meters.create(definition);
  expect(await count()).toEqual([2]);
});

it("refuses a slug that is taken with 409", async () => {
  const definition = { slug: "taken", eventType: "t", aggregation: "COUNT" } as const;
  await om.meters.create(definition);
  const error = await refusal(om.meters.create({ ...definition, eventType: "u" }));
  expect(error).toMatchObject({ status: 409, title: "Conflict" });
  expect(error.getField("detail")).toContain("taken");
});

it.each([
  ["get", (name: string) => om.meters.get(name)],
  ["update", (name: string) => om.meters.update(name, { name: "x" })],
  ["delete", (name: string) => om.meters.delete(name)],
  ["query", (name: string) => om.meters.query(name)],
  ["queryPost", (name: string) => om.meters.queryPost(name, {})],
  ["listGroupByValues", (name: string) => om.meters.listGroupByValues(name, "model")],
])("%s of a meter that is none is 404, by slug and by id", async (_, call) => {
  for (const name of ["nobody", NOBODY]) expect(await refusal(call(name))).toMatchObject({ status: 404 });
});

const COUNT = { slug: "wrong", eventType: "wrong", aggregation: "COUNT" };
const SUM = { ...COUNT, aggregation: "SUM", valueProperty: "$.tokens" };
it.each([
  ["no slug", { ...COUNT, slug: undefined }, "slug"],
  ["an upper-case slug", { ...COUNT, slug: "Wrong" }, "slug"],
  ["a slug with a dash", { ...COUNT, slug: "wro-ng" }, "slug"],
  ["a slug of 65 characters", { ...COUNT, slug: "w".repeat(65) }, "slug"],
  ["no event type", { ...COUNT, eventType: undefined }, "eventType"],
  ["an empty event type", { ...COUNT, eventType: "" }, "eventType"],
  ["an aggregation that is none", { ...SUM, aggregation: "MEDIAN" }, "aggregation"],
  ["COUNT of a value", { ...SUM, aggregation: "COUNT" }, "valueProperty"],
  ["SUM of no value", { ...SUM, valueProperty: undefined }, "valueProperty"],
  ["a value path without $", { ...SUM, valueProperty: "tokens" }, "valueProperty"],
  ["a value path that is no JSONPath", { ...SUM, valueProperty: "$.[" }, "valueProperty"],
  ["a dimension's name that begins with a digit", { ...SUM, groupBy: { "1st": "$.a" } }, "groupBy"],
  ["a dimension's name with a dash", { ...SUM, groupBy: { "a-b": "$.a" } }, "groupBy"],
  ["a dimension's path without $", { ...SUM, groupBy: { a: "a" } }, "groupBy"],
  ["a dimension that is the value", { ...SUM, groupBy: { a: "$.tokens" } }, "groupBy"],
  ["two dimensions of one path", { ...SUM, groupBy: { a: "$.a", b: "$.a" } }, "groupBy"],
  ["metadata that is not text", { ...SUM, metadata: { a: 1 } }, "metadata"],
  ["an eventFrom that is no time", { ...SUM, eventFrom: "spring" }, "eventFrom"],
])("refuses a meter with %s, and says where", async (_, definition, field) => {
  const error = await refusal(om.meters.create(definition as never));
  expect(error).toMatchObject({ status: 400, type: "about:blank", title: "Bad Request" });
  expect(error.getField("detail")).toContain(field);
});

it("refuses to change a meter into one that could not be made", async () => {
  await om.meters.create({ slug: "steady", eventType: "s", aggregation: "SUM", valueProperty: "$.n" });
  const wrong: Record<string, string>[] = [{ "1st": "$.a" }, { a: "a" }, { a: "$.n" }, { a: "$.a", b: "$.a" }];
  for (const groupBy of wrong) {
    const error = await refusal(om.meters.update("steady", { groupBy }));
    expect(error).toMatchObject({ status: 400, message: expect.stringContaining("groupBy") });
  }
  expect(await om.meters.get("steady")).not.toHaveProperty("groupBy");
});

it("keeps a meter that a live feature counts by, and a dimension that it filters by, until the feature is archived", async () => {
  await om.meters.create({
    slug: "featured",
    eventType: "f",
    aggregation: "COUNT",
    groupBy: { model: "$.model", region: "$.region" },
  });
  const feature = (await om.features.create({
    key: "featured",
    name: "Featured",
    meterSlug: "featured",
    advancedMeterGroupByFilters: { model: { $eq: "a" } },
  }))!;
  const dropped = om.meters.update("featured", { groupBy: { region: "$.region" } });
  expect(await refusal(dropped)).toMatchObject({ status: 409, message: expect.stringContaining("model") });
  expect(await refusal(om.meters.delete("featured"))).toMatchObject({ status: 409 });
  expect(await om.meters.update("featured", { groupBy: { model: "$.model" } })).toMatchObject({
    groupBy: { model: "$.model" },
  });
  await om.features.delete(feature.id);
  await om.meters.delete("featured");
  expect(last().status).toBe(204);
});
