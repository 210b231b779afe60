import { describe, expect, it } from "vitest";
import type { JsonObject, UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { compileMeters, foldKeyOf, GROUP_VALUE_CHARS_MAX, readEvent, type Meter } from "./meter";

const meter = (part: Partial<Meter> = {}): Meter => ({
  id: "01JMETER",
  key: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: {},
  eventFrom: null,
  createdAt: 0,
  ...part,
});
const event = (data: JsonObject | null = null, part: Partial<UsageEvent> = {}): UsageEvent => ({
  id: "1",
  source: "test",
  type: "prompt",
  subject: "ada",
  time: 1_000,
  data,
  ...part,
});
const facts = (of: Meter, data: JsonObject | null, part: Partial<UsageEvent> = {}) =>
  readEvent(compileMeters([of]).types.get("prompt")!, event(data, part), 7);

describe("compileMeters", () => {
  it("finds meters by event type and by fold key", () => {
    const meters = [meter(), meter({ id: "01JOTHER", eventType: "request" })];
    const compiled = compileMeters(meters);
    expect([...compiled.types.keys()]).toEqual(["prompt", "request"]);
    expect([...compiled.meters.keys()]).toEqual(meters.map(foldKeyOf));
  });

  it("looks each distinct path, value and group of an event type up once, however many meters share it", () => {
    const groupBy = { model: "$.model", kind: "$.kind" };
    const type = compileMeters([
      meter({ id: "a", groupBy }),
      meter({ id: "b", aggregation: "MAX", groupBy: { kind: "$.kind", model: "$.model" } }),
      meter({ id: "c", aggregation: "UNIQUE_COUNT", valueProperty: "$.user", groupBy }),
      meter({ id: "d", aggregation: "COUNT", valueProperty: null, groupBy: { m: "$.model" } }),
      meter({ id: "e", aggregation: "COUNT", valueProperty: null, groupBy: { m: "$.model" } }),
    ]).types.get("prompt")!;
    expect(type.paths.length).toBe(4);
    expect(type.values.length).toBe(3);
    expect(type.groups.length).toBe(2);
    expect(type.meters.map((each) => [each.reading, each.group, each.dimensions])).toEqual([
      [0, 0, ["kind", "model"]],
      [0, 0, ["kind", "model"]],
      [1, 0, ["kind", "model"]],
      [2, 1, ["m"]],
      [2, 1, ["m"]],
    ]);
  });

  it("gives another definition of a meter another fold key, and the same definition the same", () => {
    const before = foldKeyOf(meter({ groupBy: { a: "$.a", b: "$.b" } }));
    expect(foldKeyOf(meter({ groupBy: { b: "$.b", a: "$.a" }, key: "renamed", createdAt: 5 }))).toBe(before);
    const changes: Partial<Meter>[] = [
      { groupBy: { a: "$.a" } },
      { groupBy: { a: "$.b", b: "$.a" } },
      { id: "01JOTHER" },
      { eventFrom: 5 },
    ];
    for (const changed of changes) {
      expect(foldKeyOf(meter({ groupBy: { a: "$.a", b: "$.b" }, ...changed }))).not.toBe(before);
    }
  });
});

describe("readEvent", () => {
  it("names a group by canonical JSON of the subject and the values in the order of the dimensions' names", () => {
    const groupBy = { b: "$.b", a: "$.x.a" };
    expect(facts(meter({ groupBy }), { b: "1", x: { a: 'say "hi"\n' } }).groups).toEqual([
      JSON.stringify(["ada", 'say "hi"\n', "1"]),
    ]);
    for (const subject of ['"', "\\", "\u0000", "é", "😀", "\ud800", "[", ","]) {
      expect(facts(meter({ groupBy }), { b: subject }, { subject }).groups).toEqual([
        JSON.stringify([subject, "", subject]),
      ]);
    }
  });

  it("writes group values as OpenMeter does", () => {
    const group = (value: unknown) =>
      (JSON.parse(facts(meter({ groupBy: { x: "$.x" } }), { x: value } as JsonObject).groups[0]!) as string[])[1]!;
    const exact = (parseExact('{"x":12345678901234567890}') as { x: unknown }).x;
    expect(["text", 5, 1.5, true, null, exact, {}, [1], ""].map(group)).toEqual([
      "text",
      "5",
      "1.5",
      "true",
      "null",
      "12345678901234567890",
      "",
      "",
      "",
    ]);
    expect(facts(meter({ groupBy: { x: "$.x" } }), null).groups).toEqual(['["ada",""]']);
    expect(group("y".repeat(1_000))).toBe("y".repeat(GROUP_VALUE_CHARS_MAX));
  });

  it("reads numbers and numeric strings for a sum, and null for anything else", () => {
    const read = (tokens: unknown) => facts(meter(), { tokens } as JsonObject).readings[0]!.quantity;
    expect([1, "1", "1.0"].map(read)).toEqual([10n ** 24n, 10n ** 24n, 10n ** 24n]);
    expect([null, "many", "NaN", "Infinity", true, {}, [1], ""].map(read)).toEqual(Array(8).fill(null));
    expect(facts(meter(), null).readings[0]!.quantity).toBe(null);
  });

  it("reads scalars as text for distinct values, and null, objects and nothing as no value", () => {
    const read = (user: unknown) =>
      facts(meter({ aggregation: "UNIQUE_COUNT", valueProperty: "$.user" }), { user } as JsonObject).readings[0]!.text;
    expect(["ada", "", 5, true].map(read)).toEqual(["ada", "", "5", "true"]);
    expect([null, {}, [], undefined].map(read)).toEqual([null, null, null, null]);
  });

  it("says when the event was and when it arrived", () => {
    expect(facts(meter(), null).readings[0]).toMatchObject({ at: 1_000, order: 7 });
  });
});
