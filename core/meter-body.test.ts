import { describe, expect, it } from "vitest";
import { METER_DIMENSIONS_MAX, meterFaults } from "./meter-body";

type Definition = Parameters<typeof meterFaults>[0];
const SUM: Definition = { eventType: "prompt", aggregation: "SUM", valueProperty: "$.tokens", groupBy: {} };
const faults = (of: Partial<Definition>) =>
  meterFaults({ ...SUM, ...of }).map(({ field, detail }) => `${field} ${detail}`);
const NAMED = "must be named with letters, digits and underscores, at most 64, and not begin with a digit";

describe("a meter's definition", () => {
  it("may have dimensions, and a value unless it counts events", () => {
    expect(faults({ groupBy: { model: "$.model", type_2: "$['a b'].type", _x: "$.items[0]" } })).toEqual([]);
    expect(faults({ aggregation: "COUNT", valueProperty: null })).toEqual([]);
    for (const aggregation of ["AVG", "MIN", "MAX", "LATEST", "UNIQUE_COUNT"] as const)
      expect(faults({ aggregation })).toEqual([]);
  });

  it.each<[what: string, of: Partial<Definition>, ...expected: string[]]>([
    ["a value to count", { aggregation: "COUNT" }, "valueProperty must not be given with COUNT, which reads no value"],
    ["no value to sum", { valueProperty: null }, "valueProperty is required with SUM"],
    ["a path without $", { valueProperty: "tokens" }, "valueProperty must be a JSONPath that begins with $"],
    ["a path that is none", { valueProperty: "$.[" }, "valueProperty must be a JSONPath such as $.usage.tokens"],
    [
      "a path of many values",
      { valueProperty: "$..tokens", groupBy: { model: "$.models[*]" } },
      "valueProperty must name one value: only names and indexes, no wildcard, slice, descent or filter",
      "groupBy.model must name one value: only names and indexes, no wildcard, slice, descent or filter",
    ],
    [
      "a path of the whole",
      { groupBy: { all: "$" } },
      "groupBy.all must name a value inside the data, such as $.usage.tokens",
    ],
    [
      "a path that never ends",
      { valueProperty: `$${".a".repeat(5_000)}` },
      "valueProperty must be at most 256 characters",
    ],
    ["a deep path", { valueProperty: `$${".a".repeat(17)}` }, "valueProperty must have at most 16 steps"],
    [
      "a dimension that is the value",
      { groupBy: { t: "$.tokens" } },
      "groupBy.t must not be the path of valueProperty",
    ],
    ["a path twice", { groupBy: { a: "$.m", b: "$.m" } }, "groupBy.b has the path of another dimension"],
    ["a dimension that begins with a digit", { groupBy: { "1x": "$.m" } }, `groupBy["1x"] ${NAMED}`],
    ["a dimension with a dash", { groupBy: { "a-b": "$.m" } }, `groupBy["a-b"] ${NAMED}`],
    ["a dimension without a name", { groupBy: { "": "$.m" } }, `groupBy[""] ${NAMED}`],
    [
      "a reserved type",
      { eventType: "om.meter" },
      "eventType must not begin with om., _. or tollgate.: these are reserved",
    ],
  ])("is refused with %s", (_, of, ...expected) => {
    expect(faults(of)).toEqual(expected);
  });

  it("is refused with a hundred thousand dimensions, in one sentence", () => {
    const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`d${n}`, `$.d${n}`]));
    expect(faults({ groupBy: named(METER_DIMENSIONS_MAX) })).toEqual([]);
    expect(faults({ groupBy: named(METER_DIMENSIONS_MAX + 1) })).toEqual(["groupBy must have at most 32 entries"]);
    expect(faults({ groupBy: named(100_000) })).toEqual(["groupBy must have at most 32 entries"]);
  });
});
