import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ONE } from "./decimal";
import { DIMENSIONS, ownParts } from "./dimension";

const quantities = (usage: Record<string, number>) =>
  new Map(Object.entries(usage).map(([name, n]) => [name, BigInt(n) * ONE]));
const parts = (usage: Record<string, number>, priced: string[], ruled: string[] = []) => {
  const own = ownParts(quantities(usage), new Set(priced), new Set(ruled));
  return own.ok
    ? Object.fromEntries(own.value.map(({ dimension, quantity }) => [dimension, Number(quantity / ONE)]))
    : own.refusal;
};

const CHAT = ["inputTokens", "outputTokens", "cacheReadTokens"];
const REALTIME = [...CHAT, "inputAudioTokens", "outputAudioTokens", "cacheAudioReadTokens"];

describe("standard dimensions", () => {
  it("lie within each other as providers count them", () => {
    const within = (name: string) => [...(DIMENSIONS.get(name)?.within ?? [])].sort();
    expect(within("inputTokens")).toEqual([]);
    expect(within("cacheReadTokens")).toEqual(["inputTokens"]);
    expect(within("cacheWrite1hTokens")).toEqual(["cacheWriteTokens", "inputTokens"]);
    expect(within("cacheAudioReadTokens")).toEqual(["cacheReadTokens", "inputAudioTokens", "inputTokens"]);
    expect(within("reasoningTokens")).toEqual(["outputTokens"]);
    expect(within("inputAudioSeconds")).toEqual(["audioSeconds"]);
    expect(within("inputAnnotatedDocumentPages")).toEqual(["inputDocumentPages"]);
    for (const name of ["requests", "webSearches", "codeExecutions", "inputPixels"]) expect(within(name)).toEqual([]);
    expect(DIMENSIONS.size).toBe(59);
  });
});

describe("the parts that a price list charges", () => {
  it("leave each unit in its most specific priced dimension", () => {
    expect(parts({ inputTokens: 1000, cacheReadTokens: 200, outputTokens: 50 }, CHAT)).toEqual({
      inputTokens: 800,
      cacheReadTokens: 200,
      outputTokens: 50,
    });
    expect(parts({ inputTokens: 1000, cacheReadTokens: 1000 }, CHAT)).toEqual({ cacheReadTokens: 1000 });
    expect(
      parts({ inputTokens: 1000, cacheReadTokens: 100, inputAudioTokens: 50, cacheAudioReadTokens: 20 }, REALTIME),
    ).toEqual({ inputTokens: 870, cacheReadTokens: 80, inputAudioTokens: 30, cacheAudioReadTokens: 20 });
  });

  it("count a dimension without a price of its own as what it lies within", () => {
    expect(parts({ inputTokens: 1000, cacheReadTokens: 200 }, ["inputTokens"])).toEqual({ inputTokens: 1000 });
    expect(parts({ outputTokens: 100, reasoningTokens: 60, outputImageTokens: 10 }, CHAT)).toEqual({
      outputTokens: 100,
    });
  });

  it("leave out what a rule has charged, and all that lies within it", () => {
    const usage = { inputTokens: 1000, cacheReadTokens: 200, outputTokens: 50 };
    expect(parts(usage, CHAT, ["cacheReadTokens"])).toEqual({ inputTokens: 800, outputTokens: 50 });
    expect(parts(usage, CHAT, ["inputTokens"])).toEqual({ outputTokens: 50 });
    const audio = { inputTokens: 1000, cacheReadTokens: 100, inputAudioTokens: 50, cacheAudioReadTokens: 20 };
    expect(parts(audio, REALTIME, ["cacheReadTokens"])).toEqual({ inputTokens: 870, inputAudioTokens: 30 });
    expect(parts(audio, [...CHAT, "inputAudioTokens"], ["cacheReadTokens"])).toEqual({
      inputTokens: 870,
      inputAudioTokens: 30,
    });
    expect(parts({ ...usage, apiCalls: 3 }, CHAT, ["apiCalls"])).toEqual({
      inputTokens: 800,
      cacheReadTokens: 200,
      outputTokens: 50,
    });
  });

  it("are refused rather than guessed", () => {
    expect(parts({ cacheReadTokens: 5 }, CHAT)).toBe("cacheReadTokens is counted within inputTokens, which is missing");
    expect(parts({ inputTokens: 4, cacheReadTokens: 5 }, CHAT)).toBe(
      "cacheReadTokens is counted within inputTokens and cannot exceed it",
    );
    expect(parts({ outputTokens: 10, reasoningTokens: 20 }, CHAT)).toContain("cannot exceed it");
    expect(parts({ inputTokens: 10, cacheReadTokens: 6, cacheWriteTokens: 6 }, [...CHAT, "cacheWriteTokens"])).toBe(
      "the dimensions within inputTokens add up to more than it",
    );
    expect(parts({ inputTokens: 10, cacheReadTokens: 6, inputAudioTokens: 6 }, REALTIME)).toBe(
      "cacheAudioReadTokens is missing: cacheReadTokens and inputAudioTokens may share units",
    );
    expect(parts({ inputTokens: 10, webSearches: 1 }, CHAT)).toBe("no published price for webSearches");
    expect(parts({ inputTokens: 10, constructor: 1 }, CHAT)).toBe("no published price for constructor");
  });

  it("do not ask for a shared number that changes no charge", () => {
    const usage = { inputTokens: 10, cacheReadTokens: 6, inputAudioTokens: 6, outputTokens: 3 };
    expect(parts(usage, REALTIME, ["inputTokens", "cacheReadTokens", "inputAudioTokens"])).toEqual({ outputTokens: 3 });
    expect(parts(usage, ["inputTokens", "outputTokens"])).toEqual({ inputTokens: 10, outputTokens: 3 });
  });

  it("add up to the whole, whichever dimensions have a price", () => {
    const cell = fc.nat({ max: 1_000_000 });
    fc.assert(
      fc.property(
        fc.tuple(cell, cell, cell, cell),
        fc.subarray(["cacheReadTokens", "inputAudioTokens"]),
        (cells, optional) => {
          const [plain, cached, audio, cachedAudio] = cells;
          const usage = {
            inputTokens: plain + cached + audio + cachedAudio,
            cacheReadTokens: cached + cachedAudio,
            inputAudioTokens: audio + cachedAudio,
            cacheAudioReadTokens: cachedAudio,
          };
          const priced = ["inputTokens", ...optional, ...(optional.length === 2 ? ["cacheAudioReadTokens"] : [])];
          const own = parts(usage, priced);
          if (typeof own === "string") throw new Error(own);
          expect(Object.values(own).reduce((sum, n) => sum + n, 0)).toBe(usage.inputTokens);
        },
      ),
    );
  });
});
