/** What a feature may be made of. */
import { describe, expect, it } from "vitest";
import {
  dimensionsUsed,
  featureFaults,
  pricedDimensions,
  type FeatureDefinition,
  type LlmUnitCost,
  type MeteredBy,
} from "./feature";

const METER: MeteredBy = {
  key: "tokens",
  aggregation: "SUM",
  groupBy: { model: "$.model", type: "$.type", vendor: "$.vendor" },
};
const LLM: LlmUnitCost = { type: "llm", providerProperty: "vendor", modelProperty: "model", tokenTypeProperty: "type" };

const faults = (of: Partial<FeatureDefinition>, meter: MeteredBy | null = METER) =>
  featureFaults({ key: "chat", filters: {}, unitCost: null, ...of }, meter).map(
    ({ field, detail }) => `${field} ${detail}`,
  );

describe("a feature", () => {
  it("may be metered or not", () => {
    expect(faults({})).toEqual([]);
    expect(faults({}, null)).toEqual([]);
  });

  it.each(["01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FAV"])(
    "has no key that looks like an id: %s",
    (key) => {
      expect(faults({ key })).toEqual(["key must not look like a ULID, because features are found by either"]);
    },
  );

  it("has a key of any other 26 characters", () => {
    expect(faults({ key: "abcdefghijklmnopqrstuvwxyz" })).toEqual([]);
    expect(faults({ key: "81arz3ndektsv4rrffq69g5fav" })).toEqual([]);
  });

  it.each(["SUM", "COUNT", "UNIQUE_COUNT", "LATEST"] as const)("may be part of a meter of %s", (aggregation) => {
    expect(faults({}, { ...METER, aggregation })).toEqual([]);
  });

  it.each(["AVG", "MIN", "MAX"] as const)("is no part of a meter of %s", (aggregation) => {
    expect(faults({}, { ...METER, aggregation })).toEqual([
      `meterSlug must be a meter of SUM, COUNT, UNIQUE_COUNT, LATEST; tokens is of ${aggregation}`,
    ]);
  });

  it("filters by dimensions of its meter only", () => {
    expect(faults({ filters: { model: { $eq: "m" }, type: { $in: ["input"] } } })).toEqual([]);
    expect(faults({ filters: { toString: { $eq: "x" } } })).toEqual([
      'advancedMeterGroupByFilters.toString "toString" is no dimension of the meter tokens, which has model, type, vendor',
    ]);
    expect(faults({ filters: { model: {} } }, null)).toEqual([
      "advancedMeterGroupByFilters.model needs a meterSlug: it filters by a dimension of that meter",
    ]);
  });
});

describe("a published unit cost", () => {
  it("is found by values or by dimensions, one of each pair", () => {
    expect(faults({ unitCost: LLM })).toEqual([]);
    expect(faults({ unitCost: { type: "llm", provider: "openai", model: "gpt-4", tokenType: "response" } })).toEqual(
      [],
    );
    expect(faults({ unitCost: { ...LLM, model: "gpt-4" } })).toEqual([
      "unitCost.model must be given, or modelProperty must, and not both",
    ]);
    expect(faults({ unitCost: { type: "llm" } })).toEqual([
      "unitCost.provider must be given, or providerProperty must, and not both",
      "unitCost.model must be given, or modelProperty must, and not both",
      "unitCost.tokenType must be given, or tokenTypeProperty must, and not both",
    ]);
  });

  it("needs a meter, and dimensions that the meter has", () => {
    expect(faults({ unitCost: LLM }, null)).toEqual([
      "unitCost of type llm needs a meterSlug: it prices what that meter counts",
    ]);
    expect(faults({ unitCost: { ...LLM, modelProperty: "engine" } })).toEqual([
      'unitCost.modelProperty "engine" is no dimension of the meter tokens, which has model, type, vendor',
    ]);
  });

  it("knows the types of tokens", () => {
    expect(faults({ unitCost: { type: "llm", provider: "p", model: "m", tokenType: "prompt" } })).toEqual([
      "unitCost.tokenType must be one of input, output, cache_read, cache_write, reasoning, request, response",
    ]);
  });

  it("and the filters say without which dimensions the feature would mean something else", () => {
    expect(dimensionsUsed({ filters: { model: {} }, unitCost: LLM })).toEqual(["model", "vendor", "type"]);
    expect(pricedDimensions({ ...LLM, tokenType: "input", tokenTypeProperty: undefined as never })).toEqual([
      "vendor",
      "model",
    ]);
    expect(pricedDimensions({ type: "manual", amount: "1" })).toEqual([]);
  });
});
