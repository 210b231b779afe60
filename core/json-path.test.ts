import { describe, expect, it } from "vitest";
import type { Json } from "./event";
import { parsePath, valueAt } from "./json-path";

const at = (path: string, data: Json): Json | undefined => {
  const parsed = parsePath(path);
  if (!parsed.ok) throw new Error(parsed.refusal);
  return valueAt(parsed.value, data);
};

describe("a JSONPath in a burn table", () => {
  it("finds the one value that it names", () => {
    const data: Json = { usage: { tokens: 5, "a b": 6 }, items: [{ n: 1 }, { n: 2 }], "": 7 };
    expect(at("$.usage.tokens", data)).toBe(5);
    expect(at("$['usage']['a b']", data)).toBe(6);
    expect(at("$.items[1].n", data)).toBe(2);
    expect(at("$.items[-1].n", data)).toBe(2);
    expect(at("$['']", data)).toBe(7);
  });

  it("finds nothing where the data has another shape", () => {
    for (const data of [{}, { a: null }, { a: 1 }, { a: [] }, { a: "text" }, { a: { c: 1 } }] as Json[]) {
      expect(at("$.a.b", data)).toBeUndefined();
      expect(at("$.a[3]", data)).toBeUndefined();
    }
    expect(valueAt(["a"], undefined)).toBeUndefined();
  });

  it("sees only own properties, whatever they are called", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(at(`$.${name}`, {})).toBeUndefined();
      expect(at(`$.a.${name}`, { a: {} })).toBeUndefined();
    }
    expect(at("$.length", [1, 2])).toBeUndefined();
    expect(at("$.a.length", { a: "text" })).toBeUndefined();
    expect(at("$.__proto__.n", JSON.parse(`{"__proto__": {"n": 3}}`) as Json)).toBe(3);
    expect(at("$.a.b", Object.create(null, { a: { value: { b: 1 }, enumerable: true } }) as Json)).toBe(1);
  });

  it.each([
    ["$.a[*]", "must name one value"],
    ["$..a", "must name one value"],
    ["$.a[0:2]", "must name one value"],
    ["$['a','b']", "must name one value"],
    ["$[?@.a]", "must name one value"],
    ["$[?search(@.a, '(x+)+$')]", "must name one value"],
    [`$[?${"!".repeat(240)}@.a]`, "must name one value"],
    ["$", "must name a value inside the data"],
    ["", "must be a JSONPath"],
    ["a.b", "must be a JSONPath"],
    ["$.a b", "must be a JSONPath"],
    [`$[?${"(".repeat(240)}`, "must be a JSONPath"],
    [`$${"[".repeat(250)}`, "must be a JSONPath"],
    ["$.a[9007199254740993]", "must be a JSONPath"],
    [`$.${"a".repeat(255)}`, "at most 256 characters"],
    [`$${".a".repeat(17)}`, "at most 16 steps"],
  ])("refuses %s", (path, detail) => {
    const parsed = parsePath(path);
    expect(!parsed.ok && parsed.refusal).toContain(detail);
  });
});
