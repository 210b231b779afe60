import { describe, expect, it } from "vitest";
import { compileTable, type BurnRule, type BurnTable, type Usage } from "./burn-table";
import { decimal, DECIMAL_MAX, formatDecimal, ONE, type Decimal } from "./decimal";
import { rate, type PriceBook, type UnitPrice } from "./price";

const MILLION = 1_000_000n * ONE;
const rule = (dimension: string, price: string, per: Decimal = ONE, more: Partial<BurnRule> = {}): BurnRule => ({
  dimension,
  rate: decimal(price),
  per,
  ...more,
});
const version = (rules: BurnRule[], more: Partial<BurnTable> = {}) =>
  compileTable({
    key: "t",
    version: 1,
    currency: "CREDITS",
    effectiveFrom: 0,
    rules,
    mappings: [],
    markup: ONE,
    priceBook: null,
    ...more,
  });
const usage = (quantities: Record<string, string | number>, more: Partial<Usage> = {}): Usage => ({
  feature: "chat",
  quantities: new Map(Object.entries(quantities).map(([name, q]) => [name, decimal(String(q))])),
  ...more,
});
/** A price list of one model, "gpt". */
const bookOf = (prices: Record<string, UnitPrice>, name = "genai-prices"): PriceBook => ({
  name,
  version: "9.9",
  unitPrices: ({ model }) => (model === "gpt" ? new Map(Object.entries(prices)) : null),
});
const noBook = bookOf({});
const cost = (versions: ReturnType<typeof version>[], of: Usage, book = noBook, at = 1_000) => {
  const rated = rate(versions, of, at, book);
  if (!rated.ok) throw new Error(rated.refusal.detail);
  return rated.value;
};
const amount = (...args: Parameters<typeof cost>) => formatDecimal(cost(...args).amount);
const detail = (versions: ReturnType<typeof version>[], of: Usage, book = noBook, at = 1_000) => {
  const rated = rate(versions, of, at, book);
  return rated.ok ? formatDecimal(rated.value.amount) : rated.refusal.detail;
};

describe("a cost by rules", () => {
  it("is exact: the Azure traces at 2.50 and 10.00 per million", () => {
    const table = [version([rule("inputTokens", "2.5", MILLION), rule("outputTokens", "10", MILLION)])];
    expect(amount(table, usage({ inputTokens: 18_059_974, outputTokens: 245_896 }))).toBe("47.608895");
    expect(amount(table, usage({ inputTokens: 22_361_870, outputTokens: 4_088_665 }))).toBe("96.791325");
  });

  it("is exact where floats are not", () => {
    const tenth = [version([rule("calls", "0.1")])];
    expect(amount(tenth, usage({ calls: 3 }))).toBe("0.3");
    const sum = Array.from({ length: 10 }, () => cost(tenth, usage({ calls: 1 })).amount).reduce((a, b) => a + b, 0n);
    expect(formatDecimal(sum)).toBe("1");
    expect(amount([version([rule("calls", "0.000000000001")])], usage({ calls: "9007199254740993" }))).toBe(
      "9007.199254740993",
    );
    expect(amount([version([rule("calls", "1")])], usage({ calls: "9007199254740993" }))).toBe("9007199254740993");
    expect(amount([version([rule("calls", "1", 3n * ONE)])], usage({ calls: 1 }))).toBe("0.333333333333");
    expect(amount([version([rule("calls", "1", 3n * ONE)])], usage({ calls: 2 }))).toBe("0.666666666667");
    expect(amount([version([rule("calls", "1", 3n * ONE)])], usage({ calls: "9007199254740993" }))).toBe(
      "3002399751580331",
    );
  });

  it("rounds each line once, ties to even, and adds the rounded lines", () => {
    const half = [version([rule("a", "0.000000000001", 2n * ONE), rule("b", "0.000000000001", 2n * ONE)])];
    expect(["1", "3", "5", "7"].map((a) => amount(half, usage({ a })))).toEqual([
      "0",
      "0.000000000002",
      "0.000000000002",
      "0.000000000004",
    ]);
    expect(amount(half, usage({ a: 3, b: 3 }))).toBe("0.000000000004");
  });

  it("has a line for each dimension with a quantity, in the order of the usage", () => {
    const table = [
      version([rule("inputTokens", "2.5", MILLION), rule("requests", "0.01")], {
        key: "pro",
        version: 1,
        currency: "USD",
      }),
    ];
    expect(cost(table, usage({ requests: 1, inputTokens: 2000, outputTokens: 0 }))).toEqual({
      amount: decimal("0.015"),
      currency: "USD",
      burnTable: { key: "pro", version: 1 },
      lines: [
        { dimension: "requests", quantity: ONE, rate: decimal("0.01"), per: ONE, amount: decimal("0.01") },
        {
          dimension: "inputTokens",
          quantity: 2000n * ONE,
          rate: decimal("2.5"),
          per: MILLION,
          amount: decimal("0.005"),
        },
      ],
    });
    expect(cost(table, usage({ inputTokens: 0, outputTokens: 0 }))).toMatchObject({ amount: 0n, lines: [] });
  });

  it("charges each dimension as given, even those that lie within another", () => {
    const table = [version([rule("inputTokens", "2"), rule("cacheReadTokens", "1")])];
    expect(amount(table, usage({ inputTokens: 10, cacheReadTokens: 4 }))).toBe("24");
  });

  it("rounds the quantity up first, and shows the quantity that it charged", () => {
    const table = [version([rule("seconds", "0.1", 60n * ONE, { roundUpTo: 60n * ONE })])];
    expect(["0.5", "60", "60.000000000001"].map((seconds) => amount(table, usage({ seconds })))).toEqual([
      "0.1",
      "0.1",
      "0.2",
    ]);
    expect(cost(table, usage({ seconds: 61 })).lines[0]?.quantity).toBe(120n * ONE);
  });

  it("may be zero by a rule that says so", () => {
    expect(cost([version([rule("reasoningTokens", "0")])], usage({ reasoningTokens: 9 }))).toMatchObject({
      amount: 0n,
      lines: [{ amount: 0n }],
    });
  });

  it("is by the version in force at the time of the event", () => {
    const versions = [
      version([rule("calls", "1")], { effectiveFrom: 100 }),
      version([rule("calls", "2")], { version: 2, effectiveFrom: 200 }),
    ];
    expect([199, 200].map((at) => cost(versions, usage({ calls: 1 }), noBook, at).burnTable.version)).toEqual([1, 2]);
    expect(amount(versions, usage({ calls: 1 }), noBook, 199)).toBe("1");
    expect(detail(versions, usage({ calls: 1 }), noBook, 99)).toBe(
      "unpriced usage: burn table t has no version in force at 1970-01-01T00:00:00.099Z",
    );
    expect(detail([], usage({ calls: 1 }))).toBe("unpriced usage: there is no burn table");
  });

  it("is refused with the dimension that has no price, and for whom", () => {
    const table = [version([rule("inputTokens", "1")])];
    expect(detail(table, usage({ inputTokens: 1, images: 2 }))).toBe(
      `unpriced usage: no rule prices images of feature "chat"`,
    );
    expect(detail(table, usage({ images: 2 }, { provider: "openai", model: "gpt" }))).toBe(
      `unpriced usage: no rule prices images of model "gpt" of "openai"`,
    );
    expect(detail(table, usage({ constructor: 2 }))).toContain("no rule prices constructor");
    expect(detail(table, usage({ images: 2 }, { feature: "f".repeat(1_000) }))).toMatch(/feature "f{100}…"$/);
    expect(detail(table, usage({}, { unreadable: "usage.inputTokens must not be negative" }))).toBe(
      "unpriced usage: usage.inputTokens must not be negative",
    );
  });

  it("is refused when it is larger than any amount may be", () => {
    const table = [version([rule("calls", "2")])];
    const most = { feature: "chat", quantities: new Map([["calls", DECIMAL_MAX / 2n]]) };
    expect(amount(table, most)).toBe("99999999999999999999999999.999999999998");
    expect(detail(table, { ...most, quantities: new Map([["calls", DECIMAL_MAX]]) })).toBe(
      "unpriced usage: the cost is out of range",
    );
  });
});

describe("a cost by the price book", () => {
  const prices = {
    inputTokens: { rate: 2n * ONE, per: MILLION },
    outputTokens: { rate: 8n * ONE, per: MILLION },
    cacheReadTokens: { rate: ONE / 2n, per: MILLION },
  };
  const book = bookOf(prices);
  const published = (more: Partial<BurnTable> = {}, rules: BurnRule[] = []) => [
    version(rules, { priceBook: "genai-prices", ...more }),
  ];
  const gpt = { model: "gpt", provider: "openai" };

  it("splits the input so that no token is charged twice, and says which list it used", () => {
    const priced = cost(
      published(),
      usage({ inputTokens: 1_000_000, cacheReadTokens: 400_000, outputTokens: 100_000 }, gpt),
      book,
    );
    expect(
      priced.lines.map((line) => [line.dimension, formatDecimal(line.quantity), formatDecimal(line.amount)]),
    ).toEqual([
      ["inputTokens", "600000", "1.2"],
      ["cacheReadTokens", "400000", "0.2"],
      ["outputTokens", "100000", "0.8"],
    ]);
    expect([formatDecimal(priced.amount), priced.priceBook]).toEqual(["2.2", { name: "genai-prices", version: "9.9" }]);
  });

  it("is asked only for what no rule prices, and then charges nothing that lies within a rule's dimension", () => {
    const of = usage({ inputTokens: 1_000_000, cacheReadTokens: 400_000, outputTokens: 100_000 }, gpt);
    const ruledInput = cost(published({}, [rule("inputTokens", "3", MILLION, { model: "gp*" })]), of, book);
    expect(ruledInput.lines.map((line) => [line.dimension, formatDecimal(line.amount)])).toEqual([
      ["inputTokens", "3"],
      ["outputTokens", "0.8"],
    ]);
    const covered = usage({ inputTokens: 1_000_000, cacheReadTokens: 400_000 }, gpt);
    expect(cost(published({}, [rule("inputTokens", "3", MILLION)]), covered, book)).not.toHaveProperty("priceBook");
    const ruledCache = cost(published({}, [rule("cacheReadTokens", "1", MILLION)]), of, book);
    expect(ruledCache.lines.map((line) => [line.dimension, formatDecimal(line.amount)])).toEqual([
      ["cacheReadTokens", "0.4"],
      ["inputTokens", "1.2"],
      ["outputTokens", "0.8"],
    ]);
    const all = cost(
      published({}, [rule("inputTokens", "1"), rule("cacheReadTokens", "1"), rule("outputTokens", "1")]),
      of,
      {
        ...book,
        unitPrices: () => {
          throw new Error("asked");
        },
      },
    );
    expect(all).not.toHaveProperty("priceBook");
  });

  it("gives the book the event's time, the model and the quantities", () => {
    const asked: unknown[] = [];
    const spy = { ...book, unitPrices: (query: unknown) => (asked.push(query), new Map(Object.entries(prices))) };
    const of = usage({ inputTokens: 1 }, gpt);
    cost(published(), of, spy, 5_000);
    expect(asked).toEqual([{ ...gpt, quantities: of.quantities, at: 5_000 }]);
  });

  it("marks up published rates only, exactly", () => {
    const markup = decimal("1.2");
    const of = usage({ inputTokens: 1_000_000, calls: 1 }, gpt);
    const priced = cost(published({ markup }, [rule("calls", "5")]), of, book);
    expect(priced.lines.map((line) => [formatDecimal(line.rate), formatDecimal(line.amount)])).toEqual([
      ["5", "5"],
      ["2.4", "2.4"],
    ]);
  });

  it("scales rate and per alike when a marked-up rate needs more than 12 places, and rounds once", () => {
    const fine = bookOf({ inputTokens: { rate: decimal("0.000000000003"), per: ONE } });
    const of = usage({ inputTokens: 1_000_000 }, gpt);
    const [line] = cost(published({ markup: decimal("1.000000000001") }), of, fine).lines;
    expect([formatDecimal(line!.rate), formatDecimal(line!.per), formatDecimal(line!.amount)]).toEqual([
      "3.000000000003",
      "1000000000000",
      "0.000003",
    ]);
    expect(amount(published({ markup: decimal("0.5") }), usage({ inputTokens: 1 }, gpt), fine)).toBe("0.000000000002");
    expect(amount(published({ markup: 0n }), of, fine)).toBe("0");
  });

  it("charges a price per request once unless the usage or a rule says otherwise", () => {
    const fees = bookOf({ ...prices, requests: { rate: 5n * ONE, per: 1_000n * ONE } });
    const of = (more: object, rules: BurnRule[] = []) =>
      amount(published({}, rules), usage({ outputTokens: 1_000_000, ...more }, gpt), fees);
    expect([of({}), of({ requests: 3 }), of({ requests: 0 })]).toEqual(["8.005", "8.015", "8"]);
    expect(of({ requests: 3 }, [rule("requests", "1")])).toBe("11");
    expect(of({ cacheReadTokens: 0 }, [rule("outputTokens", "1", MILLION)])).toBe("1");
  });

  it("charges at least the minimum of a price, but nothing for nothing", () => {
    const minimum = bookOf({ audioSeconds: { rate: ONE, per: ONE, minimum: 10n * ONE } });
    expect([0, 5, 10, 11].map((audioSeconds) => amount(published(), usage({ audioSeconds }, gpt), minimum))).toEqual([
      "0",
      "10",
      "10",
      "11",
    ]);
  });

  it("is refused with the reason", () => {
    const of = usage({ inputTokens: 10 }, { model: "claude", provider: "x" });
    expect(detail(published(), of, book)).toBe(
      `unpriced usage: no rule prices inputTokens of model "claude" of "x", and genai-prices 9.9 does not list it`,
    );
    expect(detail(published(), usage({ inputTokens: 10 }), book)).toContain(
      `of feature "chat", and without a model there is no published price`,
    );
    expect(detail(published(), usage({ inputTokens: 1 }, gpt), bookOf(prices, "other"))).toContain(
      "the price book genai-prices is not available",
    );
    expect(detail(published(), usage({ inputTokens: 1, webSearches: 1 }, gpt), book)).toBe(
      `unpriced usage: no published price for webSearches (model "gpt" of "openai", genai-prices 9.9)`,
    );
    expect(detail(published(), usage({ inputTokens: 1, cacheReadTokens: 2 }, gpt), book)).toContain(
      "cacheReadTokens is counted within inputTokens and cannot exceed it",
    );
    expect(detail(published(), usage({ cacheReadTokens: 2 }, gpt), book)).toContain(
      "within inputTokens, which is missing",
    );
  });
});
