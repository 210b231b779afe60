import { describe, expect, it } from "vitest";
import { parseDuration } from "./duration";

describe("parseDuration", () => {
  it.each([
    ["PT10M", 600_000],
    ["P1D", 86_400_000],
    ["P1W", 604_800_000],
    ["P1DT2H3M4S", 93_784_000],
    ["PT0S", 0],
  ])("reads %s", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "P", "PT", "P1DT", "P1M", "P1Y", "1D", "PT1.5H", "-P1D", "P3651D", "pt1h", "P1H"])(
    "refuses %j",
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );
});
