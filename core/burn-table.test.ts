import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compileTable,
  loadBurnTable,
  storeBurnTable,
  tableInForce,
  type BurnRule,
  type BurnTable,
  type Usage,
} from "./burn-table";
import { ONE } from "./decimal";

const table = (rules: BurnRule[], more: Partial<BurnTable> = {}): BurnTable => ({
  key: "default",
  version: 1,
  currency: "CREDITS",
  effectiveFrom: 0,
  rules,
  mappings: [],
  markup: ONE,
  priceBook: null,
  ...more,
});
let rateCount = 0n;
const rule = (selector: Partial<BurnRule> = {}): BurnRule => ({
  dimension: "inputTokens",
  rate: ++rateCount,
  per: ONE,
  ...selector,
});
const usage = (selector: Partial<Usage> = {}): Usage => ({ feature: "chat", quantities: new Map(), ...selector });

describe("the version in force", () => {
  const versions = (...effectiveFrom: number[]) =>
    effectiveFrom.map((from, index) => ({ table: table([], { version: index + 1, effectiveFrom: from }) }));
  const at = (time: number, ...effectiveFrom: number[]) =>
    tableInForce(versions(...effectiveFrom), time)?.table.version;

  it("is the latest that is not after the time, to the millisecond", () => {
    expect([at(99, 100, 200), at(100, 100, 200), at(199, 100, 200), at(200, 100, 200)]).toEqual([undefined, 1, 1, 2]);
  });

  it("is the higher version of two from the same time, and an earlier one where a later version starts later", () => {
    expect(at(100, 100, 100)).toBe(2);
    expect(at(150, 100, 300, 120)).toBe(3);
    expect(at(500, 100, 300, 120)).toBe(2);
    expect(at(0)).toBeUndefined();
  });
});

describe("the most specific rule", () => {
  const winner = (rules: BurnRule[], of: Partial<Usage>) =>
    rules.indexOf(compileTable(table(rules)).rulesFor(usage(of)).get("inputTokens")!);

  it("is by model first: exact, longer prefix, shorter prefix, none", () => {
    const rules = [
      rule(),
      rule({ model: "*" }),
      rule({ model: "gpt-*" }),
      rule({ model: "gpt-4*" }),
      rule({ model: "gpt-4" }),
    ];
    expect(
      ["gpt-4", "gpt-4.1", "gpt-5", "claude", undefined].map((model) => winner(rules, { ...(model && { model }) })),
    ).toEqual([4, 3, 2, 1, 0]);
    expect(
      winner([rule({ feature: "chat", provider: "openai" }), rule({ model: "gpt-*" })], {
        provider: "openai",
        model: "gpt-4",
      }),
    ).toBe(1);
  });

  it("is then by provider, then by feature", () => {
    const rules = [
      rule(),
      rule({ feature: "chat" }),
      rule({ provider: "openai" }),
      rule({ provider: "openai", feature: "chat" }),
    ];
    for (const order of [rules, rules.toReversed()])
      expect(order[winner(order, { provider: "openai", feature: "search" })]).toBe(rules[2]);
    const [, byFeature, byProvider] = rules;
    expect(winner([byFeature!, byProvider!], { provider: "openai" })).toBe(1);
    expect(winner(rules, { provider: "openai" })).toBe(3);
    expect(winner(rules, { provider: "openai", feature: "search" })).toBe(2);
    expect(winner(rules, { provider: "azure" })).toBe(1);
    expect(winner(rules, { feature: "search" })).toBe(0);
  });

  it("needs every selector to match, case and all", () => {
    for (const selector of [
      { feature: "Chat" },
      { provider: "openai" },
      { model: "gpt-4" },
      { model: "gpt-4*" },
      { dimension: "inputtokens" },
    ]) {
      expect(winner([rule(selector)], { model: "GPT-4" })).toBe(-1);
    }
    expect(winner([rule({ model: "gpt-4" })], { model: "gpt-4-turbo" })).toBe(-1);
    expect(winner([rule({ model: "gpt-4*" })], { model: "gpt-4" })).toBe(0);
  });

  it("does not depend on the order of the rules, nor on what was asked before", () => {
    const optional = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
    const selector = fc.record({
      feature: optional("chat", "search"),
      provider: optional("openai", "azure"),
      model: optional("gpt-4", "gpt-*", "gpt-4*", "*"),
      dimension: fc.constantFrom("inputTokens", "constructor"),
    });
    const selectors = fc.uniqueArray(selector, { selector: (it) => JSON.stringify(it), maxLength: 30 });
    const asked = fc.record({
      feature: fc.constantFrom("chat", "search", "other"),
      provider: optional("openai"),
      model: optional("gpt-4", "gpt-4.1", "gpt", "x"),
    });
    fc.assert(
      fc.property(
        selectors,
        fc.array(asked, { minLength: 1, maxLength: 10 }),
        fc.func(fc.nat()),
        (all, questions, shuffle) => {
          const rules = all.map((one) => rule(one as Partial<BurnRule>));
          const one = compileTable(table(rules));
          const other = compileTable(table(rules.toSorted((a, b) => shuffle(a.rate) - shuffle(b.rate))));
          for (const question of questions as Partial<Usage>[]) {
            expect(one.rulesFor(usage(question))).toEqual(other.rulesFor(usage(question)));
            expect(one.rulesFor(usage(question))).toEqual(compileTable(table(rules)).rulesFor(usage(question)));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is the later one, were two the same", () => {
    expect(winner([rule({ model: "m" }), rule({ model: "m" })], { model: "m" })).toBe(1);
  });

  it("stays right when more names were asked for than are remembered", () => {
    const compiled = compileTable(table([rule({ feature: "f1" }), rule()]));
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 6_000; n++) {
        expect(compiled.rulesFor(usage({ feature: `f${n}`, model: `${n}` })).get("inputTokens")?.feature).toBe(
          n === 1 ? "f1" : undefined,
        );
      }
    }
    expect(compiled.rulesFor(usage({ feature: "x".repeat(1_000) })).size).toBe(1);
  });
});

describe("a stored table", () => {
  it("comes back the same through JSON, decimals as strings", () => {
    const original = table([rule({ model: "gpt-*", roundUpTo: 60n * ONE }), rule({ rate: 1n, per: 3n * ONE })], {
      mappings: [{ eventType: "llm", where: { "$.kind": null }, feature: "chat", usage: { inputTokens: "$.n" } }],
      markup: 1_200_000_000_000n,
      priceBook: "genai-prices",
    });
    const stored = storeBurnTable(original);
    expect(stored.rules[1]).toEqual({ dimension: "inputTokens", rate: "0.000000000001", per: "3" });
    expect(loadBurnTable(JSON.parse(JSON.stringify(stored)) as typeof stored)).toEqual(original);
  });
});
