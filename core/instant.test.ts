import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatInstant, INSTANT_MS_MAX, parseInstant } from "./instant";

describe("parseInstant", () => {
  it("reads back every moment that it writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: INSTANT_MS_MAX }), (ms) => {
        expect(parseInstant(formatInstant(ms))).toBe(ms);
      }),
    );
  });

  it("applies the offset, and drops digits past the millisecond", () => {
    expect(parseInstant("2026-11-21T10:00:00+01:30")).toBe(Date.UTC(2026, 10, 21, 8, 30));
    expect(parseInstant("2026-11-21T10:00:00-00:30")).toBe(Date.UTC(2026, 10, 21, 10, 30));
    expect(parseInstant("2026-11-21T10:00:00.1239999Z")).toBe(Date.UTC(2026, 10, 21, 10, 0, 0, 123));
    expect(parseInstant("1969-12-31T23:30:00-01:00")).toBe(1_800_000);
  });

  it.each([
    "2026-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00Zx",
    "2026-1-01T00:00:00Z",
    "2O26-01-01T00:00:00Z",
    "+2026-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "",
    "now",
  ])("refuses %j", (text) => {
    expect(parseInstant(text)).toBeNull();
  });
});
