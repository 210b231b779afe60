import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidInputError } from "./errors";
import { NumberText, writeExactJson } from "./exact-json";

describe("writeExactJson", () => {
  it("writes what JSON.stringify writes, for every value that JSON.stringify does not damage", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        fc.pre(!/\d{16,}|e\+/.test(JSON.stringify(value).replace(/"(\\.|[^"])*"/g, "")));
        expect(writeExactJson(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  it("leaves out what is undefined, keeps places in arrays, and writes dates as times", () => {
    const value = { a: undefined, b: [undefined, 1], c: new Date(0), d: () => 1, 'é"\n': null };
    expect(writeExactJson(value)).toBe(JSON.stringify(value));
  });

  it("writes every bigint digit by digit", () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        expect(writeExactJson({ value })).toBe(`{"value":${value.toString()}}`);
      }),
    );
    expect(writeExactJson([2n ** 53n + 1n])).toBe("[9007199254740993]");
  });

  it("writes a decimal that came as text as the number it spells", () => {
    expect(writeExactJson({ a: new NumberText("0.10") })).toBe('{"a":0.10}');
  });

  it("refuses numbers that are not what their writer meant, and says where they are", () => {
    expect(() => writeExactJson({ usage: { inputTokens: Number.NaN } })).toThrow(InvalidInputError);
    expect(() => writeExactJson({ usage: { inputTokens: Number.NaN } })).toThrow(/usage\.inputTokens is NaN/);
    expect(() => writeExactJson([1, Infinity])).toThrow(/\[1\] is Infinity/);
    expect(() => writeExactJson({ n: 2 ** 53 })).toThrow(/bigint or as a string/);
    expect(() => writeExactJson({ at: new Date("nonsense") })).toThrow(/at is an invalid date/);
    expect(writeExactJson(2 ** 53 - 1)).toBe("9007199254740991");
  });
});
