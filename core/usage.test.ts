import { describe, expect, it } from "vitest";
import { compileTable, type BurnTable } from "./burn-table";
import { ONE } from "./decimal";
import type { Json, JsonObject, UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { eventUsage, readUsage } from "./usage";

const event = (data: Json | undefined, type = "chat"): UsageEvent => ({
  id: "1",
  source: "test",
  type,
  subject: "c",
  time: 1_000,
  ...(data !== undefined && { data: data as JsonObject }),
});
const versions = (more: Partial<BurnTable> = {}) => [
  compileTable({
    key: "t",
    version: 1,
    currency: "CREDITS",
    effectiveFrom: 0,
    mappings: [],
    markup: ONE,
    priceBook: null,
    rules: [{ dimension: "inputTokens", rate: ONE, per: ONE }],
    ...more,
  }),
];
const quantities = (usage: Record<string, number>) =>
  new Map(Object.entries(usage).map(([name, n]) => [name, BigInt(n) * ONE]));

describe("usage in a request", () => {
  it("is read exactly, from numbers and numeric strings", () => {
    const json = parseExact(`{"inputTokens": 9007199254740993, "seconds": "0.000000000001", "constructor": 1.0}`);
    expect(readUsage(json)).toEqual({
      ok: true,
      value: new Map([
        ["inputTokens", 9_007_199_254_740_993n * ONE],
        ["seconds", 1n],
        ["constructor", ONE],
      ]),
    });
  });

  it.each([
    [null, "usage", "must be an object"],
    [[1], "usage", "must be an object"],
    [5, "usage", "must be an object"],
    [JSON.rawJSON("9007199254740993"), "usage", "must be an object"],
    [{}, "usage", "at least one dimension"],
    [Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`d${n}`, 1])), "usage", "at most 32 dimensions"],
    [{ inputTokens: -1 }, "usage.inputTokens", "must not be negative"],
    [{ inputTokens: "x" }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: Number.NaN }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: Infinity }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: null }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: true }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: { a: 1 } }, "usage.inputTokens", "must be a number or decimal text"],
    [{ inputTokens: "1e-13" }, "usage.inputTokens", "at most 12 digits"],
    [{ inputTokens: 1e26 }, "usage.inputTokens", "at most 26 digits"],
    [{ "input tokens": 1 }, `usage["input tokens"]`, "the name of a dimension"],
    [{ [`a${"b".repeat(64)}`]: 1 }, `usage["a${"b".repeat(63)}"]`, "the name of a dimension"],
    [JSON.parse(`{"__proto__": 1}`), `usage["__proto__"]`, "the name of a dimension"],
  ])("is refused with the field to change: %j", (json, field, detail) => {
    expect(readUsage(json)).toEqual({
      ok: false,
      refusal: { field, detail: expect.stringContaining(detail) as string },
    });
  });
});

describe("the usage of an event", () => {
  it("is data.usage, of the feature in data or else of the event's type", () => {
    const usage = { inputTokens: 5, outputTokens: "6" };
    expect(eventUsage(event({ usage }), versions())).toEqual({
      feature: "chat",
      quantities: quantities({ inputTokens: 5, outputTokens: 6 }),
    });
    expect(
      eventUsage(event({ usage, feature: "search", provider: "openai", model: "gpt-4" }), versions()),
    ).toMatchObject({
      feature: "search",
      provider: "openai",
      model: "gpt-4",
    });
    expect(eventUsage(event({ usage, feature: "", provider: 5, model: null }), versions())).toEqual({
      feature: "chat",
      quantities: quantities({ inputTokens: 5, outputTokens: 6 }),
    });
    expect(eventUsage(event({ usage }), [])?.feature).toBe("chat");
  });

  it("is nothing for events that are metered only", () => {
    const others: (Json | undefined)[] = [
      undefined,
      null,
      {},
      { tokens: 5 },
      { usage: 5 },
      { usage: [1] },
      { usage: {} },
      { usage: null },
      { usage: { inputTokens: "many" } },
      { usage: { inputTokens: 5, details: { cached: 1 } } },
      { usage: { inputTokens: true } },
      [1, 2],
      "text",
    ];
    for (const data of others) expect([data, eventUsage(event(data), versions())]).toEqual([data, null]);
  });

  it("is kept as unreadable, never dropped, when its numbers cannot be charged", () => {
    for (const [usage, detail] of [
      [{ inputTokens: -5 }, "usage.inputTokens must not be negative"],
      [{ inputTokens: 1, "output tokens": 2 }, `usage["output tokens"] the name of a dimension`],
      [{ inputTokens: 1e40 }, "usage.inputTokens must have at most 26 digits"],
    ] as const) {
      const found = eventUsage(event({ usage }), versions());
      expect(found?.unreadable).toContain(detail);
      expect(found?.quantities.size).toBe(0);
    }
  });
});

describe("a mapping", () => {
  const mapping = {
    eventType: "llm.done",
    where: { "$.status": "ok", "$.attempt": 1 },
    feature: "chat",
    provider: "openai",
    model: "$.meta.model",
    usage: { inputTokens: "$.tokens[0]", outputTokens: "$.tokens[1]" },
  };
  const data = { status: "ok", attempt: 1, meta: { model: "gpt-4" }, tokens: [5, "6"] };
  const mapped = versions({ mappings: [mapping] });

  it("reads an event of another shape", () => {
    expect(eventUsage(event(data, "llm.done"), mapped)).toEqual({
      feature: "chat",
      provider: "openai",
      model: "gpt-4",
      quantities: quantities({ inputTokens: 5, outputTokens: 6 }),
    });
  });

  it("matches by type, by every condition, and by at least one number found", () => {
    expect(eventUsage(event(data, "llm.started"), mapped)).toBeNull();
    for (const other of [
      { status: "failed" },
      { attempt: 2 },
      { attempt: "1" },
      { attempt: null },
      { tokens: [] },
      { tokens: null },
    ]) {
      expect(eventUsage(event({ ...data, ...other }, "llm.done"), mapped)).toBeNull();
    }
    expect(eventUsage(event({ ...data, tokens: [5, null] }, "llm.done"), mapped)?.quantities).toEqual(
      quantities({ inputTokens: 5 }),
    );
    expect(eventUsage(event({ ...data, meta: {} }, "llm.done"), mapped)).not.toHaveProperty("model");
    expect(
      eventUsage(event({ ...data, attempt: JSON.rawJSON("1.0") as unknown as Json }, "llm.done"), mapped),
    ).not.toBeNull();
  });

  it("makes usage unreadable when what it finds is no quantity", () => {
    expect(eventUsage(event({ ...data, tokens: [-5, 6] }, "llm.done"), mapped)?.unreadable).toBe(
      "inputTokens must not be negative",
    );
    expect(eventUsage(event({ ...data, tokens: ["many", 6] }, "llm.done"), mapped)?.unreadable).toContain(
      "inputTokens must be a number or decimal text",
    );
  });

  it("takes the first that matches, of the version in force at the event's time", () => {
    const other = { ...mapping, where: {}, feature: "other" };
    expect(eventUsage(event(data, "llm.done"), versions({ mappings: [mapping, other] }))?.feature).toBe("chat");
    expect(
      eventUsage(event({ ...data, status: "failed" }, "llm.done"), versions({ mappings: [mapping, other] }))?.feature,
    ).toBe("other");
    expect(eventUsage(event(data, "llm.done"), versions({ mappings: [mapping], effectiveFrom: 1_001 }))).toBeNull();
  });

  it("yields to data.usage that the table prices, and wins over data.usage that it does not", () => {
    const names = { eventType: "chat", feature: "chat", usage: { inputTokens: "$.usage.prompt_tokens" } };
    const both = versions({ mappings: [names] });
    expect(eventUsage(event({ usage: { prompt_tokens: 5 } }), both)?.quantities).toEqual(
      quantities({ inputTokens: 5 }),
    );
    expect(
      eventUsage(event({ usage: { prompt_tokens: 5, inputTokens: 7 } }), both)?.quantities.get("inputTokens"),
    ).toBe(7n * ONE);
    const book = versions({ mappings: [names], rules: [], priceBook: "genai-prices" });
    expect(
      eventUsage(event({ usage: { prompt_tokens: 5, outputTokens: 7 }, model: "gpt-4" }), book)?.quantities.size,
    ).toBe(2);
    expect(eventUsage(event({ usage: { completion_tokens: 5 } }), both)?.quantities).toEqual(
      quantities({ completion_tokens: 5 }),
    );
  });
});
