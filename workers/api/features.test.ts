/** Features over HTTP, as OpenMeter answers them. */
import { beforeAll, describe, expect, it } from "vitest";
import { newTenant, startWorker, type CallOptions, type Tenant } from "../harness";

const worker = startWorker();
let tenant: Tenant;
const call = <T = Record<string, unknown>>(method: string, path: string, options: CallOptions = {}) =>
  worker.call<T>(method, `/api/v1${path}`, { key: tenant.apiKey, ...options });
const create = (body: Record<string, unknown>, options: CallOptions = {}) =>
  call("POST", "/features", { body: { name: "A feature", ...body }, ...options });

const newMeter = (slug: string, of: Record<string, unknown> = {}) =>
  call("POST", "/meters", {
    body: {
      slug,
      aggregation: "SUM",
      eventType: "prompt",
      valueProperty: "$.tokens",
      groupBy: { model: "$.model", type: "$.type", vendor: "$.vendor" },
      ...of,
    },
  });

beforeAll(async () => {
  tenant = await newTenant(worker);
  for (const aggregation of ["SUM", "AVG", "LATEST"])
    expect((await newMeter(`tokens_${aggregation.toLowerCase()}`, { aggregation })).status).toBe(200);
});

describe("a feature", () => {
  it("is made with 201 and found by id and by key", async () => {
    const made = await create({ key: "plain", metadata: { team: "a" }, id: "ignored", surprise: 1 });
    expect(made).toMatchObject({ status: 201, body: { key: "plain", name: "A feature", metadata: { team: "a" } } });
    expect(Object.keys(made.body).toSorted()).toEqual(["createdAt", "id", "key", "metadata", "name", "updatedAt"]);
    for (const name of ["plain", made.body.id as string])
      expect(await call("GET", `/features/${name}`)).toMatchObject({ status: 200, body: made.body });
  });

  it("shows its filters in both forms, whichever they came in", async () => {
    const both = { meterGroupByFilters: { model: "gpt-4" }, advancedMeterGroupByFilters: { model: { $eq: "gpt-4" } } };
    const legacy = await create({ key: "legacy", meterSlug: "tokens_sum", meterGroupByFilters: { model: "gpt-4" } });
    expect(legacy).toMatchObject({ status: 201, body: { meterSlug: "tokens_sum", ...both } });
    const advanced = await create({
      key: "advanced",
      meterSlug: "tokens_latest",
      meterGroupByFilters: { nothing: "of this is read" },
      advancedMeterGroupByFilters: { model: { $in: ["gpt-4"], $eq: null }, type: { $eq: "input" }, vendor: {} },
    });
    expect(advanced.body).toMatchObject({
      advancedMeterGroupByFilters: { model: { $in: ["gpt-4"] }, type: { $eq: "input" } },
    });
    expect(advanced.body).not.toHaveProperty("meterGroupByFilters");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["a ULID as key", { key: "01arz3ndektsv4rrffq69g5fav" }, "key"],
    ["a key with dashes", { key: "a-b" }, "key"],
    ["no name", { key: "x", name: undefined }, "name"],
    ["a meter of averages", { key: "x", meterSlug: "tokens_avg" }, "meterSlug"],
    [
      "a filter of an unknown dimension",
      { key: "x", meterSlug: "tokens_sum", meterGroupByFilters: { region: "eu" } },
      "region",
    ],
    [
      "an unknown operator",
      { key: "x", meterSlug: "tokens_sum", advancedMeterGroupByFilters: { model: { $re: "x" } } },
      "model",
    ],
    [
      "two operators",
      { key: "x", meterSlug: "tokens_sum", advancedMeterGroupByFilters: { model: { $eq: "x", $ne: "y" } } },
      "model",
    ],
    ["a filter without a meter", { key: "x", meterGroupByFilters: { model: "m" } }, "model"],
    ["a negative cost", { key: "x", unitCost: { type: "manual", amount: "-1" } }, "unitCost.amount"],
    [
      "a cost of too many places",
      { key: "x", unitCost: { type: "manual", amount: "0.0000000000001" } },
      "unitCost.amount",
    ],
    ["an unknown kind of cost", { key: "x", unitCost: { type: "free" } }, "unitCost"],
    [
      "a published cost without a meter",
      { key: "x", unitCost: { type: "llm", provider: "p", model: "m", tokenType: "input" } },
      "unitCost",
    ],
    [
      "a published cost of an unknown dimension",
      {
        key: "x",
        meterSlug: "tokens_sum",
        unitCost: { type: "llm", provider: "p", modelProperty: "engine", tokenType: "input" },
      },
      "unitCost.modelProperty",
    ],
  ])("is refused with 400 for %s", async (_, body, field) => {
    const { status, body: problem } = await create(body);
    expect([status, (problem.validationErrors as { field: string }[])[0]?.field]).toEqual([
      400,
      expect.stringContaining(field),
    ]);
    expect((await call<unknown[]>("GET", "/features?includeArchived=true")).body).not.toContainEqual(
      expect.objectContaining({ key: "x" }),
    );
  });

  it("needs a meter that exists", async () => {
    expect(await create({ key: "x", meterSlug: "none" })).toMatchObject({
      status: 404,
      body: { detail: "the meter none does not exist" },
    });
  });

  it("has its key alone, and an archived one gives it back", async () => {
    const first = await create({ key: "twice" });
    expect(await create({ key: "twice" })).toMatchObject({ status: 409 });
    expect((await call("DELETE", "/features/twice")).status).toBe(204);
    for (const name of ["twice", first.body.id as string]) {
      expect((await call("GET", `/features/${name}`)).status).toBe(404);
      expect((await call("DELETE", `/features/${name}`)).status).toBe(404);
    }
    const second = await create({ key: "twice" });
    expect(second.status).toBe(201);
    expect((await call("DELETE", `/features/${second.body.id as string}`)).status).toBe(204);
    const all = await call<{ key: string; archivedAt?: string }[]>("GET", "/features?includeArchived=true&orderBy=id");
    expect(all.body.filter(({ key }) => key === "twice").map(({ archivedAt }) => typeof archivedAt)).toEqual([
      "string",
      "string",
    ]);
  });

  it("is made once under an Idempotency-Key", async () => {
    const headers = { "idempotency-key": "once" };
    const first = await create({ key: "keyed" }, { headers });
    expect(await create({ key: "keyed" }, { headers })).toMatchObject({ status: 201, body: first.body });
    expect(await create({ key: "other" }, { headers })).toMatchObject({ status: 409 });
  });

  it("keeps its meter and the meter's dimensions from going", async () => {
    await newMeter("kept");
    const { body } = await create({
      key: "keeper",
      meterSlug: "kept",
      unitCost: { type: "llm", providerProperty: "vendor", model: "m", tokenType: "input" },
    });
    const groupBy = { model: "$.model", type: "$.type" };
    expect((await call("DELETE", "/meters/kept")).status).toBe(409);
    expect((await call("PUT", "/meters/kept", { body: { groupBy } })).status).toBe(409);
    expect((await call("DELETE", `/features/${body.id as string}`)).status).toBe(204);
    expect((await call("PUT", "/meters/kept", { body: { groupBy } })).status).toBe(200);
    expect((await call("DELETE", "/meters/kept")).status).toBe(204);
  });

  it("shows today's published prices where provider and model are certain", async () => {
    const of = (unitCost: Record<string, unknown>, advancedMeterGroupByFilters: Record<string, unknown> = {}) => ({
      meterSlug: "tokens_sum",
      unitCost: { type: "llm", tokenTypeProperty: "type", ...unitCost },
      advancedMeterGroupByFilters,
    });
    const pricing = async (key: string) =>
      ((await call("GET", `/features/${key}`)).body.unitCost as Record<string, unknown>).pricing;
    await create({ key: "known", ...of({ provider: "openai", model: "gpt-4o" }) });
    expect(await pricing("known")).toEqual({
      inputPerToken: "0.0000025",
      outputPerToken: "0.00001",
      cacheReadPerToken: "0.00000125",
    });
    await create({
      key: "filtered",
      ...of(
        { providerProperty: "vendor", modelProperty: "model" },
        { vendor: { $eq: "openai" }, model: { $eq: "gpt-4o" } },
      ),
    });
    expect(await pricing("filtered")).toEqual(await pricing("known"));
    await create({
      key: "open",
      ...of({ provider: "openai", modelProperty: "model" }, { model: { $in: ["gpt-4o"] } }),
    });
    expect(await pricing("open")).toBe(undefined);
    await create({ key: "unlisted", ...of({ provider: "openai", model: "no-such-model" }) });
    expect(await pricing("unlisted")).toBe(undefined);
    const listed = await call<{ key: string; unitCost?: object }[]>("GET", "/features");
    expect(listed.body.find(({ key }) => key === "known")?.unitCost).not.toHaveProperty("pricing");
  });
});

describe("a list of features", () => {
  it("is a bare array unless a page is asked for", async () => {
    const mine = await newTenant(worker);
    const key = mine.apiKey;
    await worker.call("POST", "/api/v1/meters", { key, body: { slug: "m", aggregation: "COUNT", eventType: "e" } });
    for (const [index, name] of ["c", "a", "b"].entries())
      await create({ key: name, name: `${index}`, ...(name === "a" && { meterSlug: "m" }) }, { key });
    const list = async (query: string) => (await call<{ key: string }[]>("GET", `/features${query}`, { key })).body;
    const keys = async (query: string) => (await list(query)).map((feature) => feature.key).join("");
    expect(await keys("")).toBe("abc");
    expect(await keys("?orderBy=name&order=DESC")).toBe("bac");
    expect(await keys("?orderBy=createdAt")).toBe("cab");
    expect(await keys("?limit=1&offset=1")).toBe("b");
    expect(await keys("?meterSlug=m&meterSlug=n")).toBe("a");
    expect(await list("?page=2&pageSize=2")).toMatchObject({
      items: [{ key: "c" }],
      totalCount: 3,
      page: 2,
      pageSize: 2,
    });
    expect(await list("?page=1")).toMatchObject({ items: [{}, {}, {}], totalCount: 3, page: 1, pageSize: 100 });
    for (const bad of [
      "page=0",
      "pageSize=1001",
      "limit=0",
      "offset=-1",
      "order=up",
      "orderBy=price",
      "includeArchived=yes",
    ])
      expect([bad, (await call("GET", `/features?${bad}`, { key })).status]).toEqual([bad, 400]);
  });
});
