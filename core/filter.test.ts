import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareTexts,
  FILTER_DEPTH_MAX,
  FILTER_OPERANDS_MAX,
  FILTER_TEXT_CHARS_MAX,
  isEmptyFilter,
  isLike,
  matches,
  matchesTime,
  readFilter,
  readTimeFilter,
  type FilterString,
} from "./filter";

const nested = (depth: number): unknown => (depth === 0 ? { $eq: "a" } : { $and: [nested(depth - 1)] });
const refusal = (value: unknown, depth?: number) => {
  const read = readFilter(value, depth);
  return read.ok ? null : `${read.refusal.at}: ${read.refusal.detail}`;
};

describe("a filter of texts", () => {
  it.each<[FilterString, string[], string[]]>([
    [{}, ["", "a"], []],
    [{ $eq: "a" }, ["a"], ["A", "", "aa"]],
    [{ $ne: "a" }, ["A", ""], ["a"]],
    [{ $in: ["a", "b"] }, ["a", "b"], ["c", ""]],
    [{ $in: [] }, [], ["", "a"]],
    [{ $nin: ["a", "b"] }, ["c", ""], ["a", "b"]],
    [{ $like: "gpt-%" }, ["gpt-", "gpt-4o"], ["GPT-4o", "a gpt-4"]],
    [{ $like: "%4_" }, ["gpt-4o", "44", "4o4o"], ["gpt-4", "4"]],
    [{ $like: String.raw`50\%\_\\` }, [String.raw`50%_\ `.trim()], ["50", String.raw`50\%\_\\`]],
    [{ $nlike: "gpt-%" }, ["o3"], ["gpt-4"]],
    [{ $ilike: "GPT-%Ö" }, ["gpt-4ö", "GPT-Ö"], ["o3"]],
    [{ $nilike: "GPT-%" }, ["o3"], ["gpt-4"]],
    [{ $gt: "b" }, ["c", "ba"], ["b", "a", ""]],
    [{ $gte: "b" }, ["b", "c"], ["a"]],
    [{ $lt: "b" }, ["a", ""], ["b", "c"]],
    [{ $lte: "b" }, ["a", "b"], ["ba"]],
    [{ $and: [{ $gte: "b" }, { $lt: "d" }] }, ["b", "c"], ["a", "d"]],
    [{ $or: [{ $eq: "a" }, { $and: [{ $gt: "x" }, { $ne: "y" }] }] }, ["a", "z"], ["y", "b"]],
  ])("%j takes what it names and nothing else", (filter, taken, left) => {
    const read = readFilter(filter);
    expect(read).toEqual({ ok: true, value: filter });
    expect(taken.filter((value) => !matches(filter, value))).toEqual([]);
    expect(left.filter((value) => matches(filter, value))).toEqual([]);
  });

  it("has one operator at a time, and operators that are null are absent", () => {
    expect(readFilter({ $eq: null, $in: ["a"], $like: undefined })).toEqual({ ok: true, value: { $in: ["a"] } });
    const empty = readFilter({ $eq: null });
    expect(empty.ok && isEmptyFilter(empty.value)).toBe(true);
    expect(refusal({ $eq: "a", $ne: "b" })).toContain("multiple operators");
    expect(refusal({ $or: [{ $eq: "a" }, { $gt: "a", $lt: "b" }] })).toContain("$or[1]: multiple operators");
  });

  it.each([
    [null, ": must be an object"],
    ["a", ": must be an object"],
    [["a"], ": must be an object"],
    [JSON.rawJSON("12345678901234567890"), ": must be an object"],
    [{ $eq: 1 }, "$eq: must be text"],
    [{ $in: "a" }, "$in: must be a list"],
    [{ $in: ["a", null] }, "$in[1]: must be text"],
    [{ $equal: "a" }, ': unknown operator "$equal"'],
    [{ constructor: "a" }, ': unknown operator "constructor"'],
    [{ $or: [] }, "$or: must hold at least one filter"],
    [{ $and: [{ $or: [{ $nin: [2] }] }] }, "$and[0].$or[0].$nin[0]: must be text"],
    [{ $eq: "x".repeat(FILTER_TEXT_CHARS_MAX + 1) }, "$eq: must have at most"],
  ])("that is %j is refused, with the place and what would be right", (value, said) => {
    expect(refusal(value)).toContain(said);
  });

  it("is bounded in depth and in all its lists together", () => {
    expect([refusal(nested(FILTER_DEPTH_MAX)), refusal(nested(1), 0), refusal(nested(0), 0)]).toEqual([
      null,
      expect.stringContaining("nested too deeply"),
      null,
    ]);
    expect(refusal(nested(FILTER_DEPTH_MAX + 1))).toContain("nested too deeply");
    const values = (count: number) => Array.from({ length: count }, String);
    expect(refusal({ $in: values(FILTER_OPERANDS_MAX) })).toBe(null);
    expect(
      refusal({ $or: [{ $in: values(FILTER_OPERANDS_MAX / 2) }, { $in: values(FILTER_OPERANDS_MAX / 2) }] }),
    ).toContain("at most");
  });
});

describe("LIKE", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "%", "_", "\\", "😀"), maxLength: 12 });
  /** The same as a regular expression, for short patterns. */
  const asRegExp = (pattern: string): RegExp => {
    const source = Array.from(pattern.matchAll(/\\(.)|(%)|(_)|(.)|(\\)$/gsu), ([, escaped, any, one, plain]) =>
      any ? ".*" : one ? "." : RegExp.escape(escaped ?? plain ?? "\\"),
    );
    return new RegExp(`^${source.join("")}$`, "su");
  };

  it("is what the same pattern means as a regular expression", () => {
    fc.assert(
      fc.property(text, text, (value, pattern) => {
        expect(isLike(value, pattern)).toBe(asRegExp(pattern).test(value));
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(text, (value) => isLike(value, value.replaceAll(/[\\%_]/g, String.raw`\$&`))));
  });

  it("takes no longer for a pattern that sends a backtracking matcher round and round", () => {
    const started = performance.now();
    expect(isLike("a".repeat(512), `${"%a".repeat(500)}b`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("texts", () => {
  it("are in the order of their UTF-8 bytes, as in the databases", () => {
    const unit = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 6 }),
      fc.string({ unit: fc.constantFrom("\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}", "a"), maxLength: 6 }),
    );
    fc.assert(
      fc.property(unit, unit, (a, b) => {
        expect(Math.sign(compareTexts(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a filter of times", () => {
  const at = Date.parse("2026-01-01T00:00:00Z");

  it("reads RFC 3339 and compares milliseconds", () => {
    const read = readTimeFilter({ $and: [{ $gte: "2026-01-01T00:00:00Z" }, { $lt: "2026-01-01T01:00:00.001+01:00" }] });
    expect(read).toEqual({ ok: true, value: { $and: [{ $gte: at }, { $lt: at + 1 }] } });
    if (!read.ok) return;
    expect([at - 1, at, at + 1].map((each) => matchesTime(read.value, each))).toEqual([false, true, false]);
    expect(matchesTime({ $or: [{ $gt: at }, { $lte: at - 5 }] }, at)).toBe(false);
    expect(matchesTime({}, at)).toBe(true);
  });

  it("refuses what is no time, and operators of texts", () => {
    expect(readTimeFilter({ $gt: "yesterday" })).toMatchObject({ ok: false, refusal: { at: "$gt" } });
    expect(readTimeFilter({ $gt: 5 })).toMatchObject({ ok: false, refusal: { at: "$gt" } });
    expect(readTimeFilter({ $eq: "2026-01-01T00:00:00Z" })).toMatchObject({ ok: false, refusal: { at: "" } });
  });
});
