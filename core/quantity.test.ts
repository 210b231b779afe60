import { Decimal as Oracle } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseExact } from "./exact-json";
import { formatQuantity, ONE_QUANTITY, parseQuantity, quantity, quantityOf, wholeOf } from "./quantity";

/** 24 places, ties to even, in another number system. */
const Exact = Oracle.clone({ precision: 200, toExpNeg: -1000, toExpPos: 1000, rounding: Oracle.ROUND_HALF_EVEN });
const oracle = (text: string): string =>
  new Exact(text).toDecimalPlaces(24, Oracle.ROUND_HALF_EVEN).toFixed().replace(/^-0$/, "0");

const text = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.stringMatching(/^\d{1,20}$/),
    fc.option(fc.stringMatching(/^\d{1,40}$/)),
    fc.option(fc.integer({ min: -60, max: 6 })),
  )
  .map(
    ([sign, whole, fraction, exponent]) =>
      `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`,
  );

const agrees = (number: string | number): void => {
  expect(shown(number)).toBe(oracle(String(number)));
};

const shown = (value: unknown): string | null => {
  const read = quantityOf(value);
  return read.ok ? formatQuantity(read.value) : null;
};

describe("quantities", () => {
  it("reads decimal text exactly to 24 places and rounds what is past them half-even", () => {
    fc.assert(fc.property(text, agrees), { numRuns: 3_000 });
    expect(shown("0.0000000000000000000000005")).toBe("0");
    expect(shown("0.0000000000000000000000015")).toBe("0.000000000000000000000002");
    expect(shown("0.00000000000000000000000050000001")).toBe("0.000000000000000000000001");
  });

  it("reads a JSON number as its shortest text, which is what was sent", () => {
    const few = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 8 })).map(([n, places]) => n / 10 ** places);
    fc.assert(fc.property(fc.oneof(fc.double({ noNaN: true, min: -1e20, max: 1e20 }), few), agrees), {
      numRuns: 5_000,
    });
    expect(shown(0.1)).toBe("0.1");
    expect(shown(parseExact("9007199254740993"))).toBe("9007199254740993");
    expect(shown(parseExact("0.1234567890123456789"))).toBe("0.1234567890123456789");
  });

  it("adds what floats cannot", () => {
    const sum = (...values: unknown[]) =>
      formatQuantity(
        values.reduce((total: bigint, value) => {
          const read = quantityOf(value);
          return read.ok ? total + read.value : total;
        }, 0n),
      );
    expect(sum(123, "0.4567890123456789")).toBe("123.4567890123456789");
    expect(sum(0.1, 0.2)).toBe("0.3");
    expect(sum(2 ** 53, 1)).toBe("9007199254740993");
  });

  it("takes nothing else for a number", () => {
    for (const value of [
      null,
      undefined,
      true,
      [],
      {},
      { rawJSON: "5" },
      "",
      " 1",
      "1 ",
      "+1",
      "0x10",
      "1_000",
      "1,5",
      "NaN",
      "Infinity",
      "١",
      "1e",
      ".",
      NaN,
      Infinity,
    ]) {
      expect(shown(value), String(value)).toBe(null);
    }
    expect(parseQuantity("1e27")).toEqual({ ok: false, refusal: { reason: "out_of_range" } });
    expect(parseQuantity(`1${"0".repeat(26)}`)).toEqual({ ok: false, refusal: { reason: "out_of_range" } });
    expect(shown(`1e999999999`)).toBe(null);
    expect(shown(`1e-999999999`)).toBe("0");
  });

  it("writes canonical text that reads back as the same quantity", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 49n), max: 10n ** 49n }), (units) => {
        const written = formatQuantity(units);
        expect(quantity(written)).toBe(units);
        expect(written).toMatch(/^-?(0|[1-9]\d*)(\.\d*[1-9])?$/);
        const whole = wholeOf(units);
        if (whole !== null) expect(BigInt(whole) * ONE_QUANTITY).toBe(units);
      }),
    );
    expect(wholeOf(-5n * ONE_QUANTITY)).toBe(-5);
    expect(wholeOf(5n * ONE_QUANTITY + 1n)).toBe(null);
    expect(formatQuantity(-0n)).toBe("0");
  });
});
