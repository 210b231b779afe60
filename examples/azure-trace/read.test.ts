import { describe, expect, it } from "vitest";
import { readTrace, type Customer } from "./read";

describe("the Azure trace", () => {
  it.each([
    ["code", 8_819, 18_059_974, 245_896],
    ["conv", 19_366, 22_361_870, 4_088_665],
  ] satisfies [Customer, number, number, number][])(
    "%s has %d requests, %d prompt and %d generated tokens",
    (customer, requests, inputTokens, outputTokens) => {
      const trace = [...readTrace(customer)];
      expect(trace).toHaveLength(requests);
      expect(trace.reduce((sum, request) => sum + request.inputTokens, 0)).toBe(inputTokens);
      expect(trace.reduce((sum, request) => sum + request.outputTokens, 0)).toBe(outputTokens);
      expect(trace.map(({ index }) => index)).toEqual(trace.map((_, index) => index));
    },
  );

  it("keeps each request as the source has it, to the microsecond", () => {
    // The first lines of the two source files: "2023-11-16 18:17:03.9799600,4808,10" and "2023-11-16 18:15:46.6805900,374,44".
    expect(readTrace("code").next().value).toEqual({
      customer: "code",
      index: 0,
      time: "2023-11-16T18:17:03.979960Z",
      inputTokens: 4_808,
      outputTokens: 10,
    });
    expect(readTrace("conv").next().value).toMatchObject({
      time: "2023-11-16T18:15:46.680590Z",
      inputTokens: 374,
      outputTokens: 44,
    });
  });

  it("runs forward in time, through about an hour", () => {
    for (const customer of ["code", "conv"] as const) {
      const times = [...readTrace(customer)].map(({ time }) => time);
      expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)));
      expect(times.every((time) => /^2023-11-16T1[89]:\d\d:\d\d\.\d{6}Z$/.test(time))).toBe(true);
    }
  });
});
