import { describe, expect, it } from "vitest";
import { compileTable } from "./burn-table";
import { readBurnTable, RULES_MAX } from "./burn-table-body";
import { ONE } from "./decimal";

const RULE = { dimension: "inputTokens", rate: "2.50", per: 1_000_000 };
const BODY = { key: "default", currency: "CREDITS", rules: [RULE] };
const MAPPING = { eventType: "llm", feature: "chat", usage: { inputTokens: "$.tokens.in" } };
const read = (body: unknown) => readBurnTable(body, { version: 3, now: 1_000 });
const fault = (body: unknown) => {
  const table = read(body);
  return table.ok ? null : `${table.refusal.field}: ${table.refusal.detail}`;
};

describe("the body of a burn table", () => {
  it("becomes a table, with what it leaves out filled in", () => {
    expect(read(BODY)).toEqual({
      ok: true,
      value: {
        key: "default",
        version: 3,
        currency: "CREDITS",
        effectiveFrom: 1_000,
        markup: ONE,
        priceBook: null,
        mappings: [],
        rules: [{ dimension: "inputTokens", rate: 2_500_000_000_000n, per: 1_000_000n * ONE }],
      },
    });
  });

  it("takes every field that the contract has", () => {
    const full = {
      ...BODY,
      effectiveFrom: "2026-01-01T01:00:00+01:00",
      default: true,
      markup: "1.25",
      priceBook: "genai-prices",
      rules: [{ ...RULE, feature: "chat", provider: "openai", model: "gpt-4*", roundUpTo: 60 }],
      mappings: [
        {
          ...MAPPING,
          where: { "$.kind": "chat", "$.n": 1, "$.on": true, "$.off": null },
          feature: "$.feature",
          provider: "openai",
          model: "$.model",
        },
      ],
    };
    const table = read(full);
    if (!table.ok) throw new Error(table.refusal.detail);
    expect(table.value).toMatchObject({
      effectiveFrom: Date.parse("2026-01-01T00:00:00Z"),
      markup: 1_250_000_000_000n,
      priceBook: "genai-prices",
    });
    expect(table.value.rules[0]).toMatchObject({
      feature: "chat",
      provider: "openai",
      model: "gpt-4*",
      roundUpTo: 60n * ONE,
    });
    expect(table.value.mappings).toEqual(full.mappings);
    expect(() => compileTable(table.value)).not.toThrow();
    expect(read({ ...BODY, priceBook: null, rules: [] }).ok).toBe(true);
  });

  it("reads decimals by their source text", () => {
    const rate = JSON.rawJSON("0.000000000001");
    expect(read({ ...BODY, rules: [{ ...RULE, rate, per: "3" }] })).toMatchObject({
      ok: true,
      value: { rules: [{ rate: 1n, per: 3n * ONE }] },
    });
  });

  const rule = (more: object) => ({ ...BODY, rules: [RULE, { ...RULE, feature: "f", ...more }] });
  const mapping = (more: object) => ({ ...BODY, mappings: [{ ...MAPPING, ...more }] });
  it.each([
    [null, "body: must be an object"],
    [[], "body: must be an object"],
    [{ ...BODY, key: "" }, "key: must be 1 to 64"],
    [{ ...BODY, key: "a/b" }, "key: must be 1 to 64"],
    [{ ...BODY, key: 5 }, "key: must be 1 to 64"],
    [{ ...BODY, currency: "usd" }, "currency: must be 2 to 24 capital letters"],
    [{ ...BODY, effectiveFrom: "2026-01-01" }, "effectiveFrom: must be an RFC 3339 time"],
    [{ ...BODY, effectiveFrom: "2026-02-31T00:00:00Z" }, "effectiveFrom: must be an RFC 3339 time"],
    [{ ...BODY, effectiveFrom: 5 }, "effectiveFrom: must be an RFC 3339 time"],
    [{ ...BODY, markup: -1 }, "markup: must not be negative"],
    [{ ...BODY, priceBook: "litellm" }, `priceBook: must be "genai-prices" or null`],
    [{ ...BODY, default: "yes" }, "default: must be true or false"],
    [{ ...BODY, version: 5 }, "version: is not a field here; the fields are key, currency"],
    [JSON.parse(`{"key":"k","currency":"USD","rules":[],"__proto__":{"a":1}}`), `"__proto__": is not a field here`],
    [{ ...BODY, rules: undefined }, "rules: must be a list"],
    [{ ...BODY, rules: {} }, "rules: must be a list"],
    [{ ...BODY, rules: Array.from({ length: RULES_MAX + 1 }, () => RULE) }, "rules: must have at most 1000 entries"],
    [{ ...BODY, rules: [null] }, "rules[0]: must be an object"],
    [rule({ rate: undefined }), "rules[1].rate: is required"],
    [rule({ rate: "-1" }), "rules[1].rate: must not be negative"],
    [rule({ rate: "x" }), "rules[1].rate: must be a number or decimal text"],
    [rule({ rate: "0.0000000000001" }), "rules[1].rate: must have at most 12 digits after"],
    [rule({ rate: 1e300 }), "rules[1].rate: must have at most 26 digits before"],
    [rule({ per: 0 }), "rules[1].per: must be greater than zero"],
    [rule({ per: undefined }), "rules[1].per: is required"],
    [rule({ roundUpTo: 0 }), "rules[1].roundUpTo: must be greater than zero"],
    [rule({ dimension: "__proto__" }), "rules[1].dimension: must name a dimension"],
    [rule({ dimension: "a".repeat(65) }), "rules[1].dimension: must name a dimension"],
    [rule({ model: "gpt*4" }), "rules[1].model: may have a * only at its end"],
    [rule({ model: "" }), "rules[1].model: must be 1 to 256 characters"],
    [rule({ feature: "a\u0000b" }), "rules[1].feature: must be 1 to 256 characters, none of them a control"],
    [rule({ feature: "\ud800" }), "rules[1].feature: must be 1 to 256"],
    [rule({ provider: "p".repeat(257) }), "rules[1].provider: must be 1 to 256"],
    [rule({ unit: "x" }), "rules[1].unit: is not a field here; the fields are feature"],
    [rule({ feature: undefined }), "rules[1]: has the same feature, provider, model and dimension as rules[0]"],
    [mapping({ eventType: undefined }), "mappings[0].eventType: must be 1 to 256"],
    [mapping({ feature: "$.a[*]" }), "mappings[0].feature: must name one value"],
    [mapping({ model: "$..m" }), "mappings[0].model: must name one value"],
    [mapping({ usage: {} }), "mappings[0].usage: must have at least one dimension"],
    [mapping({ usage: { inputTokens: "tokens" } }), "mappings[0].usage.inputTokens: must be a JSONPath"],
    [mapping({ usage: { inputTokens: 5 } }), "mappings[0].usage.inputTokens: must be a JSONPath"],
    [mapping({ usage: { "a b": "$.a" } }), "mappings[0].usage: must name a dimension"],
    [
      mapping({ usage: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`d${n}`, "$.a"])) }),
      "mappings[0].usage: must have at most 32",
    ],
    [mapping({ where: { kind: "x" } }), `mappings[0].where["kind"]: must be a JSONPath`],
    [
      mapping({ where: { "$.kind": ["x"] } }),
      `mappings[0].where["$.kind"]: must be a number, true, false, null or text`,
    ],
    [mapping({ where: { "$[?search(@.a, '(x+)+$')]": 1 } }), "must name one value"],
  ])("is refused with the field to change: %j", (body, expected) => {
    expect(fault(body)).toContain(expected);
  });
});
