import { Decimal as Oracle } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JSON_DEPTH_MAX, parseExact } from "./exact-json";

/** The text of a number, whatever digits and exponent. */
const numberText = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.bigInt({ min: 0n, max: 10n ** 30n }),
    fc.option(fc.stringMatching(/^\d{1,25}$/)),
    fc.option(fc.integer({ min: -420, max: 420 })),
  )
  .map(
    ([sign, whole, fraction, exponent]) =>
      `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`,
  );

const Exact = Oracle.clone({ precision: 200, toExpNeg: -1000, toExpPos: 1000 });
const sameNumber = (a: string, b: string): boolean => new Exact(a).eq(new Exact(b));

describe("parseExact", () => {
  it("keeps every number exact, alone or anywhere inside", () => {
    fc.assert(
      fc.property(
        fc.array(numberText, { minLength: 1, maxLength: 5 }),
        fc.constantFrom("", " ", "\n\t"),
        (numbers, space) => {
          const text = `{"a":${space}${numbers[0]},"b":[${space}${numbers.join(`${space},${space}`)}${space}]}`;
          const written = JSON.parse(JSON.stringify(parseExact(text)), (_key, value: unknown, context) =>
            typeof value === "number" ? context.source : value,
          ) as { a: string; b: string[] };
          expect(sameNumber(written.a, numbers[0]!)).toBe(true);
          expect(written.b.every((number, i) => sameNumber(number, numbers[i]!))).toBe(true);
          expect(JSON.stringify(parseExact(numbers[0]!))).toSatisfy((number: string) =>
            sameNumber(number, numbers[0]!),
          );
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("writes a number that no double carries back as its source text", () => {
    const text =
      '{"n":[9007199254740993,0.1234567890123456789,1e400,1e-400,1.2345e-320,1234567890123456789012,-9007199254740993]}';
    expect(JSON.stringify(parseExact(text))).toBe(text);
    expect((parseExact(text) as { n: unknown[] }).n.every((n) => JSON.isRawJSON(n))).toBe(true);
  });

  it("leaves numbers that a double carries plain numbers, however long they are", () => {
    const text =
      "[0,-1,0.1,1e3,1.50,9007199254740991,9007199254740992,0.30000000000000004,0.4567890123456789,1e-7,1e21,0.000000000000001,1e300,0e999]";
    expect(parseExact(text)).toEqual(JSON.parse(text));
    expect((parseExact(text) as unknown[]).every((n) => typeof n === "number")).toBe(true);
  });

  it("is JSON.parse for everything else", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseExact(text)).toEqual(JSON.parse(text));
      }),
    );
    const strings = {
      id: "018f3e400-1e400",
      at: "2024-01-01T00:00:00.123456789012345678Z",
      text: ": 12345678901234567890123, 1e999 ",
    };
    expect(parseExact(JSON.stringify(strings))).toEqual(strings);
  });

  it("makes __proto__ an own property like any other", () => {
    for (const number of ["1", "9007199254740993"]) {
      const value = parseExact(`{"__proto__":{"admin":true},"n":${number}}`) as { admin?: boolean };
      expect(Object.keys(value)).toEqual(["__proto__", "n"]);
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(value.admin).toBeUndefined();
    }
  });

  it(`refuses nesting past ${JSON_DEPTH_MAX} levels, also a million of them`, () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const objects = (depth: number) => '{"a":'.repeat(depth) + "9007199254740993" + "}".repeat(depth);
    expect(() => parseExact(nested(JSON_DEPTH_MAX))).not.toThrow();
    expect(() => parseExact(objects(JSON_DEPTH_MAX))).not.toThrow();
    expect(() => parseExact(nested(JSON_DEPTH_MAX + 1))).toThrow(SyntaxError);
    expect(() => parseExact(objects(JSON_DEPTH_MAX + 1))).toThrow(SyntaxError);
    expect(() => parseExact(nested(1_000_000))).toThrow(SyntaxError);
  });

  it("throws SyntaxError for malformed text", () => {
    for (const text of ["", "{", "[1,]", "NaN", "01", "1.", '{"a":9007199254740993', "+1"])
      expect(() => parseExact(text), text).toThrow(SyntaxError);
  });
});
