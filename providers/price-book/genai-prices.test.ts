/** The adapter against the package's own calcPrice, which computes in floats: equal to within what floats lose. */
import { readFileSync } from "node:fs";
import { calcPrice, waitForUpdate, type ModelInfo, type Provider } from "@pydantic/genai-prices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileTable, type Usage } from "../../core/burn-table";
import { ONE } from "../../core/decimal";
import { DIMENSIONS } from "../../core/dimension";
import { rate } from "../../core/price";
import { exactPrice, GENAI_PRICES_VERSION, genaiPrices, readConstraint, unitOf } from "./genai-prices";
import { brokenPromises } from "./suite";

const book = genaiPrices();
const catalogue = (await waitForUpdate()) ?? [];
const TABLE = [
  compileTable({
    key: "t",
    version: 1,
    currency: "USD",
    effectiveFrom: 0,
    rules: [],
    mappings: [],
    markup: ONE,
    priceBook: "genai-prices",
  }),
];

type Quantities = Record<string, number>;
const usageOf = (quantities: Quantities, model: string, provider?: string): Usage => ({
  feature: "chat",
  model,
  ...(provider !== undefined && { provider }),
  quantities: new Map(Object.entries(quantities).map(([name, n]) => [name, BigInt(n) * ONE])),
});
const ours = (quantities: Quantities, model: string, provider?: string, at = Date.parse("2026-10-01T12:00:00Z")) => {
  const cost = rate(TABLE, usageOf(quantities, model, provider), at, book);
  return cost.ok ? Number(cost.value.amount) / 1e12 : cost.refusal.detail;
};
/** camelCase to the package's names, the one exception aside. */
const packageName = (dimension: string): string =>
  dimension === "reasoningTokens"
    ? "output_reasoning_tokens"
    : dimension.replaceAll(/([A-Z]|\d+(?=[mh]))/g, (part) => `_${part.toLowerCase()}`);
const theirs = (
  quantities: Quantities,
  model: string,
  providerId?: string,
  at = Date.parse("2026-10-01T12:00:00Z"),
) => {
  const usage = Object.fromEntries(Object.entries(quantities).map(([name, n]) => [packageName(name), n]));
  const timestamp = new Date(at);
  return calcPrice(usage, model, providerId === undefined ? { timestamp } : { timestamp, providerId })?.total_price;
};

const KNOWN: [provider: string, model: string][] = [
  ["openai", "gpt-4.1"],
  ["openai", "gpt-4o-mini"],
  ["openai", "o3"],
  ["openai", "gpt-5.4"],
  ["openai", "gpt-4o-realtime-preview"],
  ["openai", "gpt-image-1.5"],
  ["anthropic", "claude-sonnet-4-5"],
  ["anthropic", "claude-3-5-haiku-latest"],
  ["google", "gemini-2.5-flash"],
  ["google", "gemini-1.5-pro"],
  ["google", "gemini-3.1-flash-live-preview"],
  ["deepseek", "deepseek-chat"],
  ["deepseek", "deepseek-v4-pro"],
  ["perplexity", "sonar"],
  ["perplexity", "sonar-deep-research"],
  ["mistral", "mistral-ocr-2505"],
  ["groq", "whisper-large-v3"],
  ["x-ai", "grok-voice-latest"],
];

describe("the price book genai-prices", () => {
  it("keeps what every price book promises, for every model that it lists", () => {
    const at = Date.parse("2026-10-01T12:00:00Z");
    // Some ids are patterns that name no model themselves.
    const named = catalogue.flatMap(({ id: provider, models }) => models.map(({ id: model }) => ({ provider, model })));
    const queries = named
      .filter(({ provider, model }) => calcPrice({}, model, { providerId: provider }) !== null)
      .map((name) => ({ ...name, quantities: new Map([["inputTokens", 300_000n * ONE]]), at }));
    expect(queries.length).toBeGreaterThan(1_500);
    expect(brokenPromises(book, queries)).toEqual([]);
  });

  it("names the version that is installed and pinned", () => {
    const installed = JSON.parse(readFileSync("node_modules/@pydantic/genai-prices/package.json", "utf8")) as {
      version: string;
    };
    const ours = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };
    expect([installed.version, ours.dependencies["@pydantic/genai-prices"]]).toEqual([
      GENAI_PRICES_VERSION,
      GENAI_PRICES_VERSION,
    ]);
  });

  it("knows the dimension of every price in the list", () => {
    const keys = new Set(
      catalogue.flatMap(({ models }) =>
        models.flatMap((model) => histories(model).flatMap((prices) => Object.keys(prices))),
      ),
    );
    expect(keys.size).toBeGreaterThan(20);
    for (const key of keys) expect([key, unitOf(key)?.dimension]).toEqual([key, expect.any(String)]);
    expect(unitOf("output_reasoning_mtok")).toEqual({ dimension: "reasoningTokens", per: 1_000_000n * ONE });
    expect(unitOf("cache_audio_write_1h_mtok")?.dimension).toBe("cacheAudioWrite1hTokens");
    expect(unitOf("__proto__")).toBeNull();
  });

  it("takes a price by its shortest decimal text, however many places it has", () => {
    expect(exactPrice(0.1, 10n)).toEqual({ rate: ONE / 10n, per: 10n });
    expect(exactPrice(2.5e-7, 10n)).toEqual({ rate: 250_000n, per: 10n });
    expect(exactPrice(0.08333333333333334, ONE)).toEqual({ rate: 8_333_333_333_333_334n, per: 100_000n * ONE });
  });

  it("prices o3 by the date of the event", () => {
    const at = (time: string) => ours({ inputTokens: 1_000_000 }, "o3", "openai", Date.parse(time));
    expect([
      at("2025-05-01T00:00:00Z"),
      at("2025-06-09T23:59:59.999Z"),
      at("2025-06-10T00:00:00Z"),
      at("2026-05-01T00:00:00Z"),
    ]).toEqual([10, 10, 2, 2]);
  });

  it("prices deepseek-chat by the hour of the event", () => {
    const at = (time: string) =>
      ours({ inputTokens: 1_000_000 }, "deepseek-chat", "deepseek", Date.parse(`2026-01-01T${time}`));
    expect([at("00:29:59.999Z"), at("00:30:00Z"), at("16:29:59.999Z"), at("16:30:00Z")]).toEqual([
      0.135, 0.27, 0.27, 0.135,
    ]);
  });

  it("knows when a price changes: on a date, and by the hour of each day", () => {
    const changes = (provider: string, model: string, from: string, to: string) =>
      book
        .changes({ provider, model, from: Date.parse(from), to: Date.parse(to) })
        .map((at) => new Date(at).toISOString());
    expect(changes("openai", "o3", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z")).toEqual([
      "2025-06-10T00:00:00.000Z",
    ]);
    expect(changes("openai", "o3", "2025-06-10T00:00:00Z", "2026-01-01T00:00:00Z")).toEqual([]);
    expect(changes("deepseek", "deepseek-chat", "2026-01-01T00:30:00Z", "2026-01-03T00:30:00Z")).toEqual([
      "2026-01-01T16:30:00.000Z",
      "2026-01-02T00:30:00.000Z",
      "2026-01-02T16:30:00.000Z",
    ]);
    expect(changes("openai", "no-such-model", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z")).toEqual([]);
  });

  it("reads hours as the package does, those that pass midnight and those of other zones too", () => {
    const times = ["00:00:00Z", "00:30:00Z", "08:00:00+02:00", "16:30:00Z", "23:59:59Z"];
    const ms = fc.integer({ min: 0, max: 4_000_000_000_000 });
    const edge = fc.constantFrom(...times).map((time) => Date.parse(`2026-01-01T${time}`));
    fc.assert(
      fc.property(
        fc.constantFrom(...times),
        fc.constantFrom(...times),
        fc.oneof(
          ms,
          edge,
          edge.map((at) => at - 1),
        ),
        (start_time, end_time, at) => {
          const constraint = { type: "time_of_date" as const, start_time, end_time };
          const prices = [{ prices: { input_mtok: 1 } }, { constraint, prices: { input_mtok: 2 } }];
          const provider: Provider = {
            id: "p",
            name: "p",
            api_pattern: "",
            models: [{ id: "m", match: { equals: "m" }, prices }],
          };
          const theirs = calcPrice({ input_tokens: 1_000_000 }, "m", {
            provider,
            timestamp: new Date(at),
          })?.total_price;
          expect(readConstraint(constraint)(at) ? 2 : 1).toBe(theirs);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("prices a whole request at the tier of its input, cached tokens included", () => {
    const cost = (inputTokens: number, cacheReadTokens: number) =>
      ours({ inputTokens, cacheReadTokens, outputTokens: 1_000_000 }, "gpt-5.4", "openai");
    expect(cost(271_999, 0)).toBeCloseTo(15.6799975, 10);
    expect(cost(272_000, 0)).toBeCloseTo(23.86, 10);
    expect(cost(272_000, 272_000)).toBeCloseTo(22.636, 10);
  });

  it("charges Groq's ten seconds at least", () => {
    expect(ours({ audioSeconds: 5 }, "whisper-large-v3", "groq")).toBe(
      ours({ audioSeconds: 10 }, "whisper-large-v3", "groq"),
    );
    expect(ours({ inputAudioSeconds: 5 }, "whisper-large-v3", "groq")).toBe(0.000308333333);
    expect(ours({ audioSeconds: 20, inputAudioSeconds: 20 }, "whisper-large-v3", "groq")).toBe(0.000616666667);
  });

  it("charges a price per request once, or as often as the usage says", () => {
    expect(ours({ inputTokens: 1000, outputTokens: 0 }, "sonar", "perplexity")).toBe(0.013);
    expect(ours({ inputTokens: 1000, outputTokens: 0, requests: 2 }, "sonar", "perplexity")).toBe(0.025);
  });

  it("knows the names that OpenTelemetry gives to providers", () => {
    const openTelemetry: [string, string][] = [
      ["openai", "gpt-4.1"],
      ["azure.ai.openai", "gpt-4.1"],
      ["az.ai.inference", "gpt-4.1"],
      ["aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0"],
      ["gcp.vertex_ai", "gemini-2.5-flash"],
      ["gcp.gemini", "gemini-2.5-flash"],
      ["x_ai", "grok-4"],
      ["mistral_ai", "mistral-large-latest"],
    ];
    for (const [provider, model] of openTelemetry)
      expect([provider, ours({ inputTokens: 1 }, model, provider)]).toEqual([provider, expect.any(Number)]);
  });

  it("prices neither an unknown model nor a dimension that the list has no price for", () => {
    expect(ours({ inputTokens: 1 }, "no-such-model", "openai")).toContain(
      `no rule prices inputTokens of model "no-such-model" of "openai"`,
    );
    expect(ours({ inputTokens: 1 }, "gpt-4.1", "no-such-provider")).toContain("does not list it");
    expect(ours({ inputTokens: 1, webSearches: 1 }, "gemini-2.5-flash", "google")).toContain(
      "no published price for webSearches",
    );
    expect(ours({ inputTokens: 1, constructor: 1 }, "gpt-4.1", "openai")).toContain(
      "no published price for constructor",
    );
  });

  it("agrees with calcPrice on the best known models, for any usage, at any time", () => {
    // Tokens of a request as its provider counts them: the plain part and what lies within input and output.
    const n = fc.integer({ min: 0, max: 400_000 });
    const at = fc.integer({ min: Date.parse("2024-01-01"), max: Date.parse("2026-11-20") });
    fc.assert(
      fc.property(
        fc.constantFrom(...KNOWN),
        fc.array(n, { minLength: 12, maxLength: 12 }),
        at,
        ([provider, model], cells, time) => {
          const priced = new Set(
            book.unitPrices({ provider, model, quantities: new Map([["inputTokens", 10n ** 20n]]), at: time })?.keys(),
          );
          const quantities = randomUsage(priced, cells);
          const [mine, expected] = [ours(quantities, model, provider, time), theirs(quantities, model, provider, time)];
          expect([model, mine]).toEqual([model, expect.closeTo(expected ?? Number.NaN, 9)]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("agrees with calcPrice on every model of the list", () => {
    const usage = { inputTokens: 123_457, outputTokens: 7_891 };
    let compared = 0;
    for (const { id: provider, models } of catalogue) {
      for (const { id: model } of models) {
        const mine = ours(usage, model, provider);
        if (typeof mine === "string") continue;
        compared++;
        expect([provider, model, mine]).toEqual([
          provider,
          model,
          expect.closeTo(theirs(usage, model, provider) ?? Number.NaN, 9),
        ]);
      }
    }
    expect(compared).toBeGreaterThan(1_300);
  });

  it("splits usage as the package does, for any list of prices and any usage", () => {
    const tokens = [...DIMENSIONS.keys()].filter((name) => name.endsWith("Tokens"));
    const list = fc
      .subarray(tokens, { maxLength: 4 })
      .map((names) => closed(["inputTokens", "outputTokens", ...names]));
    const cells = fc.dictionary(fc.constantFrom(...tokens), fc.nat({ max: 100_000 }), { maxKeys: 6 });
    fc.assert(
      fc.property(list, fc.nat({ max: 1_000 }), cells, (names, seed, counted) => {
        const quantities: Quantities = Object.fromEntries(tokens.map((name) => [name, 0]));
        for (const [name, cell] of Object.entries(counted)) {
          for (const containing of [name, ...(DIMENSIONS.get(name)?.within ?? [])])
            quantities[containing] = (quantities[containing] ?? 0) + cell;
        }
        const prices = names.map((name, index): [string, number] => [name, ((seed * (index + 7)) % 97) + 1]);
        const listed = Object.fromEntries(
          prices.map(([name, price]) => [packageName(name).replace("_tokens", "_mtok"), price]),
        );
        const provider: Provider = {
          id: "p",
          name: "p",
          api_pattern: "",
          models: [{ id: "m", match: { equals: "m" }, prices: listed }],
        };
        const usage = Object.fromEntries(Object.entries(quantities).map(([name, n]) => [packageName(name), n]));
        const unitPrices = new Map(
          prices.map(([name, price]) => [name, { rate: BigInt(price) * ONE, per: 1_000_000n * ONE }]),
        );
        const cost = rate(TABLE, usageOf(quantities, "m"), 0, {
          name: "genai-prices",
          version: "test",
          unitPrices: () => unitPrices,
        });
        if (!cost.ok) throw new Error(cost.refusal.detail);
        expect(Number(cost.value.amount) / 1e12).toBeCloseTo(
          calcPrice(usage, "m", { provider })?.total_price ?? Number.NaN,
          9,
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

/** With every dimension that these lie within, and what any two of them may share: a list that the package accepts. */
function closed(names: string[]): string[] {
  const all = new Set(names.flatMap((name) => [name, ...(DIMENSIONS.get(name)?.within ?? [])]));
  for (const a of all) {
    for (const b of all) {
      const [x, y] = [DIMENSIONS.get(a), DIMENSIONS.get(b)];
      if (!x || !y || (x.words & y.excludes) !== 0) continue;
      const shared = DIMENSIONS.values().find(({ words }) => words === (x.words | y.words));
      if (shared && !all.has(shared.name)) return closed([...all, shared.name]);
    }
  }
  return [...all];
}

const histories = (model: ModelInfo) =>
  Array.isArray(model.prices) ? model.prices.map(({ prices }) => prices) : [model.prices];

/** Usage that a provider could report: disjoint cells, summed into every dimension that contains them and that the model prices. */
function randomUsage(priced: ReadonlySet<string>, cells: number[]): Quantities {
  const innermost = [...priced].filter((name) => name !== "requests");
  const usage: Quantities = {};
  for (const [index, name] of innermost.entries()) {
    const cell = cells[index % cells.length] ?? 0;
    for (const containing of [name, ...(DIMENSIONS.get(name)?.within ?? [])]) {
      if (priced.has(containing)) usage[containing] = (usage[containing] ?? 0) + cell;
    }
  }
  return usage;
}
