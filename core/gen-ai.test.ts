/** Which attributes make which event. */
import { describe, expect, it } from "vitest";
import { isInteresting, usageEventOf, type AttributeValue, type TelemetryRecord } from "./gen-ai";

const NOW = 1_000;
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

const record = (attributes: Record<string, AttributeValue>, of: Partial<TelemetryRecord> = {}): TelemetryRecord => ({
  resource: new Map([["service.name", "chat-service"]]),
  traceId: TRACE,
  spanId: SPAN,
  at: 5,
  ...of,
  attributes: new Map(Object.entries(attributes)),
});
const customer = { "tollgate.customer": "customer-1" };
const eventOf = (...of: Parameters<typeof record>) => {
  const read = usageEventOf(record(...of), NOW);
  return read.ok ? read.value : read.refusal;
};
const usageOf = (attributes: Record<string, AttributeValue>) => {
  const event = eventOf({ ...customer, ...attributes });
  return typeof event === "object" ? event?.data?.usage : event;
};

describe("a span with usage", () => {
  it("becomes an event that names service, customer, model and what was used", () => {
    const attributes = {
      ...customer,
      "tollgate.feature": "assistant",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4o",
      "gen_ai.response.model": "gpt-4o-2024-08-06",
      "gen_ai.operation.name": "chat",
      "gen_ai.usage.input_tokens": 1200,
      "gen_ai.usage.output_tokens": 350,
      "gen_ai.prompt": "secret",
    };
    expect(eventOf(attributes)).toEqual({
      id: `${TRACE}:${SPAN}`,
      source: "chat-service",
      type: "gen_ai.usage",
      subject: "customer-1",
      time: 5,
      data: {
        usage: { inputTokens: 1200, outputTokens: 350 },
        provider: "openai",
        model: "gpt-4o-2024-08-06",
        operation: "chat",
        feature: "assistant",
      },
    });
  });

  it.each([
    ["inputTokens", ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]],
    ["outputTokens", ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]],
    [
      "cacheReadTokens",
      [
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
      ],
    ],
    [
      "cacheWriteTokens",
      [
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
      ],
    ],
    [
      "reasoningTokens",
      [
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
      ],
    ],
  ])("counts %s under every name it had, and the newest wins", (dimension, names) => {
    for (const name of names) expect([name, usageOf({ [name]: 7 })]).toEqual([name, { [dimension]: 7 }]);
    expect(usageOf(Object.fromEntries(names.map((name, place) => [name, place + 1])))).toEqual({ [dimension]: 1 });
  });

  it("keeps numbers exact, however they came", () => {
    const huge = JSON.rawJSON("9223372036854775807");
    expect(usageOf({ "gen_ai.usage.input_tokens": huge, "gen_ai.usage.output_tokens": "12.5" })).toEqual({
      inputTokens: huge,
      outputTokens: "12.5",
    });
    expect(usageOf({ "gen_ai.usage.input_tokens": -1 }), "kept, and listed as unpriced").toEqual({ inputTokens: -1 });
  });

  it("is the customer's that it names, or the user's, or its resource's", () => {
    const used = { "gen_ai.usage.input_tokens": 1 };
    const subject = (attributes: Record<string, AttributeValue>, resource: Record<string, AttributeValue> = {}) => {
      const event = eventOf({ ...used, ...attributes }, { resource: new Map(Object.entries(resource)) });
      return typeof event === "object" ? event?.subject : event;
    };
    expect(subject({ "user.id": "u", "tollgate.customer": "c" })).toBe("c");
    expect(subject({ "user.id": "u", "enduser.id": "e" }, { "tollgate.customer": "r" })).toBe("u");
    expect(subject({ "enduser.id": "e" })).toBe("e");
    expect(subject({ "user.id": 42 })).toBe("42");
    expect(subject({ "user.id": "" }, { "tollgate.customer": "r" })).toBe("r");
    expect(subject({})).toBe("no customer is named; set the attribute tollgate.customer, or user.id");
  });

  it("is of an unknown service and of now where it does not say", () => {
    const used = { ...customer, "gen_ai.usage.input_tokens": 1 };
    expect(eventOf(used, { resource: new Map(), at: null })).toMatchObject({ source: "unknown_service", time: NOW });
    expect(eventOf(used)).toMatchObject({ data: { usage: { inputTokens: 1 } } });
  });

  it.each<[string, Record<string, AttributeValue>, Partial<TelemetryRecord>, string]>([
    ["whose usage is text", { "gen_ai.usage.input_tokens": "many" }, {}, "gen_ai.usage.input_tokens is no number"],
    ["whose usage is a list", { "gen_ai.usage.output_tokens": null }, {}, "gen_ai.usage.output_tokens is no number"],
    [
      "whose usage is unknown",
      { "gen_ai.usage.cost": 0.5 },
      {},
      "of gen_ai.usage.* none is known; there are gen_ai.usage.input_tokens, gen_ai.usage.output_tokens",
    ],
    ["without a trace id", { "gen_ai.usage.input_tokens": 1 }, { traceId: "" }, "without trace id and span id"],
    [
      "with a trace id of zeros",
      { "gen_ai.usage.input_tokens": 1 },
      { traceId: "0".repeat(32) },
      "without trace id and span id",
    ],
    [
      "with a span id that is none",
      { "gen_ai.usage.input_tokens": 1 },
      { spanId: "xyz" },
      "without trace id and span id",
    ],
  ])("%s is refused in words", (_, attributes, of, said) => {
    expect(eventOf({ ...customer, ...attributes }, of)).toContain(said);
  });
});

describe("everything else", () => {
  it("is no event, and is not read at all", () => {
    expect(eventOf({ ...customer, "http.request.method": "GET", "gen_ai.request.model": "gpt-4o" })).toBe(null);
    for (const name of ["gen_ai.prompt", "gen_ai.input.messages", "gen_ai.output.messages", "http.url", "gen_ai.usage"])
      expect([name, isInteresting(name)]).toEqual([name, false]);
    for (const name of ["gen_ai.usage.input_tokens", "gen_ai.usage.new", "user.id", "service.name"])
      expect([name, isInteresting(name)]).toEqual([name, true]);
  });
});
