import { Decimal as Oracle } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ceilTo, decimal, DECIMAL_MAX, explainDecimal, formatDecimal, mulDiv, ONE, parseDecimal } from "./decimal";

/** Another number system: decimal.js, with more digits than any value here needs. */
const Exact = Oracle.clone({ precision: 500, rounding: Oracle.ROUND_HALF_EVEN, toExpNeg: -500, toExpPos: 500 });
const oracle = (units: bigint) => new Exact(units.toString()).div("1e12");
const units = fc.bigInt({ min: -DECIMAL_MAX, max: DECIMAL_MAX });
const positive = fc.bigInt({ min: 1n, max: DECIMAL_MAX });

describe("reading decimal text", () => {
  it("reads exactly what is written", () => {
    expect(parseDecimal("0.1")).toEqual({ ok: true, value: 100_000_000_000n });
    expect(parseDecimal("-12")).toEqual({ ok: true, value: -12n * ONE });
    expect(parseDecimal("2.5e-6")).toEqual({ ok: true, value: 2_500_000n });
    expect(parseDecimal("1E+2")).toEqual({ ok: true, value: 100n * ONE });
    expect(parseDecimal("0.000000000001")).toEqual({ ok: true, value: 1n });
    expect(parseDecimal("9007199254740993")).toEqual({ ok: true, value: 9_007_199_254_740_993n * ONE });
    expect(parseDecimal("1.5000000000000000")).toEqual({ ok: true, value: 1_500_000_000_000n });
    expect(parseDecimal("-0")).toEqual({ ok: true, value: 0n });
    expect(parseDecimal("0e99999")).toEqual({ ok: true, value: 0n });
    expect(parseDecimal("99999999999999999999999999.999999999999")).toEqual({ ok: true, value: DECIMAL_MAX });
  });

  it.each([
    ...["", " ", "1 ", " 1", "+1", ".5", "5.", "1,5", "NaN", "Infinity", "0x10", "1e", "1n", "--1", "١", "1_000"].map(
      (text) => [text, "not_a_number"],
    ),
    ...["0.0000000000001", "1.0000000000001", "1e-13", "1e-99999", "123e-15"].map((text) => [text, "too_many_places"]),
    ...["100000000000000000000000000", "1e26", "1e999999999999", "9".repeat(129), `0.${"0".repeat(130)}`].map(
      (text) => [text, "out_of_range"],
    ),
  ])("refuses %j as %s", (text, reason) => {
    const read = parseDecimal(text);
    expect(read).toMatchObject({ ok: false, refusal: { reason } });
    expect(!read.ok && explainDecimal(read.refusal)).toMatch(/^must /);
  });

  it("agrees with decimal.js on every text that it accepts, exponents included", () => {
    fc.assert(
      fc.property(units, fc.integer({ min: -30, max: 30 }), (value, exponent) => {
        const text = `${formatDecimal(value)}e${exponent}`;
        const read = parseDecimal(text);
        const expected = new Exact(text);
        if (read.ok) expect(oracle(read.value).eq(expected)).toBe(true);
        else if (read.refusal.reason === "too_many_places") expect(expected.decimalPlaces()).toBeGreaterThan(12);
        else expect(expected.abs().gte("1e26")).toBe(true);
      }),
    );
  });
});

describe("canonical text", () => {
  it("reads back as the same number, and has no exponent, no trailing zero and no -0", () => {
    fc.assert(
      fc.property(units, (value) => {
        const text = formatDecimal(value);
        expect(text).toMatch(/^(0|-?(0|[1-9]\d*)(\.\d*[1-9])?)$/);
        expect(text).not.toBe("-0");
        expect(parseDecimal(text)).toEqual({ ok: true, value });
        expect(decimal(text)).toBe(value);
        expect(text).toBe(oracle(value).toFixed());
      }),
    );
  });

  it("carries sums past the input bound through storage", () => {
    const sum = DECIMAL_MAX * 1_000_000n;
    expect(decimal(formatDecimal(sum))).toBe(sum);
  });

  it("throws on stored text that this program did not write", () => {
    for (const text of ["", "1e3", "1.0000000000001", "abc", "1."])
      expect(() => decimal(text)).toThrow("not a stored decimal");
  });
});

describe("arithmetic", () => {
  it("rounds a × b ÷ c once, half to even, in both signs", () => {
    expect([1n, 3n, 5n, -1n, -3n, -5n].map((n) => mulDiv(n, 1n, 2n))).toEqual([0n, 2n, 2n, 0n, -2n, -2n]);
    expect([mulDiv(7n, 1n, 3n), mulDiv(8n, 1n, 3n), mulDiv(-8n, 1n, 3n)]).toEqual([2n, 3n, -3n]);
    expect(() => mulDiv(1n, 1n, 0n)).toThrow();
    fc.assert(
      fc.property(units, units, positive, (a, b, c) => {
        const expected = new Exact(a.toString())
          .mul(b.toString())
          .div(c.toString())
          .toDecimalPlaces(0, Oracle.ROUND_HALF_EVEN);
        expect(new Exact(mulDiv(a, b, c).toString()).eq(expected)).toBe(true);
      }),
    );
  });

  it("rounds exact ties to even", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.bigInt({ min: 1n, max: 10n ** 20n }), (whole, half) => {
        const tie = mulDiv(whole * 2n + 1n, half, half * 2n);
        expect(tie % 2n).toBe(0n);
        expect([whole, whole + 1n]).toContain(tie);
      }),
    );
  });

  it("rounds up to the smallest multiple that is at least the value", () => {
    expect(ceilTo(61n * ONE, 60n * ONE)).toBe(120n * ONE);
    expect(ceilTo(0n, 60n * ONE)).toBe(0n);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: DECIMAL_MAX }), positive, (value, step) => {
        const up = ceilTo(value, step);
        expect(up % step).toBe(0n);
        expect(up >= value && up - value < step).toBe(true);
      }),
    );
  });
});
