import { describe, expect, it } from "vitest";
import { bodyOf, BURN_TABLE, sumsOf, type Stream } from "./bodies";

const stream = (kind: Stream["kind"], batch = 1): Stream => ({
  kind,
  customer: "c",
  run: "r",
  batch,
  fromMs: 0,
  spanMs: 120_000,
  cycle: 1_000,
});

interface Usage {
  inputTokens: number;
  outputTokens: number;
}

/** Adds up what is in the bodies, by the burn table's own rates. */
function added(usages: Usage[]) {
  const rate = (dimension: string) =>
    BigInt(BURN_TABLE.rules.find((rule) => rule.dimension === dimension)!.rate.replace(".", "")) * 10_000n;
  return {
    events: usages.length,
    tokens: usages.reduce((sum, { inputTokens, outputTokens }) => sum + BigInt(inputTokens + outputTokens), 0n),
    cost: usages.reduce(
      (sum, usage) =>
        sum + BigInt(usage.inputTokens) * rate("inputTokens") + BigInt(usage.outputTokens) * rate("outputTokens"),
      0n,
    ),
  };
}

describe("the benchmark's bodies", () => {
  it("add up to the sums that the subject is held to", () => {
    const tracks = Array.from(
      { length: 50 },
      (_, request) => (JSON.parse(bodyOf(stream("track"), 7 + request)) as { usage: Usage }).usage,
    );
    expect(sumsOf(stream("track"), 7, 57)).toEqual(added(tracks));

    const batches = Array.from(
      { length: 3 },
      (_, request) => JSON.parse(bodyOf(stream("events", 100), request)) as { data: { usage: Usage } }[],
    );
    expect(sumsOf(stream("events", 100), 0, 3)).toEqual(added(batches.flat().map(({ data }) => data.usage)));
  });

  it("carry each id once, eight group combinations and times within two minutes", () => {
    const events = Array.from(
      { length: 10 },
      (_, request) => JSON.parse(bodyOf(stream("events", 100), request)) as Record<string, unknown>[],
    ).flat();
    expect(new Set(events.map(({ id }) => id)).size).toBe(1_000);
    const groups = events.map(({ data }) => `${(data as { model: string }).model} ${(data as { type: string }).type}`);
    expect(new Set(groups).size).toBe(8);
    const times = events.map(({ time }) => Date.parse(time as string));
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(120_000);
  });
});
