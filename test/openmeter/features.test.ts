/** `features`: create, get, list and delete, which archives. */
import { expect, it } from "vitest";
import { newTenant, NOBODY, refusal, ULID } from "./harness";

const { om, last } = await newTenant();

await om.meters.create({
  slug: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { provider: "$.provider", model: "$.model", type: "$.type" },
});
for (const aggregation of ["UNIQUE_COUNT", "LATEST", "AVG", "MIN", "MAX"] as const) {
  const slug = aggregation.toLowerCase();
  await om.meters.create({ slug, eventType: "prompt", aggregation, valueProperty: "$.tokens" });
}
await om.meters.create({ slug: "count", eventType: "prompt", aggregation: "COUNT" });

it("makes a feature, answers 201, and gives it by id and by key", async () => {
  const made = (await om.features.create({ key: "plain", name: "Plain", metadata: { a: "b" } }))!;
  expect(last().status).toBe(201);
  expect(made).toMatchObject({ key: "plain", name: "Plain", metadata: { a: "b" } });
  expect(made.id).toMatch(ULID);
  expect(made.createdAt).toBeInstanceOf(Date);
  for (const absent of ["archivedAt", "deletedAt", "meterSlug", "unitCost"]) expect(made).not.toHaveProperty(absent);
  expect(await om.features.get(made.id)).toEqual(made);
  expect(await om.features.get("plain")).toEqual(made);
});

it("makes a feature of a meter with filters; the deprecated form is mirrored in the other", async () => {
  const operators = { model: { $in: ["a", "b"] }, type: { $ne: "cached" } };
  expect(
    await om.features.create({
      key: "operators",
      name: "O",
      meterSlug: "tokens",
      advancedMeterGroupByFilters: operators,
    }),
  ).toMatchObject({ meterSlug: "tokens", advancedMeterGroupByFilters: operators });
  const plain = (await om.features.create({
    key: "plain_filters",
    name: "P",
    meterSlug: "tokens",
    meterGroupByFilters: { model: "gpt-4" },
  }))!;
  expect(plain).toMatchObject({
    meterGroupByFilters: { model: "gpt-4" },
    advancedMeterGroupByFilters: { model: { $eq: "gpt-4" } },
  });
  expect(await om.features.get("plain_filters")).toEqual(plain);
});

it.each(["count", "unique_count", "latest"])("makes a feature of a meter of %s", async (meterSlug) => {
  const key = `of_${meterSlug}`;
  expect(await om.features.create({ key, name: key, meterSlug })).toMatchObject({ key, meterSlug });
});

it("makes features with a unit cost, by hand and by model", async () => {
  expect(
    await om.features.create({ key: "manual", name: "M", unitCost: { type: "manual", amount: "0.0125" } }),
  ).toMatchObject({ unitCost: { type: "manual", amount: "0.0125" } });
  const properties = {
    type: "llm",
    providerProperty: "provider",
    modelProperty: "model",
    tokenTypeProperty: "type",
  } as const;
  expect(await om.features.create({ key: "llm", name: "L", meterSlug: "tokens", unitCost: properties })).toMatchObject({
    unitCost: properties,
  });
  const fixed = { type: "llm", provider: "openai", model: "gpt-4o", tokenType: "input" } as const;
  expect(await om.features.create({ key: "llm_fixed", name: "L", meterSlug: "tokens", unitCost: fixed })).toMatchObject(
    { unitCost: fixed },
  );
});

const LLM = { type: "llm", provider: "openai", model: "gpt-4o", tokenType: "input" };
it.each([
  ["no key", { name: "N" }, "key"],
  ["no name", { key: "wrong" }, "name"],
  ["an upper-case key", { key: "Wrong", name: "N" }, "key"],
  ["a key of 65 characters", { key: "k".repeat(65), name: "N" }, "key"],
  ["a key that is a ULID", { key: NOBODY.toLowerCase(), name: "N" }, "ULID"],
  ["a meter of AVG", { key: "wrong", name: "N", meterSlug: "avg" }, "AVG"],
  ["a meter of MIN", { key: "wrong", name: "N", meterSlug: "min" }, "MIN"],
  ["a meter of MAX", { key: "wrong", name: "N", meterSlug: "max" }, "MAX"],
  [
    "a filter by no dimension of the meter",
    { key: "wrong", name: "N", meterSlug: "tokens", advancedMeterGroupByFilters: { colour: { $eq: "red" } } },
    "colour",
  ],
  [
    "a deprecated filter by no dimension of the meter",
    { key: "wrong", name: "N", meterSlug: "tokens", meterGroupByFilters: { colour: "red" } },
    "colour",
  ],
  [
    "a unit cost that is no number",
    { key: "wrong", name: "N", unitCost: { type: "manual", amount: "much" } },
    "amount",
  ],
  ["a unit cost of no kind", { key: "wrong", name: "N", unitCost: { type: "guess" } }, "unitCost"],
  ["a unit cost by model without a meter", { key: "wrong", name: "N", unitCost: LLM }, "meter"],
  [
    "a provider given twice",
    { key: "wrong", name: "N", meterSlug: "tokens", unitCost: { ...LLM, providerProperty: "provider" } },
    "provider",
  ],
  [
    "a model not given",
    { key: "wrong", name: "N", meterSlug: "tokens", unitCost: { ...LLM, model: undefined } },
    "model",
  ],
  [
    "a model's property that is no dimension",
    { key: "wrong", name: "N", meterSlug: "tokens", unitCost: { ...LLM, model: undefined, modelProperty: "llm" } },
    "llm",
  ],
])("refuses a feature with %s", async (_, body, detail) => {
  const error = await refusal(om.features.create(body as never));
  expect(error).toMatchObject({ status: 400, type: "about:blank", title: "Bad Request" });
  expect(error.getField("detail")).toContain(detail);
});

it("refuses a feature of a meter that is none", async () => {
  const error = await refusal(om.features.create({ key: "wrong", name: "N", meterSlug: "nobody" }));
  // The document has no 404 here and the code's is its meters'; either way the caller learns which meter.
  expect([400, 404]).toContain(error.status);
  expect(error.message).toContain("nobody");
});

it("refuses a key that is taken with 409, until its feature is archived", async () => {
  const first = (await om.features.create({ key: "taken", name: "T" }))!;
  const error = await refusal(om.features.create({ key: "taken", name: "U" }));
  expect(error).toMatchObject({ status: 409, title: "Conflict" });
  await om.features.delete("taken");
  expect(last()).toMatchObject({ status: 204, body: "" });
  expect(await refusal(om.features.get("taken"))).toMatchObject({ status: 404 });
  const second = (await om.features.create({ key: "taken", name: "U" }))!;
  expect(second.id).not.toBe(first.id);
  expect(await om.features.get("taken")).toEqual(second);
});

it("get and delete of a feature that is none are 404", async () => {
  for (const name of ["nobody", NOBODY]) {
    expect(await refusal(om.features.get(name))).toMatchObject({ status: 404 });
    expect(await refusal(om.features.delete(name))).toMatchObject({ status: 404 });
  }
});

it("lists a bare array, and pages when a page is asked for", async () => {
  const { om: fresh } = await newTenant();
  await fresh.meters.create({ slug: "calls", eventType: "call", aggregation: "COUNT" });
  await fresh.meters.create({ slug: "other", eventType: "call", aggregation: "COUNT" });
  for (const key of ["c", "a", "e", "b", "d"]) {
    await fresh.features.create({ key, name: `name ${key}`, ...(key < "c" && { meterSlug: "calls" }) });
  }
  await fresh.features.delete("e");

  const keys = async (query?: object): Promise<string[]> => {
    const listed = (await fresh.features.list(query))!;
    if (!Array.isArray(listed)) throw new Error(`not an array: ${JSON.stringify(listed)}`);
    return listed.map(({ key }) => key);
  };
  expect(await keys()).toHaveLength(4);
  expect(await keys({ orderBy: "key", order: "ASC" })).toEqual(["a", "b", "c", "d"]);
  expect(await keys({ orderBy: "name", order: "DESC" })).toEqual(["d", "c", "b", "a"]);
  expect(await keys({ orderBy: "createdAt", order: "ASC" })).toEqual(["c", "a", "b", "d"]);
  expect(await keys({ orderBy: "key", order: "ASC", limit: 2, offset: 1 })).toEqual(["b", "c"]);
  expect(await keys({ meterSlug: ["calls"], orderBy: "key", order: "ASC" })).toEqual(["a", "b"]);
  expect(await keys({ meterSlug: ["other"] })).toEqual([]);
  expect(await keys({ includeArchived: true, orderBy: "key", order: "ASC" })).toEqual(["a", "b", "c", "d", "e"]);

  const page = { page: 2, pageSize: 3, orderBy: "key", order: "ASC" } as const;
  expect(await fresh.features.list(page)).toMatchObject({ totalCount: 4, page: 2, pageSize: 3, items: [{ key: "d" }] });
  expect(await fresh.features.list({ page: 1 })).toMatchObject({ totalCount: 4, page: 1, pageSize: 100 });
  for (const wrong of [{ page: 0, pageSize: 3 }, { pageSize: 1001 }, { orderBy: "size" }])
    expect(await refusal(fresh.features.list(wrong as object)), JSON.stringify(wrong)).toMatchObject({ status: 400 });
});
