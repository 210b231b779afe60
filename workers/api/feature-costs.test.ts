/** What features' usage costs, over HTTP, with the published prices themselves. */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { newTenant, someEvent, startWorker, type CallOptions, type Tenant } from "../harness";

const worker = startWorker();
let tenant: Tenant;
const call = <T = Record<string, unknown>>(method: string, path: string, options: CallOptions = {}) =>
  worker.call<T>(method, `/api/v1${path}`, { key: tenant.apiKey, ...options });

interface Row {
  usage: string;
  cost: string | null;
  detail?: string;
  windowStart: string;
  windowEnd: string;
  subject: string | null;
  groupBy: Record<string, string>;
}
const ask = (feature: string, body?: Record<string, unknown>) =>
  call<{ data: Row[]; detail: string; type: string }>(
    "POST",
    `/features/${feature}/cost/query`,
    body === undefined ? {} : { body },
  );
const rows = async (feature: string, body: Record<string, unknown> = {}) => {
  const answer = await ask(feature, { subject: ["customer-1"], ...body });
  expect([answer.status, answer.body.detail]).toEqual([200, undefined]);
  return answer.body.data;
};
const costs = async (feature: string, body: Record<string, unknown> = {}) =>
  (await rows(feature, body)).map(({ usage, cost }) => [usage, cost]);

const LLM = { type: "llm", providerProperty: "vendor", modelProperty: "model", tokenTypeProperty: "type" };
const O3 = { model: "o3", vendor: "openai", type: "input" };
const event = (time: string, tokens: number, data: Record<string, unknown>, subject = "customer-1") =>
  someEvent({ time, subject, type: "prompt", data: { tokens, ...data } });

beforeAll(async () => {
  tenant = await newTenant(worker);
  const groupBy = { model: "$.model", vendor: "$.vendor", type: "$.type" };
  for (const aggregation of ["SUM", "UNIQUE_COUNT", "LATEST"]) {
    const slug = aggregation.toLowerCase();
    const meter = { slug, aggregation, eventType: "prompt", valueProperty: "$.tokens", groupBy };
    expect((await call("POST", "/meters", { body: meter })).status).toBe(200);
    const filters = { advancedMeterGroupByFilters: { model: { $in: ["o3", "deepseek-chat", "unheard-of"] } } };
    const feature = { key: `tokens_${slug}`, name: "Tokens", meterSlug: slug, unitCost: LLM, ...filters };
    expect((await call("POST", "/features", { body: feature })).status).toBe(201);
  }
  const manual = { key: "manual", name: "M", meterSlug: "sum", unitCost: { type: "manual", amount: "0.000000123457" } };
  for (const body of [manual, { key: "bare", name: "B" }, { key: "unpriced", name: "U", meterSlug: "sum" }])
    expect((await call("POST", "/features", { body })).status).toBe(201);
  const events = [
    // The list price of o3 fell from 10 to 2 dollars on 2025-06-10.
    event("2025-06-09T23:59:59Z", 1_000_000, O3),
    event("2025-06-10T00:00:00Z", 3_000_000, O3),
    event("2025-06-10T00:00:01Z", 500_000, { ...O3, type: "output" }),
    // deepseek-chat is dearer from 00:30 to 16:30.
    event("2026-01-01T00:29:59Z", 1_000_000, { model: "deepseek-chat", vendor: "deepseek", type: "input" }),
    event("2026-01-01T00:30:00Z", 1_000_000, { model: "deepseek-chat", vendor: "deepseek", type: "input" }),
    event("2026-01-01T16:30:00Z", 1_000_000, { model: "deepseek-chat", vendor: "deepseek", type: "input" }),
    event("2025-06-10T12:00:00Z", 7, { model: "unheard-of", vendor: "openai", type: "input" }),
    event("2025-06-10T12:00:00Z", 1_000_000, { model: "gpt-4o", vendor: "openai", type: "input" }),
    event("2025-06-09T12:00:00Z", 1_000_000, O3, "customer-2"),
  ];
  expect((await call("POST", "/events", { body: events })).status).toBe(204);
});

const JUNE = { from: "2025-06-01T00:00:00Z", to: "2025-07-01T00:00:00Z" };
const only = (model: string) => ({ filterGroupBy: { model: [model] } });

describe("the cost of a feature", () => {
  it("is that of each event's own time, though a price changes within the window", async () => {
    const june = await rows("tokens_sum", { ...JUNE, windowSize: "MONTH", groupBy: ["model"] });
    expect(
      june.map(({ groupBy, usage, cost, windowStart, windowEnd }) => [groupBy, usage, cost, windowStart, windowEnd]),
    ).toEqual([
      // 1 × 10 + 3 × 2 + 0.5 × 8
      [{ model: "o3" }, "4500000", "20", "2025-06-01T00:00:00.000Z", "2025-07-01T00:00:00.000Z"],
      [{ model: "unheard-of" }, "7", null, "2025-06-01T00:00:00.000Z", "2025-07-01T00:00:00.000Z"],
    ]);
    expect(june[1]!.detail).toContain('does not list "unheard-of" of "openai"');
    const days = await rows("tokens_sum", { ...JUNE, windowSize: "DAY", groupBy: ["model", "type"] });
    expect(
      days.map(({ groupBy, cost, windowStart }) => [groupBy.model, groupBy.type, cost, windowStart.slice(0, 10)]),
    ).toEqual([
      ["o3", "input", "10", "2025-06-09"],
      ["o3", "input", "6", "2025-06-10"],
      ["o3", "output", "4", "2025-06-10"],
      ["unheard-of", "input", null, "2025-06-10"],
    ]);
  });

  it("is cut by the hour where prices are", async () => {
    const january = { from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" };
    // 2 × 0.135 + 1 × 0.27
    expect(await costs("tokens_sum", january)).toEqual([["3000000", "0.54"]]);
    expect(await costs("tokens_sum", { ...january, windowSize: "HOUR" })).toEqual([
      ["2000000", "0.405"],
      ["1000000", "0.135"],
    ]);
  });

  it("tells what of it has no price", async () => {
    const [row] = await rows("tokens_sum", JUNE);
    expect(row).toMatchObject({ usage: "4500007", cost: "20", subject: "customer-1", groupBy: {} });
    expect(row!.detail).toContain("7 without a price: ");
  });

  it("of the whole namespace, from its first event on, is one row for all", async () => {
    // The objects tell the store in the seconds after.
    const { data } = await vi.waitFor(
      async () => {
        const { body } = await ask("tokens_sum", { to: JUNE.to });
        expect(body.data.map(({ usage }) => usage)).toEqual(["5500007"]);
        return body;
      },
      { timeout: 20_000, interval: 50 },
    );
    expect(data).toMatchObject([
      {
        cost: "30",
        subject: null,
        groupBy: {},
        windowStart: "2025-06-09T12:00:00.000Z",
        windowEnd: "2025-07-01T00:00:00.000Z",
      },
    ]);
    // Without a body it is all there is.
    const all = await ask("manual");
    expect([all.status, all.body.data.map(({ cost }) => typeof cost)]).toEqual([200, ["string"]]);
  });

  it("stays within what the feature means, whatever the query filters by", async () => {
    for (const filter of [only("gpt-4o"), { advancedMeterGroupByFilters: { model: { $eq: "gpt-4o" } } }])
      expect(await costs("tokens_sum", { ...JUNE, groupBy: ["model"], ...filter })).toEqual([
        ["4500000", "20"],
        ["7", null],
      ]);
    expect(await costs("tokens_sum", { ...JUNE, groupBy: ["model"], filterGroupBy: { type: ["output"] } })).toEqual([
      ["500000", "4"],
    ]);
    const both = { filterGroupBy: { type: ["output"] }, advancedMeterGroupByFilters: { type: { $eq: "input" } } };
    expect((await ask("tokens_sum", both)).status).toBe(400);
  });

  it("of distinct values is that of each when it was first seen; of the last value, that at the end", async () => {
    // Values of June: 1,000,000 and 3,000,000 at the two prices of input, 500,000 as output, 7 without a price.
    expect(await costs("tokens_unique_count", { ...JUNE, groupBy: ["model"] })).toEqual([
      ["3", "0.00002"],
      ["1", null],
    ]);
    const [latest] = await rows("tokens_latest", {
      ...JUNE,
      groupBy: ["model", "type"],
      filterGroupBy: { type: ["input"] },
    });
    expect([latest!.usage, latest!.cost]).toEqual(["3000000", "6"]);
  });

  it("of a manual amount is exact", async () => {
    expect(await costs("manual", { ...JUNE, groupBy: ["type"], filterGroupBy: { type: ["output"] } })).toEqual([
      ["500000", "0.0617285"],
    ]);
  });

  it("names the period and the windows that were asked for", async () => {
    const { body } = await ask("manual", {
      ...JUNE,
      windowSize: "DAY",
      windowTimeZone: "Europe/Berlin",
      subject: ["customer-1"],
    });
    expect(body).toMatchObject({ from: "2025-06-01T00:00:00.000Z", to: "2025-07-01T00:00:00.000Z", windowSize: "DAY" });
    expect(body.data.every(({ windowStart }) => windowStart.endsWith("T22:00:00.000Z"))).toBe(true);
  });

  it("is refused where it cannot be known", async () => {
    expect(await ask("bare", {})).toMatchObject({ status: 400, body: { detail: expect.stringContaining("no meter") } });
    expect(await ask("unpriced", {})).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("no unitCost") },
    });
    expect((await ask("none", {})).status).toBe(404);
    expect((await ask("tokens_sum", { groupBy: ["region"] })).status).toBe(400);
    expect((await ask("tokens_sum", { from: JUNE.to, to: JUNE.from })).status).toBe(400);
    const late = event("2026-06-01T00:00:00Z", 1, { model: "deepseek-chat", vendor: "deepseek", type: "input" });
    await call("POST", "/events", { body: [late] });
    expect(await ask("tokens_sum", { subject: ["customer-1"], ...only("o3") })).toMatchObject({
      status: 422,
      body: { type: "https://tollgate.dev/problems/at-bound", detail: expect.stringContaining("ask for less time") },
    });
    const day = { from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" };
    const subject = ["customer-1", ...Array.from({ length: 19 }, (_, n) => `nobody-${n}`)];
    expect((await ask("tokens_sum", { ...day, subject })).status, "two changes for twenty subjects").toBe(200);
    const month = { ...day, to: "2026-02-01T00:00:00Z", windowSize: "DAY" };
    await call("POST", "/events", {
      body: [event("2026-01-31T00:00:00Z", 1, { model: "deepseek-chat", vendor: "deepseek", type: "input" })],
    });
    expect((await ask("tokens_sum", { ...month, subject: ["customer-1"] })).status).toBe(200);
    expect((await ask("tokens_sum", { ...month, subject })).status, "sixty changes for twenty subjects").toBe(422);
  });
});
