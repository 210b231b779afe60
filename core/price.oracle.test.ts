/** Every cost against an oracle in another number system: decimal.js with more digits than any product or quotient here needs. */
import { Decimal as Oracle } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileTable, type BurnRule } from "./burn-table";
import { decimal, formatDecimal, ONE, type Decimal } from "./decimal";
import { rate, type PriceBook, type UnitPrice } from "./price";

const Exact = Oracle.clone({ precision: 600, rounding: Oracle.ROUND_HALF_EVEN });
const exact = (units: bigint) => new Exact(formatDecimal(units));
const line = (
  quantity: Decimal,
  price: Decimal,
  per: Decimal,
  { roundUpTo, markup = ONE }: { roundUpTo?: Decimal; markup?: Decimal } = {},
) => {
  const charged =
    roundUpTo === undefined ? exact(quantity) : exact(quantity).div(exact(roundUpTo)).ceil().mul(exact(roundUpTo));
  return charged.mul(exact(price)).mul(exact(markup)).div(exact(per)).toDecimalPlaces(12, Oracle.ROUND_HALF_EVEN);
};

const noBook: PriceBook = { name: "genai-prices", version: "0", unitPrices: () => null };
const table = (rules: BurnRule[]) => [
  compileTable({
    key: "t",
    version: 1,
    currency: "CREDITS",
    effectiveFrom: 0,
    rules,
    mappings: [],
    markup: ONE,
    priceBook: null,
  }),
];
const costOf = (rules: BurnRule[], quantities: [string, Decimal][]) => {
  const cost = rate(table(rules), { feature: "f", quantities: new Map(quantities) }, 0, noBook);
  if (!cost.ok) throw new Error(cost.refusal.detail);
  return cost.value;
};

const special = [
  "0.1",
  "0.000000000001",
  "1",
  "3",
  "2.5",
  "1000000",
  "9007199254740993",
  "0.333333333333",
  "7",
  "60",
  "99999999999.999999999999",
].map(decimal);
const number = fc.oneof(fc.constantFrom(...special), fc.bigInt({ min: 1n, max: 10n ** 24n }));
const huge = fc.oneof(number, fc.bigInt({ min: 0n, max: 10n ** 37n }), fc.constant(0n));
const prices = fc.record({
  quantity: huge,
  rate: fc.oneof(number, fc.constant(0n)),
  per: number,
  roundUpTo: fc.option(number, { nil: undefined }),
});

describe("a cost, against decimal.js", () => {
  it("is the sum of its lines, each quantity × rate ÷ per rounded half-even once", () => {
    fc.assert(
      fc.property(fc.array(prices, { minLength: 1, maxLength: 5 }), (all) => {
        const rules = all.map(({ rate, per, roundUpTo }, n): BurnRule => ({
          dimension: `d${n}`,
          rate,
          per,
          ...(roundUpTo !== undefined && { roundUpTo }),
        }));
        const quantities = all.map(({ quantity }, n): [string, Decimal] => [`d${n}`, quantity]);
        const expected = all.map(({ quantity, rate, per, roundUpTo }) =>
          line(quantity, rate, per, { ...(roundUpTo !== undefined && { roundUpTo }) }),
        );
        const total = expected.reduce((sum, each) => sum.add(each), new Exact(0));
        fc.pre(total.lt("1e26"));
        const cost = costOf(rules, quantities);
        expect(exact(cost.amount).eq(total)).toBe(true);
        for (const each of cost.lines) {
          expect(exact(each.amount).eq(line(each.quantity, each.rate, each.per))).toBe(true);
          expect(exact(each.amount).eq(expected[Number(each.dimension.slice(1))]!)).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("rounds ties to even, at any size", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (n) => {
        // (2n + 1) × 10⁻¹² ÷ 2 lies half way between two amounts.
        const cost = costOf([{ dimension: "d", rate: 1n, per: 2n * ONE }], [["d", (2n * n + 1n) * ONE]]);
        expect(cost.amount).toBe(n % 2n === 0n ? n : n + 1n);
      }),
    );
  });

  it("folds the markup into the rate, rounding no sooner than the line", () => {
    fc.assert(
      fc.property(number, number, number, fc.oneof(number, fc.constant(0n)), (quantity, price, per, markup) => {
        const unit: UnitPrice = { rate: price, per };
        const book: PriceBook = {
          name: "genai-prices",
          version: "0",
          unitPrices: () => new Map([["inputTokens", unit]]),
        };
        const versions = [compileTable({ ...table([])[0]!.table, markup, priceBook: "genai-prices" })];
        const cost = rate(
          versions,
          { feature: "f", model: "m", quantities: new Map([["inputTokens", quantity]]) },
          0,
          book,
        );
        const expected = line(quantity, price, per, { markup });
        fc.pre(expected.lt("1e26"));
        if (!cost.ok) throw new Error(cost.refusal.detail);
        expect(exact(cost.value.amount).eq(expected)).toBe(true);
        const [shown] = cost.value.lines;
        expect(line(shown!.quantity, shown!.rate, shown!.per).eq(expected)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("usage in parts, or in another order", () => {
  const quantity = fc.bigInt({ min: 0n, max: 10n ** 24n });

  it("costs what the whole costs when the price needs no rounding", () => {
    const whole = fc.bigInt({ min: 0n, max: 10n ** 12n }).map((n) => n * ONE);
    fc.assert(
      fc.property(fc.array(whole, { maxLength: 10 }), fc.bigInt({ min: 0n, max: 10n ** 15n }), (pieces, rate) => {
        const rules = [{ dimension: "d", rate, per: ONE }];
        const sum = pieces.map((piece) => costOf(rules, [["d", piece]]).amount).reduce((a, b) => a + b, 0n);
        expect(sum).toBe(costOf(rules, [["d", pieces.reduce((a, b) => a + b, 0n)]]).amount);
      }),
    );
  });

  it("in two parts costs within 10⁻¹² of the whole, and never less for more", () => {
    fc.assert(
      fc.property(quantity, quantity, number, number, (a, b, rate, per) => {
        const amount = (q: Decimal) => costOf([{ dimension: "d", rate, per }], [["d", q]]).amount;
        fc.pre(line(a + b, rate, per).lt("1e26"));
        const difference = amount(a + b) - amount(a) - amount(b);
        expect(difference >= -1n && difference <= 1n).toBe(true);
        expect(amount(a + b) >= amount(a)).toBe(true);
      }),
    );
  });

  it("costs the same in any order of dimensions", () => {
    fc.assert(
      fc.property(quantity, quantity, number, number, (a, b, rate, per) => {
        const rules = [
          { dimension: "a", rate, per },
          { dimension: "b", rate: per, per: rate },
        ];
        fc.pre(
          line(a, rate, per)
            .add(line(b, per, rate))
            .lt("1e26"),
        );
        expect(
          costOf(rules, [
            ["a", a],
            ["b", b],
          ]).amount,
        ).toBe(
          costOf(rules.toReversed(), [
            ["b", b],
            ["a", a],
          ]).amount,
        );
      }),
    );
  });
});
